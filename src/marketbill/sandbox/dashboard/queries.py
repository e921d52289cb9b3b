"""What pages read: pages of objects, events and deliveries, newest first, and what belongs to an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from marketbill.sandbox.dashboard.frame import Look, account_name
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.rendering import shown
from marketbill.sandbox.wire import Doc, invalid

PAGE_ROWS = 25
#: Most entries of a list that is part of a page.
PART_ROWS = 50
_SEQ_DIGITS_MAX = 18


@dataclass(frozen=True, slots=True)
class Item:
    """An object in a list: its document, and the account it belongs to."""

    seq: int
    account: str
    doc: Doc


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of a list, newest first; ``older`` and ``newer`` are the queries of the pages around it, if any."""

    items: list[Any]
    older: str | None = None
    newer: str | None = None


def _position(look: Look, name: str) -> int | None:
    text = look.asked(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _SEQ_DIGITS_MAX):
        raise invalid(f"`{name}` must be the position of an entry, not {text}.", param=name)
    return int(text)


def page(look: Look, table: str, columns: str, where: list[tuple[str, Any]], **kept: str) -> Rows:
    """Return a page of a table by the query's ``older`` or ``newer``; rows are tuples that begin with ``seq``.

    ``kept`` are the filters that links to other pages repeat.
    """
    older, newer = _position(look, "older"), _position(look, "newer")
    conditions = [condition for condition, _ in where]
    values = [value for _, value in where]
    if newer is not None:
        conditions.append("seq > ?")
        values.append(newer)
    elif older is not None:
        conditions.append("seq < ?")
        values.append(older)
    chosen = " AND ".join(conditions) or "1"
    order = "ASC" if newer is not None else "DESC"
    # Table, columns and conditions are written in this package; values only ever travel as parameters.
    statement = f"SELECT {columns} FROM {table} WHERE {chosen} ORDER BY seq {order} LIMIT ?"  # noqa: S608
    found = look.desk.store.db.execute(statement, (*values, PAGE_ROWS + 1)).fetchall()
    more = len(found) > PAGE_ROWS
    found = found[:PAGE_ROWS]
    if newer is not None:
        found.reverse()
    filters = {name: value for name, value in kept.items() if value}
    before, after = (more, True) if newer is not None else (older is not None, more)
    return Rows(
        items=found,
        older=urlencode({**filters, "older": found[-1][0]}) if found and after else None,
        newer=urlencode({**filters, "newer": found[0][0]}) if found and before else None,
    )


def objects(look: Look, kind: str, where: list[tuple[str, Any]] | None = None, **kept: str) -> Rows:
    """Return a page of the objects of a kind, of one account when the query names one."""
    conditions: list[tuple[str, Any]] = [("kind = ?", kind), *(where or [])]
    account = look.asked("account")
    if account:
        conditions.append(("account = ?", account))
    found = page(look, "objects", "seq, account, doc", conditions, account=account, **kept)
    items = [Item(seq, owner, _shown(look.desk, orjson.loads(doc))) for seq, owner, doc in found.items]
    return Rows(items, found.older, found.newer)


def of_platforms(kind: str, column: str, value: str) -> tuple[str, str]:
    """Return the condition that an object of a platform has a value in an indexed column: found by the index."""
    # Kind and column are named where this is called.
    chosen = f"kind = '{kind}' AND {column} = ? AND account IN (SELECT account FROM keys)"  # noqa: S608
    return f"seq IN (SELECT seq FROM objects WHERE {chosen})", value  # noqa: S608


def latest(desk: Desk, kind: str, account: str, where: tuple[tuple[str, Any], ...] = ()) -> list[Doc]:
    """Return the newest objects of a kind and account, as a part of a page."""
    return [_shown(desk, doc) for doc in desk.store.select(kind, account, where, limit=PART_ROWS)]


def _shown(desk: Desk, doc: Doc) -> Doc:
    """Return a document as people may see it: as the API shows it, without what is private to the state."""
    return {name: value for name, value in shown(desk, doc).items() if not name.startswith("_")}


def find(desk: Desk, identifier: str) -> tuple[str, str, Doc] | None:
    """Return the kind, account and document of an id."""
    found = desk.store.kind_and_account(identifier)
    # The id of an account link is its secret.
    if found is None or found[0] == "account_link":
        return None
    return (*found, _shown(desk, desk.store.get(found[0], identifier)))


def transactions(desk: Desk, source: str, account: str) -> list[Doc]:
    """Return the balance transactions of an account whose source is this object, oldest first."""
    return latest(desk, "balance_transaction", account, (("a = ?", source),))[::-1]


@dataclass(frozen=True, slots=True)
class Told:
    """An event in a list, and how its deliveries stand: how many in each state."""

    seq: int
    id: str
    account: str
    type: str
    created: int
    subject: str | None
    deliveries: dict[str, int]


_EVENT = "seq, id, account, type, created, json_extract(CAST(doc AS TEXT), '$.data.object.id')"


def events(look: Look, where: list[tuple[str, Any]], **kept: str) -> Rows:
    found = page(look, "events", _EVENT, where, **kept)
    return Rows(_with_deliveries(look.desk, found.items), found.older, found.newer)


def events_about(desk: Desk, identifiers: list[str]) -> list[Told]:
    """Return the newest events about these objects, newest first."""
    chosen = ", ".join("?" for _ in identifiers)
    statement = (
        f"SELECT {_EVENT} FROM events WHERE json_extract(CAST(doc AS TEXT), '$.data.object.id') IN ({chosen}) "  # noqa: S608
        "ORDER BY seq DESC LIMIT ?"
    )
    return _with_deliveries(desk, desk.store.db.execute(statement, (*identifiers, PART_ROWS)).fetchall())


def _with_deliveries(desk: Desk, found: list[tuple[Any, ...]]) -> list[Told]:
    chosen = ", ".join("?" for _ in found)
    counted = desk.store.db.execute(
        f"SELECT event, state, count(*) FROM deliveries WHERE event IN ({chosen}) GROUP BY event, state",  # noqa: S608
        [row[1] for row in found],
    ).fetchall()
    states: dict[str, dict[str, int]] = {}
    for event, state, count in counted:
        states.setdefault(event, {})[state] = count
    return [
        Told(seq, identifier, account, name, created, about, states.get(identifier, {}))
        for seq, identifier, account, name, created, about in found
    ]


@dataclass(frozen=True, slots=True)
class Held:
    """What an account has in one currency, in minor units."""

    account: str
    name: str
    platform: bool
    currency: str
    available: int
    pending: int


def balances(look: Look, limit: int = PART_ROWS) -> list[Held]:
    """Return the balances of accounts, platforms first, then the largest."""
    found = look.desk.store.db.execute(
        "SELECT b.account, o.account, b.currency, b.available, b.pending FROM balances b "
        "JOIN objects o ON o.id = b.account ORDER BY o.account <> b.account, b.available + b.pending DESC LIMIT ?",
        (limit,),
    ).fetchall()
    return [
        Held(account, account_name(look.desk.store.get("account", account)), account == platform, currency, ready, rest)
        for account, platform, currency, ready, rest in found
    ]


def balances_of(desk: Desk, account: str) -> list[tuple[str, int, int]]:
    """Return (currency, available, pending) of an account."""
    return desk.store.db.execute(
        "SELECT currency, available, pending FROM balances WHERE account = ? ORDER BY currency", (account,)
    ).fetchall()


def reserved_by(desk: Desk, platform: str) -> list[tuple[str, int]]:
    """Return (currency, amount) of what a platform's balance holds against its accounts below zero."""
    return desk.store.db.execute(
        "SELECT currency, sum(amount) FROM reserves WHERE platform = ? GROUP BY currency ORDER BY currency", (platform,)
    ).fetchall()
