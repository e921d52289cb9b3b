"""Refunds: what the bank of the card would decide later."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox import refunds
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.rendering import shown
from marketbill.sandbox.wire import Doc

_FAIL = compile_table(f"reason:({'|'.join(refunds.FAILURE_REASONS)})")


def routes(plane: Plane) -> list[Route]:
    return [plane.route("refunds/{refund}/fail", "POST", fail, _FAIL)]


def fail(ask: Ask) -> Doc:
    """Have a refund come back, up to thirty days after it was made."""
    with ask.desk.store.transaction():
        doc = refunds.send_back(ask.desk, ask.path["refund"], ask.params.get("reason") or "unknown")
    return shown(ask.desk, doc)
