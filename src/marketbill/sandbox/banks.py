"""Where payouts go: bank accounts by test numbers, debit cards by test tokens, and how they behave.

Both are kept as one kind of document, ``bank_account``; their ``object`` tells them apart.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from marketbill.sandbox import debit_cards
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
    "000111111116": "no_account",
    "000111111113": "account_closed",
    "000222222227": "insufficient_funds",
    "000333333335": "debit_not_authorized",
    "000444444440": "invalid_currency",
}
BANK_TOKENS = {"btok_us": "000123456789", "btok_us_verified": "000123456789"}
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


_FAILING = {
    **{fingerprint(TEST_ROUTING, number): failure for number, failure in PAYOUT_FAILURES.items()},
    **debit_cards.FAILURES,
}
_NO_INSTANT = fingerprint(TEST_ROUTING, NO_INSTANT_PAYOUTS)


def payout_failure(bank: Doc) -> str | None:
    """Return the failure code in which a payout to this account ends, or None."""
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
    """Add a bank account to an account."""
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
        "default_for_currency": False,
        "fingerprint": mark,
        "last4": number[-4:],
        "metadata": merged_metadata({}, metadata or {}),
        "routing_number": routing,
        "status": "new",
    }
    return attach(desk, account, doc, default=default, announce=announce)


def attach(desk: Desk, account: str, doc: Doc, *, default: bool, announce: bool = True) -> Doc:
    """Keep a bank account or debit card; the first of its currency is the default for it, whatever is wished."""
    owner = desk.store.edit(account)
    others = [one for one in owner["external_accounts"]["data"] if one["currency"] == doc["currency"]]
    doc["default_for_currency"] = default or not others
    desk.store.insert("bank_account", account, doc)
    if default:
        for other in others:
            if other["default_for_currency"]:
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


def receiving(desk: Desk, account: str, currency: str) -> Doc | None:
    """Return the bank account that payouts in a currency go to.

    Who was given the sandbox's own bank by onboarding has one in every currency, opened when it is needed.
    """
    bank = for_currency(desk, account, currency)
    if bank is None and desk.store.get("account", account).get("_any_currency"):
        bank = add_default(desk, account, currency)
    return bank


def takes_instant(owner: Doc, bank: Doc) -> bool:
    """Tell whether instant payouts of an account may go to its bank account: at home, to a bank that takes them."""
    return "instant" in bank["available_payout_methods"] and bank["country"] == owner["country"]


def from_params(desk: Desk, account: str, given: Any, *, default: bool = False, metadata: Any = None) -> Doc:
    """Add the bank account that an ``external_account`` parameter describes."""
    owner = desk.store.get("account", account)
    if len(owner["external_accounts"]["data"]) >= BANK_ACCOUNTS_MAX:
        raise refused(f"An account can have at most {BANK_ACCOUNTS_MAX} external accounts.", param="external_account")
    if isinstance(given, dict) and given.get("object") == "card" and set(given) <= {"object", "currency", "token"}:
        given = str(given.get("token"))
    if isinstance(given, str):
        return _from_token(desk, account, given, default=default, metadata=metadata)
    if not isinstance(given, dict) or given.get("object") != "bank_account":
        raise invalid(
            "The sandbox provider simulates external accounts of object bank_account, and of object card by token.",
            param="external_account",
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


def _from_token(desk: Desk, account: str, token: str, *, default: bool, metadata: Any) -> Doc:
    if token in debit_cards.DEBIT_CARDS:
        card = debit_cards.document(token, account=account, metadata=metadata)
        return attach(desk, account, card, default=default)
    if token not in BANK_TOKENS:
        raise missing("token", token, param="external_account", status=400)
    return add(
        desk,
        account,
        country="US",
        currency="usd",
        routing=TEST_ROUTING,
        number=BANK_TOKENS[token],
        default=default,
        metadata=metadata,
    )


def add_default(desk: Desk, account: str, currency: str | None = None) -> Doc:
    """Add the test bank account of the account's country, in its default currency unless another is given."""
    owner = desk.store.get("account", account)
    country = owner["country"]
    routing, number = DEFAULT_NUMBERS.get(country, (None, f"{country}89370400440532013000"))
    return add(
        desk, account, country=country, currency=currency or owner["default_currency"], routing=routing, number=number
    )


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


_BANK_FIELDS = ("account_holder_name", "account_holder_type", "account_type")
_CARD_FIELDS = (
    "address_city", "address_country", "address_line1", "address_line2", "address_state", "address_zip", "exp_month",
    "exp_year", "name",
)  # fmt: skip


def update(call: Call) -> Doc:
    """Change a bank account or card; an update also lifts the block that a failed payout left."""
    doc = _named(call)
    params = call.params
    changes: Doc = {}
    for name in _CARD_FIELDS if doc["object"] == "bank_account" else _BANK_FIELDS:
        if name in params:
            raise invalid(f"A {doc['object']} has no {name}.", code="parameter_unknown", param=name)
    for name in (*_BANK_FIELDS, *_CARD_FIELDS):
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
    previous = {name: doc[name] for name, value in changes.items() if doc[name] != value}
    doc = write(call.desk, doc["id"], **changes)
    emit(call.desk, doc["account"], "account.external_account.updated", doc, previous=previous)
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
    gone = {"id": doc["id"], "object": doc["object"], "currency": doc["currency"], "deleted": True}
    call.store.remove(doc["id"])
    return gone


def listing(call: Call) -> Doc:
    owner = call.reachable_account()["id"]
    return page(
        call,
        "bank_account",
        account=owner,
        url=f"/v1/accounts/{owner}/external_accounts",
        by=("object",),
        name="external account",
    )
