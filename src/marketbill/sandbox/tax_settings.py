"""Tax settings of an account: its head office, and what a line takes that says nothing."""

from __future__ import annotations

from typing import Any

from marketbill.sandbox.call import Call
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.payment_methods import address
from marketbill.sandbox.wire import Doc

UPDATE = """
    defaults:{tax_behavior:(exclusive|inclusive|inferred_by_currency) tax_code} head_office:{address!:$address}
"""


def settings(desk: Desk, account: str) -> Doc:
    """Return the settings; without a head office they are pending."""
    kept: Doc | None = desk.store.find("tax.settings", _key(account))
    office = kept["head_office"] if kept else None
    defaults = kept["defaults"] if kept else {"tax_behavior": None, "tax_code": None}
    details: dict[str, Any] = {"active": {}} if office else {"pending": {"missing_fields": ["head_office"]}}
    return {
        "object": "tax.settings",
        "defaults": {"provider": "stripe", **defaults},
        "head_office": office,
        "livemode": False,
        "status": "active" if office else "pending",
        "status_details": details,
    }


def _key(account: str) -> str:
    return f"tax_settings/{account}"


def retrieve(call: Call) -> Doc:
    return settings(call.desk, call.account)


def update(call: Call) -> Doc:
    before = settings(call.desk, call.account)
    key = _key(call.account)
    if call.store.find("tax.settings", key) is None:
        blank = {"id": key, "head_office": None, "defaults": {"tax_behavior": None, "tax_code": None}}
        call.store.insert("tax.settings", call.account, blank)
    doc = call.store.edit(key)
    if call.params.get("defaults"):
        doc["defaults"] = {**doc["defaults"], **call.params["defaults"]}
    if call.params.get("head_office"):
        doc["head_office"] = {"address": address(call.params["head_office"]["address"])}
    after = settings(call.desk, call.account)
    previous = {name: before[name] for name in before if before[name] != after[name]}
    if previous:
        emit(call.desk, call.account, "tax.settings.updated", after, previous=previous)
    return after


def behaviour(desk: Desk, account: str, currency: str) -> str:
    """Return whether prices that say nothing include tax."""
    wish = settings(desk, account)["defaults"]["tax_behavior"]
    if wish == "inferred_by_currency":
        return "exclusive" if currency in ("usd", "cad") else "inclusive"
    return wish or "exclusive"
