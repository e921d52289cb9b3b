"""Accounts: what their owner, the provider's checks or the bank would do to them."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox import balances, onboarding, risk_reserves
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.currencies import checked_currency
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.rendering import shown
from marketbill.sandbox.wire import Doc, invalid

_ONBOARD = compile_table("outcome!")
_CAPABILITY = compile_table("name! status!:(active|inactive|pending)")
_NOTHING = compile_table("")
_FUND = compile_table("currency! amount!:i")
_RISK = compile_table("currency! amount!:i days!:i")


def routes(plane: Plane) -> list[Route]:
    return [
        plane.route("accounts/{account}/onboard", "POST", onboard, _ONBOARD),
        plane.route("accounts/{account}/capability", "POST", set_capability, _CAPABILITY),
        plane.route("accounts/{account}/fund", "POST", fund, _FUND),
        plane.route("accounts/{account}/deauthorize", "POST", deauthorize, _NOTHING),
        plane.route("accounts/{account}/risk_reserve", "POST", hold_for_risk, _RISK),
    ]


def onboard(ask: Ask) -> Doc:
    with ask.desk.store.transaction():
        doc = onboarding.finish(ask.desk, ask.path["account"], ask.params["outcome"])
    return shown(ask.desk, doc)


def set_capability(ask: Ask) -> Doc:
    account = ask.account()
    with ask.desk.store.transaction():
        doc = onboarding.set_capability(ask.desk, account, ask.params["name"], ask.params["status"])
    return shown(ask.desk, doc)


def deauthorize(ask: Ask) -> Doc:
    account = ask.account()
    if ask.desk.platform_of(account) == account:
        raise invalid("A platform cannot be deauthorized; only an account connected to one.", param="account")
    with ask.desk.store.transaction():
        doc = onboarding.deauthorize(ask.desk, account)
    return shown(ask.desk, doc)


def fund(ask: Ask) -> Doc:
    """Adjust an account's available balance, up or down, as a seed for a story."""
    account = ask.account()
    currency = checked_currency(ask.params["currency"])
    with ask.desk.store.transaction():
        balances.record(
            ask.desk,
            account,
            transaction_type="adjustment",
            amount=ask.params["amount"],
            currency=currency,
            source=None,
            description="Sandbox adjustment",
        )
    return balances.balance(ask.desk, account)


def hold_for_risk(ask: Ask) -> Doc:
    """Have the provider keep money of an account back for some days."""
    account, params = ask.account(), ask.params
    currency = checked_currency(params["currency"])
    with ask.desk.store.transaction():
        risk_reserves.hold(ask.desk, account, amount=params["amount"], currency=currency, days=params["days"])
    return balances.balance(ask.desk, account)
