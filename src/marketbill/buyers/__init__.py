"""Buyers and their payment methods."""
