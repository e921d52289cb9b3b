"""Customers: who pays."""

from __future__ import annotations

from typing import Any

from marketbill.sandbox import payment_methods
from marketbill.sandbox.call import Call
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, missing, new_id

#: Fields that an update sets as they are; an empty value unsets them.
_PLAIN = ("description", "email", "name", "phone")


def shipping(given: Any) -> Doc | None:
    if not given:
        return None
    doc: Doc = {"address": payment_methods.address(given["address"]), "name": given["name"]}
    doc["phone"] = given.get("phone") or None
    for name in ("carrier", "tracking_number"):
        if name in given:
            doc[name] = given[name] or None
    return doc


def create(call: Call) -> Doc:
    params = call.params
    identifier = new_id("cus", 14)
    method = payment_methods.resolve(call, params["payment_method"]) if params.get("payment_method") else None
    settings = params.get("invoice_settings") or {}
    doc = call.store.insert(
        "customer",
        call.account,
        {
            "id": identifier,
            "object": "customer",
            "address": payment_methods.address(params.get("address")),
            "balance": params.get("balance", 0),
            "created": call.now,
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "description": params.get("description") or None,
            "email": params.get("email") or None,
            "invoice_prefix": identifier[4:12].upper(),
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": settings.get("footer") or None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": merged_metadata({}, params.get("metadata") or {}),
            "name": params.get("name") or None,
            "next_invoice_sequence": 1,
            "phone": params.get("phone") or None,
            "preferred_locales": params.get("preferred_locales") or [],
            "shipping": shipping(params.get("shipping")),
            "tax_exempt": params.get("tax_exempt") or "none",
            "test_clock": None,
        },
    )
    if method is not None:
        method = payment_methods.attach_to(call.desk, call.account, method, identifier)
    _set_default(call, doc, settings, known=method)
    emit(call.desk, call.account, "customer.created", doc)
    return doc


def _set_default(call: Call, doc: Doc, settings: Doc, *, known: Doc | None = None) -> None:
    if "default_payment_method" not in settings:
        return
    wanted = settings["default_payment_method"] or None
    if wanted is not None:
        method = known if known is not None else call.store.find("payment_method", wanted, call.account)
        if method is None or method["customer"] != doc["id"]:
            raise missing("PaymentMethod", wanted, param="invoice_settings[default_payment_method]", status=400)
        wanted = method["id"]
    doc["invoice_settings"] = {**doc["invoice_settings"], "default_payment_method": wanted}


def _live(call: Call) -> Doc:
    doc = call.named("customer", param="id")
    if doc.get("deleted"):
        raise missing("customer", doc["id"])
    return doc


def retrieve(call: Call) -> Doc:
    return call.named("customer", param="id")


def update(call: Call) -> Doc:
    params = call.params
    doc = call.store.edit(_live(call)["id"])
    previous: Doc = {}
    changes: Doc = {name: params[name] or None for name in _PLAIN if name in params}
    if "address" in params:
        changes["address"] = payment_methods.address(params["address"])
    if "shipping" in params:
        changes["shipping"] = shipping(params["shipping"])
    if "metadata" in params:
        changes["metadata"] = merged_metadata(doc["metadata"], params["metadata"])
    if "tax_exempt" in params:
        changes["tax_exempt"] = params["tax_exempt"] or "none"
    if "preferred_locales" in params:
        changes["preferred_locales"] = params["preferred_locales"] or []
    if "balance" in params:
        changes["balance"] = params["balance"]
    for name, value in changes.items():
        if doc[name] != value:
            previous[name] = doc[name]
            doc[name] = value
    _set_default(call, doc, params.get("invoice_settings") or {})
    emit(call.desk, call.account, "customer.updated", doc, previous=previous)
    return doc


def delete(call: Call) -> Doc:
    doc = call.store.edit(_live(call)["id"])
    emit(call.desk, call.account, "customer.deleted", doc)
    gone = {"id": doc["id"], "object": "customer", "deleted": True}
    for method in call.store.select("payment_method", call.account, [("a = ?", doc["id"])], limit=100):
        call.store.edit(method["id"])["customer"] = None
    doc.clear()
    doc.update(gone)
    return gone


def listing(call: Call) -> Doc:
    return page(
        call,
        "customer",
        url="/v1/customers",
        by=("email",),
        # A deleted customer leaves a tombstone without metadata; lists leave it out.
        where=[("instr(CAST(doc AS TEXT), ?) = 0", '"deleted":true')],
    )
