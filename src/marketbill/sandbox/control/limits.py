"""Rate limits of the API."""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.limits import LIMIT_MAX, LIMIT_NAMES
from marketbill.sandbox.wire import Doc, invalid


def routes(plane: Plane) -> list[Route]:
    return [plane.route("limits", "GET", limits), plane.route("limits", "POST", change, _read)]


def _read(sent: Doc, path: str) -> Doc:
    sent = {name: _from_form(value) for name, value in sent.items()}
    for name, value in sent.items():
        if name not in LIMIT_NAMES:
            raise invalid(
                f"Received unknown parameter: {name}. The limits are {', '.join(LIMIT_NAMES)}.",
                code="parameter_unknown",
                param=name,
            )
        if value is not None and (type(value) is not int or not 1 <= value <= LIMIT_MAX):
            raise invalid(f"Invalid {name}: must be from 1 to {LIMIT_MAX}, or null for no limit", param=name)
    return sent


def _from_form(value: Any) -> Any:
    """Return a value as JSON would have it: a form writes numbers in digits, and null as "none"."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(LIMIT_MAX)):
        return int(value)
    return None if value == "none" else value


def limits(ask: Ask) -> Doc:
    return ask.line.gate.shown()


def change(ask: Ask) -> Doc:
    """Change the limits that are named; null takes one away."""
    with ask.desk.store.transaction():
        ask.line.gate.set(ask.params)
    return limits(ask)
