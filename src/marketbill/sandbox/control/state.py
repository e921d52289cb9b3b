"""What the sandbox holds: counts, balances, and whether its own books balance."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox import reserves
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.wire import Doc


def routes(plane: Plane) -> list[Route]:
    return [
        plane.route("health", "GET", health),
        plane.route("state", "GET", state),
        plane.route("balances", "GET", balances),
    ]


def health(ask: Ask) -> Doc:
    return {"status": "ok", "now": ask.desk.clock.now()}


def state(ask: Ask) -> Doc:
    """Count what the state holds, and check the books.

    Balances are the sum of their transactions, and reserves are what accounts are below zero. ``broken`` is due work
    that a defect kept from being done, each with its reason; there should be none.
    """
    db = ask.desk.store.db
    kinds = dict(db.execute("SELECT kind, count(*) FROM objects GROUP BY kind ORDER BY kind").fetchall())
    states = dict(db.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall())
    found = differences(ask.desk)
    return {
        "objects": kinds,
        "events": db.execute("SELECT count(*) FROM events").fetchone()[0],
        "deliveries": {name: states.get(name, 0) for name in ("pending", "delivered", "failed")},
        "due": db.execute("SELECT count(*) FROM due WHERE broken IS NULL").fetchone()[0],
        "broken": ask.desk.schedule.broken(),
        "idempotency_keys": db.execute("SELECT count(*) FROM idempotency").fetchone()[0],
        "books_balance": not found,
        "differences": found,
    }


def balances(ask: Ask) -> Doc:
    """Return the balances of every account, for reconciliation, in one answer."""
    rows = ask.desk.store.db.execute(
        "SELECT b.account, o.account, b.currency, b.available, b.pending FROM balances b "
        "JOIN objects o ON o.id = b.account ORDER BY b.account, b.currency"
    ).fetchall()
    return {
        "now": ask.desk.clock.now(),
        "balances": [
            {"account": account, "platform": platform, "currency": currency, "available": ready, "pending": waiting}
            for account, platform, currency, ready, waiting in rows
        ],
    }


def differences(desk: Desk) -> list[Doc]:
    """Return where the books do not balance; empty when they do."""
    return _balance_differences(desk) + _reserve_differences(desk)


def _balance_differences(desk: Desk) -> list[Doc]:
    """Return every account and currency whose balance is not the sum of its transactions."""
    rows = desk.store.db.execute(
        "SELECT account, currency, sum(held), sum(moved) FROM ("
        " SELECT account, currency, available + pending AS held, 0 AS moved FROM balances"
        " UNION ALL SELECT account, e, 0, json_extract(CAST(doc AS TEXT), '$.net') FROM objects"
        " WHERE kind = 'balance_transaction') GROUP BY account, currency HAVING sum(held) <> sum(moved) LIMIT 100"
    ).fetchall()
    return [
        {"account": account, "currency": currency, "balance": held, "transactions": moved}
        for account, currency, held, moved in rows
    ]


def _reserve_differences(desk: Desk) -> list[Doc]:
    """Return every account and currency below zero for which its platform holds another amount in reserve.

    What is about to be held or released is no difference.
    """
    rows = desk.store.db.execute(
        "SELECT b.account, b.currency, b.available, coalesce(r.amount, 0) FROM balances b "
        "LEFT JOIN reserves r ON r.account = b.account AND r.currency = b.currency "
        "WHERE (b.available < 0 OR r.amount IS NOT NULL) AND NOT EXISTS "
        "(SELECT 1 FROM due WHERE kind = 'reserve' AND ref = b.account || ' ' || b.currency AND broken IS NULL) "
        "LIMIT 1000"
    ).fetchall()
    return [
        {"account": account, "currency": currency, "available": available, "reserved": held}
        for account, currency, available, held in rows
        if held != (max(0, -available) if reserves.backed(desk, account) else 0)
    ]
