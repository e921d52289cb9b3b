"""Idempotency keys whose first request is still running."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.wire import Doc

_IN_FLIGHT = compile_table("account! key! held!:b")


def routes(plane: Plane) -> list[Route]:
    return [plane.route("in_flight", "POST", hold, _IN_FLIGHT)]


def hold(ask: Ask) -> Doc:
    """Have an idempotency key look as if its first request were still running, or let it go."""
    key = (ask.params["account"], ask.params["key"])
    if ask.params["held"]:
        ask.api.answers.in_flight.add(key)
    else:
        ask.api.answers.in_flight.discard(key)
    return {"held": ask.params["held"]}
