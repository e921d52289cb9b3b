"""Payment methods: made from test tokens only. No card number is ever taken."""

from __future__ import annotations

from typing import Any

from marketbill.sandbox.call import Call
from marketbill.sandbox.cards import CARDS, TOKENS, TestCard, method_card
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata, missing_parameter
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import ApiError, Doc, invalid, missing, new_id, refused

ADDRESS_FIELDS = ("city", "country", "line1", "line2", "postal_code", "state")


def address(given: Any) -> Doc | None:
    """Return a full address from a partial one, or None."""
    if not given:
        return None
    return {name: given.get(name) or None for name in ADDRESS_FIELDS}


def billing_details(given: Any) -> Doc:
    given = given or {}
    return {
        "address": address(given.get("address")) or dict.fromkeys(ADDRESS_FIELDS),
        "email": given.get("email") or None,
        "name": given.get("name") or None,
        "phone": given.get("phone") or None,
        "tax_id": given.get("tax_id") or None,
    }


def from_card(call: Call, card: TestCard, *, billing: Any = None, metadata: Any = None) -> Doc:
    """Make a payment method of the acting account from a test card."""
    return call.store.insert(
        "payment_method",
        call.account,
        {
            "id": new_id("pm_1"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": billing_details(billing),
            "card": method_card(card),
            "created": call.now,
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": merged_metadata({}, metadata or {}),
            "type": "card",
        },
    )


def resolve(call: Call, identifier: str, *, param: str = "payment_method") -> Doc:
    """Return the payment method that a parameter names; a test token becomes a new one, as with Stripe.

    :raises ApiError: 400 ``resource_missing``.
    """
    card = CARDS.get(identifier)
    if card is not None:
        return from_card(call, card)
    doc = call.store.find("payment_method", identifier, call.account)
    if doc is None:
        raise missing("PaymentMethod", identifier, param=param, status=400)
    return doc


def create(call: Call) -> Doc:
    params = call.params
    if params.get("type") is None:
        raise missing_parameter("type")
    if params["type"] != "card":
        raise invalid("The sandbox provider simulates payment methods of type card only.", param="type")
    given = params.get("card") or {}
    if "number" in given:
        raise ApiError(
            402,
            "Sending credit card numbers directly to the Stripe API is generally unsafe. "
            "We suggest you use test tokens that map to the test card you are using, "
            "see https://stripe.com/docs/testing.",
            type="card_error",
        )
    token = given.get("token")
    if not token:
        raise missing_parameter("card")
    card = TOKENS.get(token)
    if card is None:
        raise missing("token", token, param="card[token]", status=400)
    return from_card(call, card, billing=params.get("billing_details"), metadata=params.get("metadata"))


def retrieve(call: Call) -> Doc:
    identifier = call.path["id"]
    if identifier in CARDS:
        return from_card(call, CARDS[identifier])
    return call.named("payment_method", name="PaymentMethod")


def update(call: Call) -> Doc:
    doc = call.named("payment_method", name="PaymentMethod")
    if doc["customer"] is None:
        raise refused(
            "You must save this PaymentMethod to a customer before you can update it.", param="payment_method"
        )
    params = call.params
    changes: Doc = {}
    if "metadata" in params:
        changes["metadata"] = merged_metadata(doc["metadata"], params["metadata"])
    if "billing_details" in params:
        given = params["billing_details"] or {}
        changes["billing_details"] = billing_details({**doc["billing_details"], **given})
    if "allow_redisplay" in params:
        changes["allow_redisplay"] = params["allow_redisplay"]
    if params.get("card"):
        changes["card"] = {**doc["card"], **params["card"]}
    previous = {name: doc[name] for name, value in changes.items() if doc[name] != value}
    doc = call.store.edit(doc["id"])
    doc.update(changes)
    emit(call.desk, call.account, "payment_method.updated", doc, previous=previous)
    return doc


def attach(call: Call) -> Doc:
    customer = call.params.get("customer")
    if not customer:
        raise missing_parameter("customer")
    if call.store.find("customer", customer, call.account) is None:
        raise missing("customer", customer, param="customer", status=400)
    identifier = call.path["id"]
    if identifier not in CARDS and call.store.find("payment_method", identifier, call.account) is None:
        raise missing("PaymentMethod", identifier)
    return attach_to(call.desk, call.account, resolve(call, identifier), customer)


def attach_to(desk: Desk, account: str, doc: Doc, customer: str) -> Doc:
    """Save a payment method to a customer.

    :raises ApiError: it already belongs to another customer.
    """
    if doc["customer"] == customer:
        return doc
    if doc["customer"] is not None:
        raise refused(
            "The payment method you provided has already been attached to a customer.", param="payment_method"
        )
    doc = desk.store.edit(doc["id"])
    doc["customer"] = customer
    emit(desk, account, "payment_method.attached", doc)
    return doc


def detach(call: Call) -> Doc:
    doc = call.named("payment_method", name="PaymentMethod")
    if doc["customer"] is None:
        raise refused(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            param="payment_method",
        )
    doc = call.store.edit(doc["id"])
    previous, doc["customer"] = doc["customer"], None
    customer = call.store.find("customer", previous)
    if customer is not None and customer["invoice_settings"]["default_payment_method"] == doc["id"]:
        customer = call.store.edit(previous)
        customer["invoice_settings"] = {**customer["invoice_settings"], "default_payment_method": None}
    emit(call.desk, call.account, "payment_method.detached", doc, previous={"customer": previous})
    return doc


def listing(call: Call) -> Doc:
    return page(call, "payment_method", url="/v1/payment_methods", by=("customer", "type"))


def of_customer(call: Call) -> Doc:
    customer = call.named("customer", id_in="customer")
    return page(
        call,
        "payment_method",
        url=f"/v1/customers/{customer['id']}/payment_methods",
        by=("type",),
        where=[("a = ?", customer["id"])],
    )


def retrieve_of_customer(call: Call) -> Doc:
    customer = call.named("customer", id_in="customer")
    doc = call.named("payment_method", name="PaymentMethod")
    if doc["customer"] != customer["id"]:
        raise missing("PaymentMethod", doc["id"])
    return doc
