"""Webhook endpoints: a new signing secret."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox import endpoints
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.wire import ApiError, Doc, invalid

_ROLL = compile_table("overlap_seconds:i")


def routes(plane: Plane) -> list[Route]:
    return [plane.route("webhook_endpoints/{endpoint}/roll", "POST", roll, _ROLL)]


def roll(ask: Ask) -> Doc:
    """Give an endpoint a new secret; what is sent until the overlap ends is signed with both (a day at most)."""
    wanted = ask.path["endpoint"]
    if ask.desk.store.find("webhook_endpoint", wanted) is None:
        raise ApiError(404, f"No such webhook endpoint: '{wanted}'", code="resource_missing", param="endpoint")
    overlap = ask.params.get("overlap_seconds", endpoints.OVERLAP_SECONDS_MAX)
    if not 0 <= overlap <= endpoints.OVERLAP_SECONDS_MAX:
        raise invalid(
            f"Invalid overlap_seconds: must be from 0 (the old secret ends now) to {endpoints.OVERLAP_SECONDS_MAX}",
            param="overlap_seconds",
        )
    with ask.desk.store.transaction():
        secret = endpoints.roll(ask.desk, wanted, overlap_seconds=overlap)
    return {"id": wanted, "secret": secret, "old_secret_until": ask.desk.clock.now() + overlap}
