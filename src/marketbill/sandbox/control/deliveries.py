"""Events on their way to webhook endpoints: what was tried, and sending again."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox import deliveries
from marketbill.sandbox.clock import DAY
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.events import EVENT_DAYS_KEPT
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.wire import ApiError, Doc, invalid

_LIST = compile_table("event endpoint state:(pending|delivered|failed) limit:i")
_RESEND = compile_table("endpoint")


def routes(plane: Plane) -> list[Route]:
    return [
        plane.route("deliveries", "GET", listing, _LIST),
        plane.route("events/{event}/resend", "POST", resend, _RESEND),
    ]


def listing(ask: Ask) -> Doc:
    """Return the last deliveries, newest first, of an event, an endpoint or a state, each with its attempts."""
    params = ask.params
    limit = params.get("limit", deliveries.LISTED_MAX)
    if not 1 <= limit <= deliveries.LISTED_MAX:
        raise invalid(f"Invalid limit: must be from 1 to {deliveries.LISTED_MAX}", param="limit")
    found = deliveries.listing(
        ask.desk,
        event=params.get("event"),
        endpoint=params.get("endpoint"),
        state=params.get("state"),
        limit=limit,
    )
    return {"deliveries": found}


def resend(ask: Ask) -> Doc:
    """Send an event of the last thirty days once more: to one endpoint, or to all that want it now."""
    desk, wanted = ask.desk, ask.path["event"]
    row = desk.store.db.execute(
        "SELECT account, type FROM events WHERE id = ? AND created > ?",
        (wanted, desk.clock.now() - EVENT_DAYS_KEPT * DAY),
    ).fetchone()
    if row is None:
        raise ApiError(404, f"No such event: '{wanted}'", code="resource_missing", param="event")
    account, event_type = row
    platform = desk.platform_of(account)
    endpoints = [one for one in desk.endpoints(platform) if one.connect == (account != platform)]
    only = ask.params.get("endpoint")
    chosen = [one for one in endpoints if (one.id == only if only else one.wants(event_type))]
    if not chosen:
        raise invalid(
            f"'{only}' is no enabled endpoint that gets events of account '{account}'."
            if only
            else f"No enabled endpoint wants {event_type} of account '{account}'; name one with `endpoint`.",
            param="endpoint",
        )
    with desk.store.transaction():
        made = deliveries.resend(desk, wanted, chosen)
    return {"event": wanted, "type": event_type, "deliveries": made}
