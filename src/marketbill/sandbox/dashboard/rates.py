"""Exchange rates: what everything is converted by."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from marketbill.sandbox import exchange_rates
from marketbill.sandbox.currencies import SUPPORTED
from marketbill.sandbox.dashboard.frame import PREFIX, Frame, Look, NoPage

BASE = "usd"
#: Currencies shown first, with those that accounts hold.
USUAL = ("usd", "eur", "gbp", "jpy", "cad", "aud", "chf", "sek", "nok", "dkk", "pln", "czk", "huf")


def routes(frame: Frame) -> list[Route]:
    return [frame.route(f"{PREFIX}/rates", rates)]


def rates(look: Look) -> Response:
    desk = look.desk
    base = (look.asked("base") or BASE).lower()
    if base not in SUPPORTED:
        raise NoPage(f"There is no currency {base}.")
    held = {row[0] for row in desk.store.db.execute("SELECT DISTINCT currency FROM balances").fetchall()}
    first = [currency for currency in dict.fromkeys((*USUAL, *sorted(held))) if currency != base]
    rest = sorted(SUPPORTED - {base, *first})
    was_set = {
        row[0] for row in desk.store.db.execute("SELECT quote FROM exchange_rates WHERE base = ?", (base,)).fetchall()
    }
    return look.page(
        "rates.html",
        base=base,
        currencies=sorted(SUPPORTED),
        groups=[
            [(currency, exchange_rates.rate(desk, base, currency), currency in was_set) for currency in group]
            for group in (first, rest)
        ],
    )
