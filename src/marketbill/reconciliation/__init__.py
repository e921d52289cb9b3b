"""Reconciliation: the proof that every record agrees to the cent."""
