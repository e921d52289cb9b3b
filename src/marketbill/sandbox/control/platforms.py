"""Platforms: an account of its own with keys to the API."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox import accounts, topups
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.countries import DEFAULT_CURRENCY
from marketbill.sandbox.currencies import check_positive, checked_currency
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.rendering import shown
from marketbill.sandbox.wire import Doc, new_secret

_PLATFORM = compile_table("country! connect_reserves:b default_currency name settle:(default|every)")
_TOP_UP = compile_table("amount!:i currency!")


def routes(plane: Plane) -> list[Route]:
    return [
        plane.route("platforms", "POST", create, _PLATFORM),
        plane.route("accounts/{account}/topups", "POST", top_up, _TOP_UP),
    ]


def create(ask: Ask) -> Doc:
    desk, params = ask.desk, ask.params
    country = accounts.checked_country(params["country"])
    currency = checked_currency(params.get("default_currency") or DEFAULT_CURRENCY[country], param="default_currency")
    secret, publishable = new_secret("sk_test_"), new_secret("pk_test_")
    with desk.store.transaction():
        doc = accounts.create_platform(
            desk,
            country=country,
            currency=currency,
            name=params.get("name") or "Sandbox platform",
            settle=params.get("settle", "every"),
            connect_reserves=params.get("connect_reserves", True),
        )
        desk.store.db.execute("INSERT INTO keys VALUES (?, ?, ?)", (secret, publishable, doc["id"]))
        if desk.store.meta("prune") is None:
            desk.store.set_meta("prune", "scheduled")
            desk.schedule.add(desk.clock.now() + 86_400, "prune", "")
    return {"id": doc["id"], "secret_key": secret, "publishable_key": publishable}


def top_up(ask: Ask) -> Doc:
    """Top up a platform's balance from its bank, as somebody does on the provider's own pages."""
    account, params = ask.account(), ask.params
    currency = checked_currency(params["currency"])
    check_positive(params["amount"])
    with ask.desk.store.transaction():
        doc = topups.top_up(ask.desk, account, amount=params["amount"], currency=currency, params={})
    return shown(ask.desk, doc)
