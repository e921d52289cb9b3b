"""Payments: what the buyer's bank would decide."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox import confirmation, setup_intents
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.rendering import shown
from marketbill.sandbox.wire import Doc

_AUTHENTICATE = compile_table("outcome!:(approve|fail)")


def routes(plane: Plane) -> list[Route]:
    return [
        plane.route("payment_intents/{intent}/authenticate", "POST", authenticate, _AUTHENTICATE),
        plane.route("setup_intents/{intent}/authenticate", "POST", authenticate_setup, _AUTHENTICATE),
    ]


def authenticate(ask: Ask) -> Doc:
    with ask.desk.store.transaction():
        doc, back = confirmation.authenticate(ask.desk, ask.path["intent"], approve=ask.params["outcome"] == "approve")
    return {"payment_intent": shown(ask.desk, doc), "redirect": back}


def authenticate_setup(ask: Ask) -> Doc:
    with ask.desk.store.transaction():
        doc, back = setup_intents.authenticate(ask.desk, ask.path["intent"], approve=ask.params["outcome"] == "approve")
    return {"setup_intent": shown(ask.desk, doc), "redirect": back}
