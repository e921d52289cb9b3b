"""Payment intents: created, changed, confirmed, captured, canceled, listed.

What a confirmation does is in :mod:`marketbill.sandbox.confirmation`.
"""

from __future__ import annotations

from marketbill.sandbox import confirmation, customers, exchange_rates, payment_methods, proceeds, refunds
from marketbill.sandbox.application_fees import application_of
from marketbill.sandbox.call import Call
from marketbill.sandbox.confirmation import Terms, unexpected_state
from marketbill.sandbox.currencies import (
    CHARGE_MINIMUM,
    check_charge_amount,
    check_positive,
    check_step,
    checked_currency,
    in_words,
)
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, invalid, missing, new_id, new_secret, refused

CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing")
CHANGEABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(call: Call) -> Doc:
    """Create an intent and, with ``confirm=true``, confirm it in the same transaction."""
    params = call.params
    currency = checked_currency(params["currency"])
    _check_amount(call, params["amount"], currency)
    proceeds.check_acting(call)
    parts = proceeds.terms(call, params, amount=params["amount"], currency=currency)
    confirm = params.get("confirm", False)
    _check_only_when_confirming(params, confirm)
    check_types(params)
    customer = known_customer(call, params.get("customer"))
    method = payment_methods.resolve(call, params["payment_method"]) if params.get("payment_method") else None
    if method is not None:
        check_owner(method, customer)
    identifier = new_id("pi_3")
    types = params.get("allowed_payment_method_types") or None
    automatic = params.get("automatic_payment_methods")
    if automatic is None and types is None:
        automatic = {"enabled": True}
    doc = call.store.insert(
        "payment_intent",
        call.account,
        {
            "id": identifier,
            "object": "payment_intent",
            "allowed_payment_method_types": types,
            "amount": params["amount"],
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": application_of(call.desk, call.account) if call.account != call.platform else None,
            "application_fee_amount": parts["application_fee_amount"],
            "automatic_payment_methods": {"allow_redirects": "always", **automatic} if automatic else None,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": params.get("capture_method", "automatic_async"),
            "client_secret": new_secret(identifier + "_secret_"),
            "confirmation_method": params.get("confirmation_method", "automatic"),
            "created": call.now,
            "currency": currency,
            "customer": customer,
            "customer_account": None,
            "description": params.get("description") or None,
            "excluded_payment_method_types": params.get("excluded_payment_method_types") or None,
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "managed_payments": None,
            "metadata": merged_metadata({}, params.get("metadata") or {}),
            "next_action": None,
            "on_behalf_of": parts["on_behalf_of"],
            "payment_method": method["id"] if method else None,
            "payment_method_configuration_details": None,
            "payment_method_options": _options(params),
            "payment_method_types": ["card"],
            "payment_record": None,
            "processing": None,
            "receipt_email": params.get("receipt_email") or None,
            "review": None,
            "setup_future_usage": params.get("setup_future_usage") or None,
            "shipping": customers.shipping(params.get("shipping")),
            "source": None,
            "statement_descriptor": params.get("statement_descriptor") or None,
            "statement_descriptor_suffix": params.get("statement_descriptor_suffix") or None,
            "status": "requires_confirmation" if method else "requires_payment_method",
            "transfer_data": parts["transfer_data"],
            "transfer_group": params.get("transfer_group") or None,
        },
    )
    emit(call.desk, call.account, "payment_intent.created", doc)
    return confirmation.attempt(call, doc, Terms.of(params)) if confirm else doc


def _check_amount(call: Call, amount: int, currency: str) -> None:
    """Check an amount to be charged; where it settles in another currency, the least amount is that one's."""
    settled = exchange_rates.settlement_currency(call.desk, call.account, currency)
    if settled == currency:
        check_charge_amount(amount, currency)
        return
    check_charge_amount(amount, currency, least=1)
    converted = exchange_rates.convert(call.desk, amount, currency, settled)
    least = CHARGE_MINIMUM.get(settled, 1)
    if converted.amount < least:
        raise invalid(
            f"Amount must convert to at least {in_words(least, settled)}. {in_words(amount, currency)} converts to "
            f"approximately {in_words(converted.amount, settled)}.",
            code="amount_too_small",
            param="amount",
        )


def _check_only_when_confirming(params: Doc, confirm: bool) -> None:
    if confirm:
        return
    for name in ("off_session", "return_url", "error_on_requires_action", "mandate_data"):
        if name in params and params[name] not in (False, ""):
            raise invalid(f"You cannot provide `{name}` when `confirm` is not set to true.", param=name)


def check_types(params: Doc) -> None:
    types = params.get("allowed_payment_method_types") or None
    if types is not None and "card" not in types:
        raise invalid(
            "The sandbox provider simulates payment methods of type card only.", param="allowed_payment_method_types"
        )
    if types is not None and (params.get("automatic_payment_methods") or {}).get("enabled"):
        raise invalid(
            "You may only specify one of these parameters: automatic_payment_methods, allowed_payment_method_types.",
            param="automatic_payment_methods",
        )


def known_customer(call: Call, identifier: str | None) -> str | None:
    if not identifier:
        return None
    doc = call.store.find("customer", identifier, call.account)
    if doc is None or doc.get("deleted"):
        raise missing("customer", identifier, param="customer", status=400)
    return identifier


def check_owner(method: Doc, customer: str | None, *, intent: str = "PaymentIntent") -> None:
    """Refuse a saved payment method of another customer, or without its customer."""
    owner = method["customer"]
    if owner is not None and customer is None:
        raise invalid(
            f"The provided PaymentMethod ({method['id']}) belongs to a Customer. "
            f"Please include the Customer in the `customer` parameter on the {intent}.",
            param="payment_method",
        )
    if owner is not None and owner != customer:
        raise invalid(
            f"The customer does not have a payment method with the ID {method['id']}. "
            "The payment method must be attached to the customer.",
            param="payment_method",
        )


def _options(params: Doc) -> Doc:
    given = (params.get("payment_method_options") or {}).get("card") or {}
    return {
        "card": {
            "installments": None,
            "mandate_options": None,
            "network": given.get("network"),
            "request_three_d_secure": given.get("request_three_d_secure", "automatic"),
        }
    }


def named(call: Call) -> Doc:
    return call.named("payment_intent", id_in="intent", param="intent")


def retrieve(call: Call) -> Doc:
    doc = named(call)
    check_secret(call, doc, intent="PaymentIntent")
    return doc


def check_secret(call: Call, doc: Doc, *, intent: str) -> None:
    """Check the client secret that an intent is asked for with, if any."""
    secret = call.params.get("client_secret")
    if secret and secret != doc["client_secret"]:
        raise invalid(
            f"The client_secret provided does not match the client_secret associated with the {intent}.",
            code=f"{doc['object']}_invalid_parameter",
            param="client_secret",
        )


def update(call: Call) -> Doc:
    """Change an intent. Money, payer and method only before it is captured or authorized."""
    doc = named(call)
    apply_changes(call, doc, call.params)
    return call.store.get("payment_intent", doc["id"])


_FREE = ("description", "metadata", "receipt_email", "shipping", "expand", "transfer_group")


def apply_changes(call: Call, doc: Doc, params: Doc) -> None:
    """Apply the parameters of an update or confirmation to an intent."""
    check_types(params)
    for name in params:
        if name not in _FREE and doc["status"] not in CHANGEABLE:
            raise unexpected_state(
                doc,
                f"This PaymentIntent's {name} could not be updated because it has a status of {doc['status']}. You may "
                f"only update the {name} of a PaymentIntent with one of the following statuses: "
                f"{', '.join(CHANGEABLE)}.",
            )
    changes: Doc = {}
    currency = checked_currency(params["currency"]) if "currency" in params else doc["currency"]
    if "amount" in params or "currency" in params:
        _check_amount(call, params.get("amount", doc["amount"]), currency)
        changes["amount"] = params.get("amount", doc["amount"])
        changes["currency"] = currency
    if "application_fee_amount" in params or "transfer_data" in params:
        whole = changes.get("amount", doc["amount"])
        changes |= proceeds.terms(call, params, amount=whole, currency=currency, present=doc)
    if "customer" in params:
        changes["customer"] = known_customer(call, params["customer"])
        if doc["customer"] is not None and changes["customer"] != doc["customer"]:
            raise invalid("The customer of a PaymentIntent cannot be changed once set.", param="customer")
    for name in ("description", "receipt_email", "setup_future_usage", "statement_descriptor"):
        if name in params:
            changes[name] = params[name] or None
    for name in ("statement_descriptor_suffix", "transfer_group"):
        if name in params:
            changes[name] = params[name] or None
    for name in ("allowed_payment_method_types", "excluded_payment_method_types", "capture_method"):
        if name in params:
            changes[name] = params[name] or None
    if params.get("allowed_payment_method_types"):
        changes["automatic_payment_methods"] = None
    if "metadata" in params:
        changes["metadata"] = merged_metadata(doc["metadata"], params["metadata"])
    if "shipping" in params:
        changes["shipping"] = customers.shipping(params["shipping"])
    if "payment_method_options" in params:
        changes["payment_method_options"] = _options(params)
    if params.get("payment_method"):
        method = payment_methods.resolve(call, params["payment_method"])
        check_owner(method, changes.get("customer", doc["customer"]))
        changes["payment_method"] = method["id"]
        if doc["status"] in ("requires_payment_method", "requires_action"):
            changes["status"] = "requires_confirmation"
            changes["next_action"] = None
    if changes:
        call.store.edit(doc["id"]).update(changes)


def confirm(call: Call) -> Doc:
    """Confirm an intent that exists, applying the parameters given on the way."""
    doc = named(call)
    if doc["status"] == "succeeded":
        raise unexpected_state(
            doc,
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.",
        )
    if doc["status"] not in CHANGEABLE:
        raise unexpected_state(
            doc,
            f"You cannot confirm this PaymentIntent because it has a status of {doc['status']}. Only a PaymentIntent "
            f"with one of the following statuses may be confirmed: {', '.join(CHANGEABLE)}.",
        )
    own = ("off_session", "return_url", "error_on_requires_action", "mandate_data")
    apply_changes(call, doc, {name: value for name, value in call.params.items() if name not in own})
    return confirmation.attempt(call, call.store.get("payment_intent", doc["id"]), Terms.of(call.params))


def capture(call: Call) -> Doc:
    """Capture an authorized intent, wholly or in part."""
    doc = named(call)
    if doc["status"] != "requires_capture":
        raise unexpected_state(
            doc,
            f"This PaymentIntent could not be captured because it has a status of {doc['status']}. Only a "
            "PaymentIntent with one of the following statuses may be captured: requires_capture.",
        )
    amount = call.params.get("amount_to_capture", doc["amount_capturable"])
    check_positive(amount, param="amount_to_capture")
    check_step(amount, doc["currency"], param="amount_to_capture")
    if amount > doc["amount_capturable"]:
        raise refused(
            f"The requested capture amount {in_words(amount, doc['currency'])} is greater than the amount you can "
            f"capture for this charge {in_words(doc['amount_capturable'], doc['currency'])}.",
            code="amount_too_large",
            param="amount_to_capture",
        )
    doc = call.store.edit(doc["id"])
    if "metadata" in call.params:
        doc["metadata"] = merged_metadata(doc["metadata"], call.params["metadata"])
    if "application_fee_amount" in call.params or "transfer_data" in call.params:
        doc.update(proceeds.terms(call, call.params, amount=amount, currency=doc["currency"], present=doc))
    return confirmation.capture(call.desk, call.account, doc, amount)


def cancel(call: Call) -> Doc:
    doc = named(call)
    if doc["status"] not in CANCELABLE:
        raise unexpected_state(
            doc,
            f"You cannot cancel this PaymentIntent because it has a status of {doc['status']}. Only a PaymentIntent "
            f"with one of the following statuses may be canceled: {', '.join(CANCELABLE)}.",
        )
    return _canceled(call.desk, call.account, doc["id"], reason=call.params.get("cancellation_reason"), expired=False)


def _canceled(desk: Desk, account: str, identifier: str, *, reason: str | None, expired: bool) -> Doc:
    doc = desk.store.edit(identifier)
    if doc["status"] == "requires_capture":
        desk.schedule.drop("authorization", identifier)
        refunds.release(desk, account, doc["latest_charge"], expired=expired)
    doc.update(
        status="canceled",
        canceled_at=desk.clock.now(),
        cancellation_reason=reason,
        amount_capturable=0,
        next_action=None,
    )
    emit(desk, account, "payment_intent.canceled", doc)
    return doc


def expire_authorization(desk: Desk, ref: str) -> None:
    """Due work: seven days after it was authorized, an uncaptured payment is given back."""
    doc = desk.store.get("payment_intent", ref)
    if doc["status"] == "requires_capture":
        _canceled(desk, desk.store.owner_of(ref), ref, reason="automatic", expired=True)


def listing(call: Call) -> Doc:
    return page(call, "payment_intent", url="/v1/payment_intents", by=("customer",))
