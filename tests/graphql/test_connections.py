"""Pages by keyset: cursors are opaque, checked, and lead through a list once, in both directions."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.errors import InvalidInput
from marketbill_graphql.connections import Connection, Position, page, window

ROWS = [UUID(int=number) for number in range(1, 8)]


def fetch(
    first: int | None = None, after: str | None = None, last: int | None = None, before: str | None = None
) -> Any:
    """A page of ROWS as a statement with a keyset condition would give it."""
    asked = window(list_name="rows", first=first, after=after, last=last, before=before)
    rows = [
        row
        for row in ROWS
        if (asked.after is None or row > asked.after.id) and (asked.before is None or row < asked.before.id)
    ]
    if asked.backward:
        rows.reverse()
    found: Connection[Any] = page(
        rows[: asked.rows_wanted],
        asked,
        list_name="rows",
        node=lambda row: row.int,
        position=lambda row: Position((), row),
    )
    return found


def test_a_list_is_walked_forward_and_backward() -> None:
    start = fetch(first=3)
    middle = fetch(first=3, after=start.page_info.end_cursor)
    end = fetch(first=3, after=middle.page_info.end_cursor)
    back = fetch(last=2, before=end.page_info.start_cursor)

    assert [edge.node for edge in start.edges] == [1, 2, 3]
    assert [edge.node for edge in middle.edges] == [4, 5, 6]
    assert [edge.node for edge in end.edges] == [7]
    assert [edge.node for edge in back.edges] == [5, 6]
    assert [part.page_info.has_next_page for part in (start, middle, end, back)] == [True, True, False, True]
    assert [part.page_info.has_previous_page for part in (start, middle, end, back)] == [False, True, True, True]


def test_an_empty_page_has_no_cursors() -> None:
    empty = fetch(first=5, after=fetch(first=7).page_info.end_cursor)

    assert empty.edges == []
    assert (empty.page_info.start_cursor, empty.page_info.end_cursor) == (None, None)


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"first": 0}, "first"),
        ({"first": 101}, "first"),
        ({"first": -1}, "first"),
        ({"last": 0}, "last"),
        ({"first": 1, "last": 1}, "last"),
        ({"after": "x"}, "after"),
        ({"after": ""}, "after"),
        ({"before": "é"}, "before"),
        ({"after": "A" * 5_000}, "after"),
        ({"after": base64.urlsafe_b64encode(b"[1]").decode()}, "after"),
        ({"after": base64.urlsafe_b64encode(b'[1,"rows",1.5,"00"]').decode()}, "after"),
        ({"after": base64.urlsafe_b64encode(b'[1,"rows",5]').decode()}, "after"),
        ({"after": base64.urlsafe_b64encode(b'{"a":1}').decode()}, "after"),
    ],
)
def test_a_wrong_argument_is_named(asked: dict[str, Any], path: str) -> None:
    arguments: dict[str, Any] = {"first": None, "after": None, "last": None, "before": None} | asked
    with pytest.raises(InvalidInput) as refusal:
        window(list_name="rows", **arguments)

    assert refusal.value.path == (path,)


def test_a_cursor_of_another_list_is_refused() -> None:
    cursor = fetch(first=1).page_info.end_cursor
    with pytest.raises(InvalidInput):
        window(list_name="others", first=None, after=cursor, last=None, before=None)


@given(st.text(max_size=60))
def test_no_text_breaks_the_cursor_reader(text: str) -> None:
    with pytest.raises(InvalidInput):
        window(list_name="rows", first=None, after=text, last=None, before=None)


@given(st.lists(st.one_of(st.text(max_size=20), st.integers(-(2**53), 2**53)), max_size=3), st.uuids())
def test_a_position_survives_the_way_out_and_in(sort: list[str | int], id: UUID) -> None:
    try:
        for value in sort:
            str(value).encode()
    except UnicodeEncodeError:
        return
    asked = window(list_name="rows", first=1, after=None, last=None, before=None)
    there: Connection[Any] = page(
        [1], asked, list_name="rows", node=lambda row: row, position=lambda _row: Position(tuple(sort), id)
    )
    back = window(list_name="rows", first=None, after=there.page_info.end_cursor, last=None, before=None)

    assert back.after == Position(tuple(sort), id)
