"""Bank accounts that payouts go to: test numbers and how they behave."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from marketbill.sandbox.call import Call
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata, missing_parameter
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, invalid, missing, new_id, refused

BANK_ACCOUNTS_MAX = 20

#: US routing number of the test bank, and what a payout to each of its account numbers ends in.
TEST_ROUTING = "110000000"
PAYOUT_FAILURES = {
    "000111111116": ("no_account", "The bank account could not be located."),
    "000111111113": ("account_closed", "The bank account has been closed."),
    "000222222227": ("insufficient_funds", "The bank account has insufficient funds."),
    "000333333335": ("debit_not_authorized", "Debit transactions are not approved on the bank account."),
    "000444444440": ("invalid_currency", "The bank was unable to process this payout because of its currency."),
}
NO_INSTANT_PAYOUTS = "000888888883"

#: Routing and account number that a completed onboarding adds, by country; other countries get an IBAN-like number.
DEFAULT_NUMBERS = {
    "US": (TEST_ROUTING, "000123456789"),
    "GB": ("108800", "00012345"),
    "CA": ("11000-000", "000123456789"),
    "AU": ("110000", "000123456"),
    "NL": (None, "NL39RABO0300065264"),
    "DE": (None, "DE89370400440532013000"),
    "FR": (None, "FR1420041010050500013M02606"),
    "BE": (None, "BE12345678912345"),
    "ES": (None, "ES0700120345030000067890"),
    "IT": (None, "IT40S0542811101000000123456"),
    "IE": (None, "IE29AIBK93115212345678"),
    "AT": (None, "AT611904300234573201"),
}


def fingerprint(routing: str | None, number: str) -> str:
    return sha256(f"{routing or ''}/{number}".encode()).hexdigest()[:16]


_FAILING = {fingerprint(TEST_ROUTING, number): failure for number, failure in PAYOUT_FAILURES.items()}
_NO_INSTANT = fingerprint(TEST_ROUTING, NO_INSTANT_PAYOUTS)


def payout_failure(bank: Doc) -> tuple[str, str] | None:
    """Return the failure code and message in which a payout to this account ends, or None."""
    return _FAILING.get(bank["fingerprint"])


def add(
    desk: Desk,
    account: str,
    *,
    country: str,
    currency: str,
    routing: str | None,
    number: str,
    holder: str | None = None,
    holder_type: str | None = None,
    default: bool = False,
    metadata: Any = None,
    announce: bool = True,
) -> Doc:
    """Add a bank account to an account; the first of its currency becomes the default for it."""
    owner = desk.store.edit(account)
    others = owner["external_accounts"]["data"]
    first = not any(other["currency"] == currency for other in others)
    mark = fingerprint(routing, number)
    doc: Doc = {
        "id": new_id("ba_1"),
        "object": "bank_account",
        "account": account,
        "account_holder_name": holder,
        "account_holder_type": holder_type,
        "account_type": None,
        "available_payout_methods": ["standard"] if mark == _NO_INSTANT else ["standard", "instant"],
        "bank_name": "STRIPE TEST BANK",
        "country": country,
        "currency": currency,
        "default_for_currency": first or default,
        "fingerprint": mark,
        "last4": number[-4:],
        "metadata": merged_metadata({}, metadata or {}),
        "routing_number": routing,
        "status": "new",
    }
    desk.store.insert("bank_account", account, doc)
    if default:
        for other in list(others):
            if other["currency"] == currency and other["default_for_currency"]:
                write(desk, other["id"], default_for_currency=False)
    owner["external_accounts"] = {
        **owner["external_accounts"],
        "data": [*owner["external_accounts"]["data"], dict(doc)],
    }
    if announce:
        emit(desk, account, "account.external_account.created", doc)
    return doc


def write(desk: Desk, identifier: str, **changes: Any) -> Doc:
    """Change a bank account, in its own document and in its owner's."""
    doc = desk.store.edit(identifier)
    doc.update(changes)
    owner = desk.store.edit(doc["account"])
    copies = [dict(doc) if other["id"] == identifier else other for other in owner["external_accounts"]["data"]]
    owner["external_accounts"] = {**owner["external_accounts"], "data": copies}
    return doc


def for_currency(desk: Desk, account: str, currency: str) -> Doc | None:
    """Return the account's default bank account for a currency."""
    for doc in desk.store.get("account", account)["external_accounts"]["data"]:
        if doc["currency"] == currency and doc["default_for_currency"]:
            return desk.store.get("bank_account", doc["id"])
    return None


def from_params(desk: Desk, account: str, given: Any, *, default: bool = False, metadata: Any = None) -> Doc:
    """Add the bank account that an ``external_account`` parameter describes."""
    owner = desk.store.get("account", account)
    if len(owner["external_accounts"]["data"]) >= BANK_ACCOUNTS_MAX:
        raise refused(f"An account can have at most {BANK_ACCOUNTS_MAX} external accounts.", param="external_account")
    if isinstance(given, str):
        number = {"btok_us_verified": "000123456789", "btok_us": "000123456789"}.get(given)
        if number is None:
            raise missing("token", given, param="external_account", status=400)
        return add(desk, account, country="US", currency="usd", routing=TEST_ROUTING, number=number, metadata=metadata)
    if not isinstance(given, dict) or given.get("object") != "bank_account":
        raise invalid(
            "The sandbox provider simulates external accounts of object bank_account.", param="external_account"
        )
    known = {
        "object", "country", "currency", "account_number", "routing_number", "account_holder_name",
        "account_holder_type",
    }  # fmt: skip
    for name in given:
        if name not in known:
            path = f"external_account[{name}]"
            raise invalid(f"Received unknown parameter: {path}", code="parameter_unknown", param=path)
    for name in ("country", "account_number"):
        if not given.get(name):
            raise missing_parameter(f"external_account[{name}]")
    country = str(given["country"]).upper()
    currency = str(given.get("currency") or owner["default_currency"]).lower()
    routing = given.get("routing_number") or None
    if country == "US" and routing != TEST_ROUTING:
        raise invalid(
            "The routing number you provided is not the test bank's; use 110000000.",
            code="routing_number_invalid",
            param="external_account[routing_number]",
        )
    return add(
        desk,
        account,
        country=country,
        currency=currency,
        routing=routing,
        number=str(given["account_number"]),
        holder=given.get("account_holder_name") or None,
        holder_type=given.get("account_holder_type") or None,
        default=default,
        metadata=metadata,
    )


def add_default(desk: Desk, account: str) -> Doc:
    """Add the test bank account of the account's country, in its default currency."""
    owner = desk.store.get("account", account)
    country = owner["country"]
    routing, number = DEFAULT_NUMBERS.get(country, (None, f"{country}89370400440532013000"))
    return add(desk, account, country=country, currency=owner["default_currency"], routing=routing, number=number)


def create(call: Call) -> Doc:
    owner = call.reachable_account()["id"]
    params = call.params
    return from_params(
        call.desk,
        owner,
        params["external_account"],
        default=params.get("default_for_currency", False),
        metadata=params.get("metadata"),
    )


def _named(call: Call) -> Doc:
    owner = call.reachable_account()["id"]
    doc = call.store.find("bank_account", call.path["id"], owner)
    if doc is None:
        raise missing("external account", call.path["id"])
    return doc


def retrieve(call: Call) -> Doc:
    return _named(call)


def update(call: Call) -> Doc:
    """Change a bank account; an update also lifts the block that a failed payout left."""
    doc = _named(call)
    params = call.params
    changes: Doc = {}
    for name in ("account_holder_name", "account_holder_type"):
        if name in params:
            changes[name] = params[name] or None
    if "metadata" in params:
        changes["metadata"] = merged_metadata(doc["metadata"], params["metadata"])
    if doc["status"] == "errored":
        changes["status"] = "new"
    if params.get("default_for_currency"):
        for other in call.store.get("account", doc["account"])["external_accounts"]["data"]:
            if other["currency"] == doc["currency"] and other["id"] != doc["id"]:
                write(call.desk, other["id"], default_for_currency=False)
        changes["default_for_currency"] = True
    doc = write(call.desk, doc["id"], **changes)
    emit(call.desk, doc["account"], "account.external_account.updated", doc)
    return doc


def delete(call: Call) -> Doc:
    doc = _named(call)
    if doc["default_for_currency"]:
        others = call.store.get("account", doc["account"])["external_accounts"]["data"]
        if any(other["currency"] == doc["currency"] and other["id"] != doc["id"] for other in others):
            raise refused(
                "You cannot delete the default external account for your default currency. Please make another "
                "external account the default using the `default_for_currency` param, and then delete this one."
            )
    owner = call.store.edit(doc["account"])
    owner["external_accounts"] = {
        **owner["external_accounts"],
        "data": [other for other in owner["external_accounts"]["data"] if other["id"] != doc["id"]],
    }
    emit(call.desk, doc["account"], "account.external_account.deleted", doc)
    gone = {"id": doc["id"], "object": "bank_account", "deleted": True}
    call.store.remove(doc["id"])
    return gone


def listing(call: Call) -> Doc:
    owner = call.reachable_account()["id"]
    return page(
        call.desk,
        "bank_account",
        owner,
        call.params,
        url=f"/v1/accounts/{owner}/external_accounts",
        tree=call.tree,
        name="external account",
    )
