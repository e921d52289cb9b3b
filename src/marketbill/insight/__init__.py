"""Insight: what the books mean, explained and tried out, without changing them."""
