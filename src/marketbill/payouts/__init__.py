"""Payouts: transfers to sellers, payouts to their banks, and their statements."""
