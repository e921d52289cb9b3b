"""Idempotency: a request's key, its first outcome, and who may take over when the first try died."""
