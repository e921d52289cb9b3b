"""Events: what happened, kept for thirty days, and handed to the webhook endpoints that want it."""

from __future__ import annotations

from typing import Any

import orjson

from marketbill.sandbox import deliveries, idempotency
from marketbill.sandbox.call import Call
from marketbill.sandbox.clock import DAY
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.rendering import checked_limit, created_conditions, shown
from marketbill.sandbox.wire import API_VERSION, Doc, invalid, missing, new_id

EVENT_DAYS_KEPT = 30
TYPES_FILTER_MAX = 20


def emit(desk: Desk, account: str, event_type: str, doc: Doc, *, previous: Doc | None = None) -> None:
    """Record an event about an object of an account and queue it for the endpoints of its platform.

    An event of a connected account carries ``account`` and goes only to endpoints made with ``connect=true``; one of
    the platform itself only to the others.
    """
    platform = desk.platform_of(account)
    connected = account != platform
    endpoints = [e for e in desk.endpoints(platform) if e.connect == connected and e.wants(event_type)]
    now = desk.clock.now()
    origin = desk.origin
    data: Doc = {"object": shown(desk, doc)}
    if previous is not None:
        data["previous_attributes"] = _named_metadata(previous, doc)
    event: Doc = {
        "id": new_id("evt_1"),
        "object": "event",
        "api_version": endpoints[0].api_version if endpoints else API_VERSION,
        "created": now,
        "data": data,
        "livemode": False,
        "pending_webhooks": len(endpoints),
        "request": {
            "id": origin.request_id if origin else None,
            "idempotency_key": origin.idempotency_key if origin else None,
        },
        "type": event_type,
    }
    if connected:
        event["account"] = account
    deliveries.keep_event(desk, account, event)
    deliveries.send(desk, account, event, endpoints)


def _named_metadata(previous: Doc, doc: Doc) -> Doc:
    """Return previous values with the metadata that changed only, key by key; one that is new was null."""
    before, after = previous.get("metadata"), doc.get("metadata")
    if not isinstance(before, dict) or not isinstance(after, dict):
        return previous
    changed = {key: before.get(key) for key in {*before, *after} if before.get(key) != after.get(key)}
    return {**previous, "metadata": changed}


def retrieve(call: Call) -> Doc:
    identifier = call.path["id"]
    found = call.store.db.execute(
        "SELECT doc FROM events WHERE id = ? AND account = ? AND created > ?",
        (identifier, call.account, call.now - EVENT_DAYS_KEPT * DAY),
    ).fetchone()
    if found is None:
        raise missing("event", identifier)
    return _with_pending(call.desk, orjson.loads(found[0]))


def _with_pending(desk: Desk, event: Doc) -> Doc:
    pending = desk.store.db.execute(
        "SELECT count(DISTINCT endpoint) FROM deliveries WHERE event = ? AND state = 'pending'", (event["id"],)
    ).fetchone()
    event["pending_webhooks"] = pending[0]
    return event


def listing(call: Call) -> Doc:
    """List events of the acting account, newest first, by type, time and delivery."""
    params = call.params
    if params.get("type") and params.get("types"):
        raise invalid("You may only specify one of these parameters: type, types.", param="types")
    types = params.get("types") or []
    if len(types) > TYPES_FILTER_MAX:
        raise invalid(f"You may filter by at most {TYPES_FILTER_MAX} types.", param="types")
    conditions: list[tuple[str, Any]] = [
        ("account = ?", call.account),
        ("created > ?", call.now - EVENT_DAYS_KEPT * DAY),
        *created_conditions(params),
    ]
    wanted = params.get("type")
    if wanted and wanted.endswith("*"):
        # A prefix is the range from itself to itself followed by the greatest character.
        conditions += [("type >= ?", wanted[:-1]), ("type < ?", wanted[:-1] + "\U0010ffff")]
    elif wanted:
        types = [wanted]
    limit = checked_limit(params)
    order = "DESC"
    after, before = params.get("starting_after"), params.get("ending_before")
    if after and before:
        raise invalid("You can only specify one of these parameters: starting_after, ending_before.")
    for name, cursor, comparison in (("starting_after", after, "seq < ?"), ("ending_before", before, "seq > ?")):
        if cursor:
            found = call.store.db.execute(
                "SELECT seq FROM events WHERE id = ? AND account = ?", (cursor, call.account)
            ).fetchone()
            if found is None:
                raise missing("event", cursor, param=name, status=400)
            conditions.append((comparison, found[0]))
            order = "ASC" if name == "ending_before" else "DESC"
    where = [condition for condition, _ in conditions]
    values = [value for _, value in conditions]
    if types:
        where.append(f"type IN ({', '.join('?' for _ in types)})")
        values += types
    if "delivery_success" in params:
        undelivered = "EXISTS (SELECT 1 FROM deliveries d WHERE d.event = events.id AND d.state <> 'delivered')"
        where.append(f"NOT {undelivered}" if params["delivery_success"] else undelivered)
    statement = f"SELECT doc FROM events WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?"  # noqa: S608 - conditions are written above
    rows = call.store.db.execute(statement, (*values, limit + 1)).fetchall()
    more = len(rows) > limit
    rows = rows[:limit]
    if before:
        rows.reverse()
    data = [_with_pending(call.desk, orjson.loads(row[0])) for row in rows]
    return {"object": "list", "url": "/v1/events", "has_more": more, "data": data}


def prune(desk: Desk, ref: str) -> None:
    """Forget events older than thirty days with their deliveries, and answers kept long enough; again tomorrow."""
    oldest = desk.clock.now() - EVENT_DAYS_KEPT * DAY
    db = desk.store.db
    deliveries.forget(desk.store, oldest)
    db.execute("DELETE FROM events WHERE created <= ?", (oldest,))
    idempotency.prune(desk.store, desk.clock.now())
    desk.schedule.add(desk.clock.now() + DAY, "prune", "")
