"""Charges: one attempt to take money by card, its settlement and its capture."""

from __future__ import annotations

from marketbill.sandbox import balances, customers, exchange_rates, proceeds
from marketbill.sandbox.call import Call
from marketbill.sandbox.cards import AUTHENTICATION_REQUIRED, Decline, card_of, charged_card
from marketbill.sandbox.clock import DAY, midnight
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.fees import charge_fee
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, new_id, refused

#: Days from a card charge until its money is available, at 00:00 UTC.
SETTLEMENT_DAYS = 2
#: How long an uncaptured authorization holds.
AUTHORIZATION_DAYS = 7


def for_intent(
    desk: Desk,
    account: str,
    intent: Doc,
    method: Doc,
    *,
    decline: Decline | None,
    captured: bool,
    authenticated: bool,
) -> Doc:
    """Write the charge of one confirmation attempt. A failed one moves no money."""
    identifier = new_id("ch_3")
    amount, sent = intent["amount"], intent["transfer_data"]
    return desk.store.insert(
        "charge",
        account,
        {
            "id": identifier,
            "object": "charge",
            "amount": amount,
            "amount_captured": amount if captured and decline is None else 0,
            "amount_refunded": 0,
            "application": intent["application"],
            "application_fee": None,
            "application_fee_amount": intent["application_fee_amount"],
            "balance_transaction": None,
            "billing_details": method["billing_details"],
            "calculated_statement_descriptor": intent["statement_descriptor"] or "MARKETPLACE",
            "captured": captured and decline is None,
            "created": desk.clock.now(),
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_balance_transaction": None,
            "failure_code": decline.code if decline else None,
            "failure_message": decline.message if decline else None,
            "fraud_details": {},
            "livemode": False,
            "metadata": dict(intent["metadata"]),
            "on_behalf_of": intent["on_behalf_of"],
            "outcome": _outcome(decline),
            "paid": decline is None,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": charged_card(method, amount=amount, authenticated=authenticated),
            "receipt_email": intent["receipt_email"],
            "receipt_number": None,
            "receipt_url": f"{desk.base_url}/_sandbox/receipts/{identifier}" if decline is None else None,
            "refunded": False,
            "review": None,
            "shipping": intent["shipping"],
            "source": None,
            "source_transfer": None,
            "statement_descriptor": intent["statement_descriptor"],
            "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
            "status": "succeeded" if decline is None else "failed",
            "transfer_data": {"amount": sent.get("amount"), "destination": sent["destination"]} if sent else None,
            "transfer_group": intent["transfer_group"],
        },
    )


def _outcome(decline: Decline | None) -> Doc:
    if decline is None:
        return {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 20,
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    blocked = decline is AUTHENTICATION_REQUIRED
    return {
        "advice_code": decline.advice_code,
        "network_advice_code": decline.network_advice_code,
        "network_decline_code": decline.network_decline_code,
        "network_status": "declined_by_network",
        "reason": decline.decline_code,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": "The bank requires authentication." if blocked else "The bank did not accept the payment.",
        "type": "issuer_declined",
    }


def settle(desk: Desk, charge_id: str) -> Doc:
    """Write the charge's balance transaction: its captured amount less the fee, available two days later at midnight.

    Both are in the currency the merchant settles in, by the rate of now. Its proceeds go where they belong.
    """
    charge = desk.store.edit(charge_id)
    account = desk.store.owner_of(charge_id)
    merchant = desk.store.get("account", charge["on_behalf_of"] or account)
    settled = exchange_rates.convert(
        desk,
        charge["amount_captured"],
        charge["currency"],
        exchange_rates.settlement_currency(desk, merchant["id"], charge["currency"]),
        nothing_allowed=True,
    )
    method = desk.store.get("payment_method", charge["payment_method"])
    now = desk.clock.now()
    bypass = card_of(method).bypass_pending
    delay = merchant["settings"]["payouts"]["schedule"]["delay_days"] if charge["on_behalf_of"] else SETTLEMENT_DAYS
    fee = charge_fee(settled.amount, currency=settled.currency, country=merchant["country"])
    elsewhere = proceeds.platform_pays(desk, account)
    kept = proceeds.kept_of_direct(desk, account, charge, settled)
    transaction = balances.record(
        desk,
        account,
        transaction_type="charge",
        amount=settled.amount,
        currency=settled.currency,
        exchange_rate=settled.rate,
        source=charge_id,
        fee=0 if elsewhere else fee,
        application_fee=kept,
        application=charge["application"],
        description=charge["description"],
        available_on=midnight(now) + (0 if bypass else delay * DAY),
    )
    charge["balance_transaction"] = transaction["id"]
    proceeds.distribute(desk, account, charge, transaction, provider_fee=fee if elsewhere else 0, kept=kept)
    if bypass:
        balances.tell_available(desk, account)
    return charge


def settle_later(desk: Desk, ref: str) -> None:
    """Due work: the balance transaction of an asynchronously captured charge arrives, told by ``charge.updated``."""
    charge = settle(desk, ref)
    previous = {name: None for name in ("application_fee", "balance_transaction", "transfer") if charge.get(name)}
    emit(desk, desk.store.owner_of(ref), "charge.updated", charge, previous=previous)


def retrieve(call: Call) -> Doc:
    return call.named("charge")


def update(call: Call) -> Doc:
    params = call.params
    doc = call.store.edit(call.named("charge")["id"])
    previous: Doc = {}
    changes: Doc = {name: params[name] or None for name in ("description", "receipt_email") if name in params}
    if "metadata" in params:
        changes["metadata"] = merged_metadata(doc["metadata"], params["metadata"])
    if "shipping" in params:
        changes["shipping"] = customers.shipping(params["shipping"])
    if "transfer_group" in params:
        if doc["transfer_group"] not in (None, params["transfer_group"]):
            raise refused("The transfer_group of this charge is already set.", param="transfer_group")
        changes["transfer_group"] = params["transfer_group"] or None
    if "fraud_details" in params:
        report = (params["fraud_details"] or {}).get("user_report")
        changes["fraud_details"] = {"user_report": report} if report else {}
    for name, value in changes.items():
        if doc[name] != value:
            previous[name] = doc[name]
            doc[name] = value
    emit(call.desk, call.account, "charge.updated", doc, previous=previous)
    return doc


def listing(call: Call) -> Doc:
    by = ("payment_intent", "customer", "transfer_group")
    return page(call, "charge", url="/v1/charges", by=by)
