"""Payouts: money out of an account to its bank, on its way by the clock."""

from __future__ import annotations

from marketbill.sandbox import advances, balances, banks, exchange_rates
from marketbill.sandbox.call import Call
from marketbill.sandbox.clock import DAY, midnight
from marketbill.sandbox.currencies import (
    check_maximum,
    check_positive,
    check_step,
    checked_currency,
    in_words,
    payout_step,
)
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.rendering import compared, page
from marketbill.sandbox.wire import Doc, invalid, missing, new_id, refused

#: A standard payout is sent to the bank at the next 00:00 UTC and arrives at the second.
ARRIVAL_DAYS = 2
INSTANT_SECONDS = 30 * 60
#: Largest instant payout to a bank account, in cents; in other currencies what they are worth.
INSTANT_USD_MAX = 999_900
#: Countries of the bank accounts that a payout can be brought back from.
REVERSIBLE = ("US", "CA")

INSUFFICIENT = (
    "You have insufficient funds in your Stripe account for this transfer. Your card balance is too low.  You can use "
    "the /v1/balance endpoint to view your Stripe balance (for more details, see stripe.com/docs/api#balance)."
)


def create(call: Call) -> Doc:
    """Pay out from the acting account's available balance to one of its bank accounts."""
    params = call.params
    currency = checked_currency(params["currency"])
    amount = params["amount"]
    check_positive(amount)
    check_maximum(amount, currency)
    check_step(amount, currency)
    if amount % payout_step(currency):
        raise invalid(
            f"Invalid integer: {amount}. Payouts in {currency} must be divisible by 100.",
            code="parameter_invalid_integer",
            param="amount",
        )
    account = call.store.get("account", call.account)
    instant = params.get("method", "standard") == "instant"
    if instant:
        _check_instant(call, amount, currency)
    if not account["payouts_enabled"]:
        raise refused(
            "Cannot create payouts: this account's payouts are disabled. Complete its requirements first.",
            code="payouts_not_allowed",
        )
    bank = _bank(call, params.get("destination"), currency)
    if bank["status"] == "errored":
        raise refused(
            "You cannot create a payout to this bank account because an earlier payout to it failed. Update the bank "
            "account first.",
            param="destination",
        )
    if instant and not banks.takes_instant(account, bank):
        raise refused("The bank account is not eligible for instant payouts.", param="method")
    short = amount - balances.available(call.desk, call.account, currency)
    if short > 0 and (not instant or amount > balances.instant(call.desk, call.account, currency)):
        raise refused(INSUFFICIENT, code="balance_insufficient")
    doc = write(
        call.desk,
        call.account,
        bank,
        amount=amount,
        currency=currency,
        instant=instant,
        description=params.get("description") or None,
        metadata=merged_metadata({}, params.get("metadata") or {}),
        source_type=params.get("source_type", "card"),
        statement_descriptor=params.get("statement_descriptor") or None,
    )
    if short > 0:
        advances.advance(call.desk, call.account, short, currency, source=doc["id"])
    return doc


def _check_instant(call: Call, amount: int, currency: str) -> None:
    limit = exchange_rates.convert(call.desk, INSTANT_USD_MAX, "usd", currency).amount
    if amount > limit:
        most = "$9999" if currency == "usd" else in_words(limit, currency)
        raise refused(f"Instant Payouts to bank accounts are only supported for amounts less than or equal to {most}")


def _bank(call: Call, wanted: str | None, currency: str) -> Doc:
    if wanted:
        bank = call.store.find("bank_account", wanted, call.account)
        if bank is None:
            raise missing("external account", wanted, param="destination", status=400)
        if bank["currency"] != currency:
            raise refused(
                f"The external account {wanted} takes {bank['currency']}, not {currency}.", param="destination"
            )
        return bank
    bank = banks.receiving(call.desk, call.account, currency)
    if bank is None:
        raise refused(f"Sorry, you don't have any external accounts in that currency ({currency}).")
    return bank


def write(
    desk: Desk,
    account: str,
    bank: Doc,
    *,
    amount: int,
    currency: str,
    automatic: bool = False,
    instant: bool = False,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
    original: str | None = None,
    source_type: str = "card",
    statement_descriptor: str | None = None,
) -> Doc:
    """Write a payout with its balance transaction, and have it sent and arrive by the clock.

    A reversal is a payout of a negative amount of the ``original`` one; its money is available when it has arrived.
    """
    now = desk.clock.now()
    identifier = new_id("po_1")
    arrival = now + INSTANT_SECONDS if instant else midnight(now) + ARRIVAL_DAYS * DAY
    transaction = balances.record(
        desk,
        account,
        transaction_type="payout",
        amount=-amount,
        currency=currency,
        source=identifier,
        description=description or "STRIPE PAYOUT",
        available_on=arrival if original else None,
    )
    doc = desk.store.insert(
        "payout",
        account,
        {
            "id": identifier,
            "object": "payout",
            "amount": amount,
            "application_fee": None,
            "application_fee_amount": None,
            "arrival_date": arrival,
            "automatic": automatic,
            "balance_transaction": transaction["id"],
            "created": now,
            "currency": currency,
            "description": description,
            "destination": bank["id"],
            "failure_balance_transaction": None,
            "failure_code": None,
            "failure_message": None,
            "livemode": False,
            "metadata": metadata or {},
            "method": "instant" if instant else "standard",
            "original_payout": original,
            "payout_method": None,
            "reconciliation_status": "in_progress" if automatic else "not_applicable",
            "reversed_by": None,
            "source_type": source_type,
            "statement_descriptor": statement_descriptor,
            "status": "pending",
            "trace_id": None,
            "type": bank["object"],
        },
    )
    emit(desk, account, "payout.created", doc)
    desk.schedule.add(now + 60 if instant else midnight(now) + DAY, "payout_sent", identifier)
    desk.schedule.add(arrival, "payout_arrived", identifier)
    return doc


def retrieve(call: Call) -> Doc:
    return call.named("payout")


def update(call: Call) -> Doc:
    doc = call.store.edit(call.named("payout")["id"])
    if "metadata" in call.params:
        previous, doc["metadata"] = doc["metadata"], merged_metadata(doc["metadata"], call.params["metadata"])
        emit(call.desk, call.account, "payout.updated", doc, previous={"metadata": previous})
    return doc


def cancel(call: Call) -> Doc:
    doc = call.named("payout")
    if doc["status"] != "pending" or doc["original_payout"]:
        raise refused(
            f"Payouts can only be canceled while they are pending: the status of {doc['id']} is {doc['status']}."
        )
    doc = call.store.edit(doc["id"])
    returned = balances.record(
        call.desk,
        call.account,
        transaction_type="payout_cancel",
        amount=doc["amount"],
        currency=doc["currency"],
        source=doc["id"],
        description="STRIPE PAYOUT CANCEL",
    )
    doc.update(status="canceled", failure_balance_transaction=returned["id"])
    call.desk.schedule.drop("payout_sent", doc["id"])
    call.desk.schedule.drop("payout_arrived", doc["id"])
    emit(call.desk, call.account, "payout.canceled", doc)
    return doc


def reverse(call: Call) -> Doc:
    """Debit the bank account that a payout went to; the answer is the payout that brings the money back.

    Only payouts that reached a bank account in the United States or Canada can be reversed, each once.
    """
    doc = call.named("payout")
    if doc["status"] == "pending" and not doc["automatic"]:
        raise refused(f"The payout {doc['id']} is pending: cancel it instead.")
    if doc["status"] not in ("in_transit", "paid") or doc["reversed_by"] or doc["original_payout"]:
        raise refused(
            f"The payout {doc['id']} cannot be reversed: only a payout that is in transit or paid can, once. Its "
            f"status is {doc['status']}" + (f", and {doc['reversed_by']} reversed it." if doc["reversed_by"] else ".")
        )
    bank = call.store.find("bank_account", doc["destination"])
    if bank is None or bank["country"] not in REVERSIBLE:
        raise refused("Only payouts to bank accounts in the United States or Canada can be reversed.")
    back = write(
        call.desk,
        call.account,
        bank,
        amount=-doc["amount"],
        currency=doc["currency"],
        description=doc["description"],
        metadata=merged_metadata({}, call.params.get("metadata") or {}),
        original=doc["id"],
        source_type=doc["source_type"],
        statement_descriptor=doc["statement_descriptor"],
    )
    doc = call.store.edit(doc["id"])
    doc["reversed_by"] = back["id"]
    emit(call.desk, call.account, "payout.updated", doc, previous={"reversed_by": None})
    return back


def listing(call: Call) -> Doc:
    return page(
        call, "payout", url="/v1/payouts", by=("status", "destination"), where=compared(call.params, "arrival_date")
    )
