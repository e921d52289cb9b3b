"""How much one read of the books may ask for."""

from collections.abc import Sequence
from typing import TypeVar

#: The most rows or ids of one read.
READ_MAX = 1_000

_T = TypeVar("_T")


def bounded(items: Sequence[_T]) -> Sequence[_T]:
    """The same items; raises ValueError when they are more than `READ_MAX`."""
    if len(items) > READ_MAX:
        raise ValueError(f"at most {READ_MAX} at once, not {len(items)}")
    return items


def page_size(limit: int) -> int:
    """The same number; raises ValueError when a page cannot have as many rows."""
    if not 1 <= limit <= READ_MAX:
        raise ValueError(f"a page has 1 to {READ_MAX} rows, not {limit}")
    return limit
