"""Proportional parts of an amount, such that the parts of a whole always make the whole."""

from __future__ import annotations

from marketbill.sandbox.currencies import step


def share(whole: int, *, of: int, before: int, after: int, currency: str) -> int:
    """Return the part of ``whole`` for the span from ``before`` to ``after`` of ``of``, in minor units.

    Each end is rounded half up to what the currency can express, so spans side by side lose nothing: 100 shared over
    three spans of 1 of 3 is 33, 34, 33.
    """
    return _until(whole, of, after, currency) - _until(whole, of, before, currency)


def _until(whole: int, of: int, end: int, currency: str) -> int:
    if end == of:
        return whole
    least = step(currency)
    return (2 * whole * end + of * least) // (2 * of * least) * least
