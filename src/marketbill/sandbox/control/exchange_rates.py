"""Exchange rates: what the markets would do to them."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox import exchange_rates
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.currencies import checked_currency
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.wire import Doc, invalid

_RATES = compile_table("base! rates!:any")


def routes(plane: Plane) -> list[Route]:
    return [plane.route("exchange_rates", "POST", change, _RATES)]


def change(ask: Ask) -> Doc:
    """Set rates of a currency, and return all it has: ``{"base": "usd", "rates": {"cad": "1.35883"}}``."""
    base, rates = checked_currency(ask.params["base"], param="base"), ask.params["rates"]
    if not isinstance(rates, dict) or not rates:
        raise invalid('Give rates by currency, like {"cad": "1.35883"}.', param="rates")
    with ask.desk.store.transaction():
        return exchange_rates.set_rates(ask.desk, base, rates)
