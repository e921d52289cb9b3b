"""All routes of the control plane."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox.control import (
    accounts,
    clock,
    deliveries,
    disputes,
    exchange_rates,
    faults,
    keys,
    limits,
    payment_intents,
    payouts,
    platforms,
    refunds,
    state,
    webhook_endpoints,
)
from marketbill.sandbox.control.plane import Plane
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.dispatch import Api
from marketbill.sandbox.line import Line

_NOUNS = (
    accounts,
    clock,
    deliveries,
    disputes,
    exchange_rates,
    faults,
    keys,
    limits,
    payment_intents,
    payouts,
    platforms,
    refunds,
    state,
    webhook_endpoints,
)


def control_routes(desk: Desk, api: Api, line: Line) -> list[Route]:
    """Return the routes of the control plane of one sandbox.

    A form cannot send DELETE, so a POST to the same path with ``/delete`` behind it does the same.
    """
    plane = Plane(desk, api, line)
    routes = [route for noun in _NOUNS for route in noun.routes(plane)]
    deletions = [route for route in routes if route.methods == {"DELETE"}]
    return routes + [Route(f"{route.path}/delete", route.endpoint, methods=["POST"]) for route in deletions]
