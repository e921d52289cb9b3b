"""The proof of a stored trace: what its text says, against what its own arithmetic gives."""
