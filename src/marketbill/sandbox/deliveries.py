"""Deliveries: the way of an event to each endpoint that wants it, with every attempt that was made."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from marketbill.sandbox.desk import Desk, Endpoint
from marketbill.sandbox.faults import FaultKind
from marketbill.sandbox.store import Store
from marketbill.sandbox.wire import Doc, new_id

#: Attempts that are kept, newest last; older ones are forgotten, their deliveries are not.
ATTEMPTS_KEPT_MAX = 20_000
LISTED_MAX = 100

#: What a fault does to a delivery that is still to be made.
HELD, OLD_SECRET = "held", "old_secret"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of sending an event to an endpoint once."""

    delivery: int
    #: Seconds since 1970 by the sandbox's clock.
    at: int
    #: The HTTP status, or None when there was no answer; ``reason`` tells why.
    status: int | None
    reason: str | None
    seconds: float


def keep_event(desk: Desk, account: str, event: Doc) -> None:
    """Put an event into the list of its account; call inside a transaction."""
    desk.store.db.execute(
        "INSERT INTO events (id, account, type, created, doc) VALUES (?, ?, ?, ?, ?)",
        (event["id"], account, event["type"], event["created"], orjson.dumps(event)),
    )


def send(desk: Desk, account: str, event: Doc, endpoints: list[Endpoint]) -> None:
    """Queue a new event for endpoints, with what the faults do to it; call inside a transaction."""
    for endpoint in endpoints:
        fault = desk.faults.strike_delivery(event["type"])
        kind = fault.kind if fault is not None else None
        later = desk.clock.now() + ((fault.seconds or 0) if fault is not None else 0)
        if kind is FaultKind.WEBHOOK_DROP:
            _add(desk, event["id"], endpoint.id, state="failed", reason="dropped by a fault")
        elif kind is FaultKind.WEBHOOK_DELAY:
            _add(desk, event["id"], endpoint.id, next_at=later)
        elif kind is FaultKind.WEBHOOK_REORDER:
            _add(desk, event["id"], endpoint.id, next_at=later, trouble=HELD)
        elif kind is FaultKind.WEBHOOK_OLD_SECRET:
            _add(desk, event["id"], endpoint.id, trouble=OLD_SECRET)
        else:
            _add(desk, event["id"], endpoint.id)
        if kind is FaultKind.WEBHOOK_DUPLICATE:
            _add(desk, event["id"], endpoint.id)
        elif kind is FaultKind.WEBHOOK_DUPLICATE_NEW_ID:
            twin = {**event, "id": new_id("evt_1"), "pending_webhooks": 1}
            keep_event(desk, account, twin)
            _add(desk, twin["id"], endpoint.id)
    if endpoints:
        desk.wake.set()


def resend(desk: Desk, event_id: str, endpoints: list[Endpoint]) -> list[int]:
    """Queue an event once more, as it is; faults leave it alone. Call inside a transaction."""
    desk.wake.set()
    return [_add(desk, event_id, endpoint.id) for endpoint in endpoints]


def _add(
    desk: Desk,
    event_id: str,
    endpoint_id: str,
    *,
    state: str = "pending",
    next_at: float = 0,
    trouble: str | None = None,
    reason: str | None = None,
) -> int:
    added = desk.store.db.execute(
        "INSERT INTO deliveries (event, endpoint, state, attempts, next_at, reason, trouble) "
        "VALUES (?, ?, ?, 0, ?, ?, ?) RETURNING id",
        (event_id, endpoint_id, state, next_at, reason, trouble),
    )
    return added.fetchone()[0]


def let_go(store: Store, endpoint_id: str, after: int) -> None:
    """Send what was held back until a later delivery to the endpoint had arrived; call inside a transaction."""
    store.db.execute(
        "UPDATE deliveries SET next_at = 0, trouble = NULL WHERE endpoint = ? AND trouble = 'held' AND id < ?",
        (endpoint_id, after),
    )


def keep_attempts(store: Store, attempts: list[Attempt]) -> None:
    """Write attempts down and forget the oldest; call inside a transaction."""
    store.db.executemany(
        "INSERT INTO attempts (delivery, at, status, reason, seconds) VALUES (?, ?, ?, ?, ?)",
        [(one.delivery, one.at, one.status, one.reason, one.seconds) for one in attempts],
    )
    store.db.execute("DELETE FROM attempts WHERE id <= (SELECT max(id) FROM attempts) - ?", (ATTEMPTS_KEPT_MAX,))


def forget(store: Store, oldest: int) -> None:
    """Forget deliveries of events that were made at a moment or before; call inside a transaction."""
    gone = "SELECT d.id FROM deliveries d JOIN events e ON e.id = d.event WHERE e.created <= ?"
    store.db.execute(f"DELETE FROM attempts WHERE delivery IN ({gone})", (oldest,))  # noqa: S608 - written above
    store.db.execute(f"DELETE FROM deliveries WHERE id IN ({gone})", (oldest,))  # noqa: S608 - written above


def listing(
    desk: Desk, *, event: str | None = None, endpoint: str | None = None, state: str | None = None, limit: int
) -> list[Doc]:
    """Return deliveries, newest first, each with its attempts, oldest first."""
    rows = desk.store.db.execute(
        "SELECT d.id, d.event, e.type, d.endpoint, d.state, d.attempts, d.answered, d.reason, d.next_at "
        "FROM deliveries d JOIN events e ON e.id = d.event "
        "WHERE (?1 IS NULL OR d.event = ?1) AND (?2 IS NULL OR d.endpoint = ?2) AND (?3 IS NULL OR d.state = ?3) "
        "ORDER BY d.id DESC LIMIT ?4",
        (event, endpoint, state, min(limit, LISTED_MAX)),
    ).fetchall()
    names = ("id", "event", "type", "endpoint", "state", "attempts", "answered", "reason", "next_at")
    found: list[Doc] = [dict(zip(names, row, strict=True)) for row in rows]
    history: dict[int, list[Doc]] = {one["id"]: [] for one in found}
    marks = ", ".join("?" for _ in history)
    tried = desk.store.db.execute(
        f"SELECT delivery, at, status, reason, seconds FROM attempts WHERE delivery IN ({marks}) ORDER BY id",  # noqa: S608 - question marks only
        tuple(history),
    )
    for delivery, at, status, reason, seconds in tried:
        history[delivery].append({"at": at, "status": status, "reason": reason, "seconds": round(seconds, 3)})
    for one in found:
        waits = one["state"] == "pending" and one["next_at"] > 0
        one["next_at"] = int(one["next_at"]) if waits else None
        one["history"] = history[one["id"]]
    return found
