"""Relay connections over keyset cursors: a page is found by its place in an index, never by counting rows.

A cursor is a version, the sort values of its row and the row's id. It is opaque to clients and checked when it comes
back; a cursor of another list or of another version is refused.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
import strawberry

from marketbill.errors import InvalidInput
from marketbill.paging import PAGE_DEFAULT, PAGE_MAX, Page, PageRequest
from marketbill_graphql import declare
from marketbill_graphql.access import ANYONE

Node = TypeVar("Node")
Row = TypeVar("Row")

_VERSION = 1
_CURSOR_LENGTH_MAX = 400


@dataclass(frozen=True, slots=True)
class Position:
    """The place of a row in a list: its sort values (none when the list is sorted by id) and its id."""

    sort: tuple[str | int, ...]
    id: UUID


@dataclass(frozen=True, slots=True)
class Window:
    """A page as asked for: at most `limit` rows after or before a position, counted from the end when `backward`."""

    limit: int
    after: Position | None
    before: Position | None
    backward: bool

    @property
    def rows_wanted(self) -> int:
        """One more than the page holds, to learn whether there is another."""
        return self.limit + 1


@declare.output(ANYONE)
class PageInfo:
    """Where a page stands in its list."""

    has_next_page: bool = strawberry.field(description="Whether rows follow this page.")
    has_previous_page: bool = strawberry.field(description="Whether rows precede this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first row.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last row; pass it as `after`.")


@declare.output(ANYONE)
class Edge(Generic[Node]):
    """A row of a page with its cursor."""

    cursor: str
    node: Node


@declare.output(ANYONE)
class Connection(Generic[Node]):
    """A page of a list: `nodes` for the rows alone, `edges` for the rows with cursors."""

    edges: list[Edge[Node]]
    page_info: PageInfo

    @declare.computed
    def nodes(self) -> list[Node]:
        """The rows of the page."""
        return [edge.node for edge in self.edges]


def window(*, list_name: str, first: int | None, after: str | None, last: int | None, before: str | None) -> Window:
    """The page that the four arguments ask for. Raises InvalidInput naming the argument at fault."""
    if first is not None and last is not None:
        raise InvalidInput("Give either first or last, not both.", path=("last",), constraint="first or last")
    for name, count in (("first", first), ("last", last)):
        if count is not None and not 1 <= count <= PAGE_MAX:
            raise InvalidInput(
                f"{name} must be from 1 to {PAGE_MAX}.", path=(name,), constraint=f"1 <= {name} <= {PAGE_MAX}"
            )
    return Window(
        limit=first or last or PAGE_DEFAULT,
        after=_decode(list_name, after, path="after"),
        before=_decode(list_name, before, path="before"),
        backward=last is not None,
    )


def sorted_by(position: Position, *types: type) -> tuple[Any, ...]:
    """The position's sort values. Raises InvalidInput when they are not of the types that the list is sorted by."""
    if [type(value) for value in position.sort] != list(types):
        raise bad_cursor()
    return position.sort


def bad_cursor() -> InvalidInput:
    return InvalidInput("after is not a cursor of this list.", path=("after",), constraint="a cursor of this list")


def page(
    rows: Sequence[Row],
    asked: Window,
    *,
    list_name: str,
    node: Callable[[Row], Node],
    position: Callable[[Row], Position],
    more: bool | None = None,
) -> Connection[Node]:
    """The connection of up to `asked.rows_wanted` rows, fetched in list order, or in reverse when `asked.backward`.

    `more` tells whether there are others where the rows were not fetched one beyond the page.
    """
    more = len(rows) > asked.limit if more is None else more
    kept = list(rows[: asked.limit])
    if asked.backward:
        kept.reverse()
    edges = [Edge(cursor=_encode(list_name, position(row)), node=node(row)) for row in kept]
    return _connection(
        edges,
        has_next=asked.before is not None if asked.backward else more,
        has_previous=more if asked.backward else asked.after is not None,
    )


def page_request(
    *, list_name: str, first: int | None, after: str | None, last: int | None, before: str | None
) -> PageRequest:
    """The page that the four arguments ask for, of a list that is sorted by id. Raises InvalidInput."""
    asked = window(list_name=list_name, first=first, after=after, last=last, before=before)
    return PageRequest(
        size=asked.limit,
        after=asked.after.id if asked.after else None,
        before=asked.before.id if asked.before else None,
        backward=asked.backward,
    )


def connection(found: Page, *, list_name: str, node: Callable[[Any], Node]) -> Connection[Node]:
    """The connection of a page of rows that is sorted by id."""
    edges = [Edge(cursor=_encode(list_name, Position((), row.id)), node=node(row)) for row in found.rows]
    return _connection(edges, has_next=found.has_next, has_previous=found.has_previous)


def _connection(edges: list[Edge[Node]], *, has_next: bool, has_previous: bool) -> Connection[Node]:
    return Connection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=has_next,
            has_previous_page=has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


def _encode(list_name: str, position: Position) -> str:
    body = orjson.dumps([_VERSION, list_name, *position.sort, position.id.hex])
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def _decode(list_name: str, cursor: str | None, *, path: str) -> Position | None:
    if cursor is None:
        return None
    try:
        if len(cursor) > _CURSOR_LENGTH_MAX:
            raise ValueError
        body: Any = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        version, name, *sort, id = body
        if version != _VERSION or name != list_name or not all(type(value) in (str, int) for value in sort):
            raise ValueError
        return Position(tuple(sort), UUID(hex=id))
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise InvalidInput(
            f"{path} is not a cursor of this list: pass one from its pageInfo or edges.",
            path=(path,),
            constraint=f"a cursor of {list_name}",
        ) from None
