"""Disputes: money that a bank takes back, contested or not, and its warnings."""
