"""Sellers: who sells, what the provider knows of them, and their three gates."""
