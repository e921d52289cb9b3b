"""Taxes of a sale and of the platform's fee: who owes which, at what rate, and the arithmetic."""
