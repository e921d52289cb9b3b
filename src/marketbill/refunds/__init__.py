"""Refunds: what a buyer gets back, and who bears it."""
