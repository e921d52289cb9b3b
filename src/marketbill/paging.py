"""Keyset pages: newest first by id (ids are time-ordered), a stable place instead of an offset, always a limit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Row, Select

from marketbill.db import Scope
from marketbill.errors import InvalidInput

PAGE_MAX = 100
PAGE_DEFAULT = 20


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`size` rows after `after` (or before `before`) in the list's order; `backward` reads from the end of the list."""

    size: int = PAGE_DEFAULT
    after: UUID | None = None
    before: UUID | None = None
    backward: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.size <= PAGE_MAX:
            field = "last" if self.backward else "first"
            raise InvalidInput(f"A page has at most {PAGE_MAX} items.", path=(field,), constraint=f"0..{PAGE_MAX}")


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the list's order, and whether there is more on either side."""

    rows: Sequence[Row[Any]]
    has_next: bool
    has_previous: bool


async def newest_first(scope: Scope, statement: Select[Any], id: Column[UUID], request: PageRequest) -> Page:
    """One page of `statement`, newest id first."""
    if request.after is not None:
        statement = statement.where(id < request.after)
    if request.before is not None:
        statement = statement.where(id > request.before)
    order = id.asc() if request.backward else id.desc()
    rows = await scope.rows(statement.order_by(order).limit(request.size + 1))
    more, rows = len(rows) > request.size, rows[: request.size]
    if request.backward:
        return Page(rows[::-1], has_next=request.before is not None, has_previous=more)
    return Page(rows, has_next=more, has_previous=request.after is not None)
