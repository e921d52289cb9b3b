"""Payments: a basket paid at once, split, booked and released."""
