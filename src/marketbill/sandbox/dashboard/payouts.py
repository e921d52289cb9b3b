"""Payouts: money on its way to banks."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from marketbill.sandbox.dashboard import queries
from marketbill.sandbox.dashboard.frame import PREFIX, Frame, Look, NoPage
from marketbill.sandbox.dashboard.objects import subject
from marketbill.sandbox.payout_course import FAILURES

STATES = ("pending", "in_transit", "paid", "failed", "canceled")


def routes(frame: Frame) -> list[Route]:
    return [
        frame.route(f"{PREFIX}/payouts", listing),
        frame.route(f"{PREFIX}/payouts/{{payout}}", payout),
    ]


def listing(look: Look) -> Response:
    state = look.asked("status")
    where = [("d = ?", state)] if state else []
    found = queries.objects(look, "payout", where, status=state)
    return look.page("payouts.html", found=found, state=state, states=STATES, account=look.asked("account"))


def payout(look: Look) -> Response:
    desk, identifier = look.desk, look.named("payout")
    about = subject(look, identifier, kind="payout")
    if about is None:
        raise NoPage(f"There is no payout {identifier}.")
    bank = queries.find(desk, about.doc["destination"]) if about.doc["destination"] else None
    return look.page(
        "payout.html",
        about=about,
        bank=bank[2] if bank is not None else None,
        at_bank=about.doc["status"] in ("in_transit", "paid") and not about.doc["reversed_by"],
        failures=list(FAILURES),
    )
