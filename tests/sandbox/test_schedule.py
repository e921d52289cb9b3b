"""Due work of the sandbox: in order, at its moment, and never before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from marketbill.sandbox.desk import Desk
from marketbill.sandbox.store import Store


@pytest.fixture
def done() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def desk(done: list[tuple[str, int]]) -> Iterator[Desk]:
    def fail(desk: Desk, ref: str) -> None:
        desk.store.set_meta(ref, "half done")
        raise LookupError(f"{ref} is not in the sandbox state")

    work = {"note": lambda desk, ref: done.append((ref, desk.clock.now())), "fail": fail}
    made = Desk(None, base_url="", work=work)
    yield made
    made.store.close()


def plan(desk: Desk, **moments: int) -> None:
    with desk.store.transaction():
        for ref, at in moments.items():
            desk.schedule.add(at, "note", ref)


def test_work_is_done_in_the_order_of_its_moments(desk: Desk, done: list[tuple[str, int]]) -> None:
    plan(desk, b=20, a=10, c=30)
    assert desk.schedule.run(25) == 2
    assert done == [("a", 10), ("b", 20)]
    assert desk.schedule.next_at == 30


def test_what_is_dropped_does_not_bring_later_work_forward(desk: Desk, done: list[tuple[str, int]]) -> None:
    plan(desk, a=10, b=1_000)
    with desk.store.transaction():
        desk.schedule.drop("note", "a")
    assert desk.schedule.run(500) == 0
    assert done == []
    assert desk.schedule.next_at == 1_000


def test_a_drop_that_is_undone_leaves_the_work_due(desk: Desk, done: list[tuple[str, int]]) -> None:
    plan(desk, a=10)
    with pytest.raises(LookupError), desk.store.transaction():
        desk.schedule.drop("note", "a")
        raise LookupError
    assert desk.schedule.run(10) == 1
    assert done == [("a", 10)]


class TestBroken:
    def test_one_broken_entry_parks_itself_and_the_rest_goes_on(
        self, desk: Desk, done: list[tuple[str, int]], caplog: pytest.LogCaptureFixture
    ) -> None:
        plan(desk, a=10, b=30)
        with desk.store.transaction():
            desk.schedule.add(20, "fail", "x")
        assert desk.schedule.run(40) == 3
        assert done == [("a", 10), ("b", 30)]
        # Nothing of it is kept but why.
        assert desk.store.meta("x") is None
        reason = "LookupError: x is not in the sandbox state"
        assert desk.schedule.broken() == [{"at": 20, "kind": "fail", "ref": "x", "reason": reason}]
        assert (desk.schedule.next_at, desk.schedule.run(1_000)) == (None, 0)
        [told] = caplog.records
        assert (told.levelname, told.exc_info is not None) == ("ERROR", True)
        assert "fail of x, due at 20" in told.message

    def test_it_counts_as_due_no_more_and_goes_with_its_reason(self, desk: Desk) -> None:
        with desk.store.transaction():
            desk.schedule.add(20, "fail", "x")
        assert desk.schedule.has("fail", "x")
        desk.schedule.run(20)
        assert not desk.schedule.has("fail", "x")
        with desk.store.transaction():
            desk.schedule.drop("fail", "x")
        assert desk.schedule.broken() == []

    def test_a_state_that_cannot_be_written_breaks_nothing(self, desk: Desk, done: list[tuple[str, int]]) -> None:
        plan(desk, a=10)
        desk.store.db.execute("PRAGMA query_only = ON")
        with pytest.raises(sqlite3.OperationalError):
            desk.schedule.run(10)
        desk.store.commit()
        desk.store.db.execute("PRAGMA query_only = OFF")
        assert (desk.schedule.run(10), done, desk.schedule.broken()) == (1, [("a", 10)], [])


def test_requests_are_answered_while_work_is_broken_and_the_state_tells_it(
    tmp_path: Path, serve: Any, new_bench: Any
) -> None:
    """A state that a later version wrote may hold work that this one does not know."""
    store = Store(tmp_path / "state.db")
    store.db.execute("INSERT INTO due (at, kind, ref) VALUES (0, 'unheard', 'py_1')")
    store.close()
    bench = new_bench(serve(tmp_path / "state.db").base).open_platform()
    bench.pay(5_000, card="pm_card_visa")
    bench.advance(days=3)
    assert bench.balance("usd") == (4_825, 0)
    state = bench.control("state")
    assert state["broken"] == [{"at": 0, "kind": "unheard", "ref": "py_1", "reason": "KeyError: 'unheard'"}]
    assert state["books_balance"]
    assert "Due work is broken" in bench.send("GET", "/").body
    bench.close()


def test_what_an_earlier_version_left_due_is_done(tmp_path: Path) -> None:
    """Its table had no column for what is broken."""
    with closing(sqlite3.connect(tmp_path / "state.db")) as earlier, earlier:
        earlier.execute("CREATE TABLE due (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, ref TEXT)")
        earlier.execute("CREATE INDEX due_at ON due (at, id)")
        earlier.execute("INSERT INTO due (at, kind, ref) VALUES (10, 'note', 'a'), (20, 'gone', 'b')")
        earlier.execute("INSERT INTO due (at, kind, ref) VALUES (30, 'note', 'c')")
    done: list[str] = []
    desk = Desk(tmp_path / "state.db", base_url="", work={"note": lambda desk, ref: done.append(ref)})
    assert desk.schedule.run(40) == 3
    assert (done, [entry["kind"] for entry in desk.schedule.broken()]) == (["a", "c"], ["gone"])
    desk.store.close()
