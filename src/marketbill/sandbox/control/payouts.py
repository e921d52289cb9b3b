"""Payouts: what the bank does with them."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox import payout_course
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.rendering import shown
from marketbill.sandbox.wire import Doc

_FAIL = compile_table(f"failure_code:({'|'.join(payout_course.FAILURES)})")


def routes(plane: Plane) -> list[Route]:
    return [plane.route("payouts/{payout}/fail", "POST", fail, _FAIL)]


def fail(ask: Ask) -> Doc:
    """Have the bank return a payout, under way or paid, with a ``failure_code`` (``could_not_process``)."""
    code = ask.params.get("failure_code", "could_not_process")
    with ask.desk.store.transaction():
        doc = payout_course.fail(ask.desk, ask.path["payout"], code)
    return shown(ask.desk, doc)
