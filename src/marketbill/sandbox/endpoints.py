"""Webhook endpoints: where events go."""

from __future__ import annotations

from marketbill.sandbox.call import Call
from marketbill.sandbox.clock import DAY
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.event_types import EVENT_TYPES
from marketbill.sandbox.onboarding import check_url
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import API_VERSION, Doc, invalid, new_id, new_secret, refused

ENDPOINTS_MAX = 16
#: Longest time for which what is sent is signed with the old secret too, after a new one was made.
OVERLAP_SECONDS_MAX = DAY


def _events(given: list[str]) -> list[str]:
    if not given:
        raise invalid("You must provide at least one event.", param="enabled_events")
    for position, name in enumerate(given):
        if name != "*" and name not in EVENT_TYPES:
            raise invalid(f"Invalid enabled_events: {name}", param=f"enabled_events[{position}]")
    if "*" in given and len(given) > 1:
        raise invalid("You may only specify `*` or an explicit list of event types.", param="enabled_events")
    return list(given)


def create(call: Call) -> Doc:
    """Add an endpoint. Its signing secret is in this answer and in no other."""
    params = call.params
    check_url(params["url"], param="url")
    if len(call.store.select("webhook_endpoint", call.account, limit=ENDPOINTS_MAX)) >= ENDPOINTS_MAX:
        raise refused(f"You have reached the maximum of {ENDPOINTS_MAX} test webhook endpoints.")
    secret = new_secret("whsec_")
    doc = call.store.insert(
        "webhook_endpoint",
        call.account,
        {
            "id": new_id("we_1"),
            "object": "webhook_endpoint",
            "api_version": params.get("api_version") or API_VERSION,
            "application": None,
            "created": call.now,
            "description": params.get("description") or None,
            "enabled_events": _events(params["enabled_events"]),
            "livemode": False,
            "metadata": merged_metadata({}, params.get("metadata") or {}),
            "status": "enabled",
            "url": params["url"],
            "_secret": secret,
            "_old_secret": None,
            "_old_secret_until": 0,
            "_connect": params.get("connect", False),
        },
    )
    call.desk.forget_endpoints()
    return {**doc, "secret": secret}


def _named(call: Call) -> Doc:
    return call.named("webhook_endpoint", name="webhook endpoint")


def retrieve(call: Call) -> Doc:
    return _named(call)


def update(call: Call) -> Doc:
    params = call.params
    doc = call.store.edit(_named(call)["id"])
    if "url" in params:
        check_url(params["url"], param="url")
        doc["url"] = params["url"]
    if "enabled_events" in params:
        doc["enabled_events"] = _events(params["enabled_events"])
    if "description" in params:
        doc["description"] = params["description"] or None
    if "disabled" in params:
        doc["status"] = "disabled" if params["disabled"] else "enabled"
    if "metadata" in params:
        doc["metadata"] = merged_metadata(doc["metadata"], params["metadata"])
    call.desk.forget_endpoints()
    return doc


def delete(call: Call) -> Doc:
    doc = _named(call)
    call.store.db.execute(
        "UPDATE deliveries SET state = 'failed', reason = 'endpoint deleted' WHERE endpoint = ? AND state = 'pending'",
        (doc["id"],),
    )
    call.store.remove(doc["id"])
    call.desk.forget_endpoints()
    return {"id": doc["id"], "object": "webhook_endpoint", "deleted": True}


def listing(call: Call) -> Doc:
    return page(call, "webhook_endpoint", url="/v1/webhook_endpoints")


def roll(desk: Desk, identifier: str, *, overlap_seconds: int) -> str:
    """Give an endpoint a new secret and return it; the old one signs too until the overlap ends.

    Call inside a transaction.
    """
    doc = desk.store.edit(identifier)
    doc["_old_secret"], doc["_old_secret_until"] = doc["_secret"], desk.clock.now() + overlap_seconds
    doc["_secret"] = new_secret("whsec_")
    return doc["_secret"]
