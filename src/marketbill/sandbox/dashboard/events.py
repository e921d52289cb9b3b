"""Events with their deliveries, and the webhook endpoints they go to."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response
from starlette.routing import Route

from marketbill.sandbox import deliveries
from marketbill.sandbox.dashboard import queries
from marketbill.sandbox.dashboard.frame import PREFIX, Frame, Look, NoPage
from marketbill.sandbox.wire import Doc


def routes(frame: Frame) -> list[Route]:
    return [
        frame.route(f"{PREFIX}/events", listing),
        frame.route(f"{PREFIX}/events/{{event}}", event),
        frame.route(f"{PREFIX}/webhooks", endpoints),
        frame.route(f"{PREFIX}/webhooks/{{endpoint}}", endpoint),
    ]


def listing(look: Look) -> Response:
    where: list[tuple[str, Any]] = []
    wanted, account, state = look.asked("type"), look.asked("account"), look.asked("delivery")
    if wanted.endswith("*"):
        where += [("type >= ?", wanted[:-1]), ("type < ?", wanted[:-1] + "\U0010ffff")]
    elif wanted:
        where.append(("type = ?", wanted))
    if account:
        where.append(("account = ?", account))
    if state == "delivered":
        where.append(("EXISTS (SELECT 1 FROM deliveries d WHERE d.event = events.id AND d.state = ?)", state))
    elif state:
        # These are few among many, so they lead to their events.
        few = "SELECT e.seq FROM deliveries d JOIN events e ON e.id = d.event WHERE d.state = ?"
        where.append((f"seq IN ({few})", state))
    found = queries.events(look, where, type=wanted, account=account, delivery=state)
    return look.page("events.html", found=found, wanted=wanted, account=account, state=state)


def _deliveries(look: Look, *, event: str | None = None, endpoint: str | None = None) -> list[Doc]:
    """Return the newest deliveries of an event or to an endpoint, each with its attempts and the endpoint's address."""
    found = deliveries.listing(look.desk, event=event, endpoint=endpoint, limit=queries.PART_ROWS)
    for delivery in found:
        known = look.desk.store.find("webhook_endpoint", delivery["endpoint"])
        delivery["url"] = known["url"] if known is not None else None
    return found


def event(look: Look) -> Response:
    identifier = look.named("event")
    row = look.desk.store.db.execute("SELECT account, doc FROM events WHERE id = ?", (identifier,)).fetchone()
    if row is None:
        raise NoPage(f"There is no event {identifier}. Events are kept for thirty days.")
    doc = orjson.loads(row[1])
    return look.page(
        "event.html",
        account=row[0],
        doc=doc,
        subject=doc["data"]["object"].get("id"),
        previous=doc["data"].get("previous_attributes"),
        deliveries=_deliveries(look, event=identifier),
        text=look.json(doc),
    )


def endpoints(look: Look) -> Response:
    found = queries.objects(look, "webhook_endpoint")
    counted = look.desk.store.db.execute(
        "SELECT endpoint, state, count(*) FROM deliveries GROUP BY endpoint, state"
    ).fetchall()
    states: dict[str, dict[str, int]] = {}
    for identifier, state, count in counted:
        states.setdefault(identifier, {})[state] = count
    return look.page("webhooks.html", found=found, states=states)


def endpoint(look: Look) -> Response:
    identifier = look.named("endpoint")
    found = queries.find(look.desk, identifier)
    if found is None or found[0] != "webhook_endpoint":
        raise NoPage(f"There is no webhook endpoint {identifier}.")
    stored = look.desk.store.get("webhook_endpoint", identifier)
    return look.page(
        "webhook.html",
        account=found[1],
        doc=found[2],
        connect=stored["_connect"],
        old_until=stored["_old_secret_until"] if stored["_old_secret_until"] > look.desk.clock.now() else None,
        deliveries=_deliveries(look, endpoint=identifier),
        text=look.json(found[2]),
    )
