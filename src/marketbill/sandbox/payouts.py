"""Payouts: money out of an account to its bank, on its way by the clock."""

from __future__ import annotations

from typing import Any

from marketbill.sandbox import balances, banks
from marketbill.sandbox.call import Call
from marketbill.sandbox.clock import DAY, midnight
from marketbill.sandbox.currencies import PAYOUT_HUNDREDS, check_maximum, check_positive, check_step, checked_currency
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, invalid, missing, new_id, refused

#: A standard payout is sent to the bank at the next 00:00 UTC and arrives at the second.
ARRIVAL_DAYS = 2
INSTANT_SECONDS = 30 * 60
#: Largest instant payout to a bank account, in minor units of a two-decimal currency.
INSTANT_AMOUNT_MAX = 999_900

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
    if currency in PAYOUT_HUNDREDS and amount % 100:
        raise invalid(
            f"Invalid integer: {amount}. Payouts in {currency} must be divisible by 100.",
            code="parameter_invalid_integer",
            param="amount",
        )
    account = call.store.get("account", call.account)
    instant = params.get("method", "standard") == "instant"
    if instant and amount > INSTANT_AMOUNT_MAX:
        raise refused("Instant Payouts to bank accounts are only supported for amounts less than or equal to $9999")
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
    if instant and "instant" not in bank["available_payout_methods"]:
        raise refused("The bank account is not eligible for instant payouts.", param="method")
    if balances.available(call.desk, call.account, currency) < amount:
        raise refused(INSUFFICIENT, code="balance_insufficient")
    return _write(call, bank, amount=amount, currency=currency, instant=instant)


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
    bank = banks.for_currency(call.desk, call.account, currency)
    if bank is None:
        raise refused(f"Sorry, you don't have any external accounts in that currency ({currency}).")
    return bank


def _write(call: Call, bank: Doc, *, amount: int, currency: str, instant: bool) -> Doc:
    desk, account, params = call.desk, call.account, call.params
    now = desk.clock.now()
    identifier = new_id("po_1")
    arrival = now + INSTANT_SECONDS if instant else midnight(now) + ARRIVAL_DAYS * DAY
    description = params.get("description") or None
    transaction = balances.record(
        desk,
        account,
        transaction_type="payout",
        amount=-amount,
        currency=currency,
        source=identifier,
        description=description or "STRIPE PAYOUT",
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
            "automatic": False,
            "balance_transaction": transaction["id"],
            "created": now,
            "currency": currency,
            "description": description,
            "destination": bank["id"],
            "failure_balance_transaction": None,
            "failure_code": None,
            "failure_message": None,
            "livemode": False,
            "metadata": merged_metadata({}, params.get("metadata") or {}),
            "method": "instant" if instant else "standard",
            "original_payout": None,
            "payout_method": None,
            "reconciliation_status": "not_applicable",
            "reversed_by": None,
            "source_type": params.get("source_type", "card"),
            "statement_descriptor": params.get("statement_descriptor") or None,
            "status": "pending",
            "trace_id": None,
            "type": "bank_account",
        },
    )
    emit(desk, account, "payout.created", doc)
    desk.schedule.add(now + 60 if instant else midnight(now) + DAY, "payout_sent", identifier)
    desk.schedule.add(arrival, "payout_arrived", identifier)
    return doc


def _account(desk: Desk, identifier: str) -> str:
    found = desk.store.kind_and_account(identifier)
    if found is None:
        raise LookupError(f"payout {identifier} is not in the sandbox state")
    return found[1]


def send(desk: Desk, ref: str) -> None:
    """Due work: the payout goes to the bank; from here on it cannot be canceled."""
    doc = desk.store.edit(ref)
    if doc["status"] != "pending":
        return
    doc["status"] = "in_transit"
    doc["trace_id"] = {"status": "pending", "value": None}
    emit(desk, _account(desk, ref), "payout.updated", doc, previous={"status": "pending"})


def arrive(desk: Desk, ref: str) -> None:
    """Due work: the bank takes the payout, or refuses it as its test number says; then the money comes back."""
    doc = desk.store.edit(ref)
    if doc["status"] != "in_transit":
        return
    account = _account(desk, ref)
    bank = desk.store.find("bank_account", doc["destination"])
    failure = banks.payout_failure(bank) if bank is not None else None
    if failure is None:
        doc["status"] = "paid"
        doc["trace_id"] = {"status": "supported", "value": f"TRACE{doc['id'][-12:].upper()}"}
        emit(desk, account, "payout.paid", doc)
        return
    returned = balances.record(
        desk,
        account,
        transaction_type="payout_failure",
        amount=doc["amount"],
        currency=doc["currency"],
        source=ref,
        description="STRIPE PAYOUT FAILURE",
    )
    doc.update(
        status="failed",
        failure_code=failure[0],
        failure_message=failure[1],
        failure_balance_transaction=returned["id"],
        trace_id={"status": "unsupported", "value": None},
    )
    emit(desk, account, "payout.failed", doc)
    if bank is not None:
        bank = banks.write(desk, bank["id"], status="errored")
        emit(desk, account, "account.external_account.updated", bank)


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
    if doc["status"] != "pending":
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


def listing(call: Call) -> Doc:
    params = call.params
    where: list[tuple[str, Any]] = []
    for column, name in (("d", "status"), ("b", "destination")):
        if params.get(name):
            where.append((f"{column} = ?", params[name]))
    for name, value in (params.get("arrival_date") or {}).items():
        comparison = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}[name]
        where.append((f"json_extract(CAST(doc AS TEXT), '$.arrival_date') {comparison} ?", value))
    return page(call.desk, "payout", call.account, params, url="/v1/payouts", tree=call.tree, where=tuple(where))
