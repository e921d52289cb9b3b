"""Top-ups: the platform adds money of its own to its available balance."""

from __future__ import annotations

from marketbill.sandbox import balances
from marketbill.sandbox.call import Call
from marketbill.sandbox.clock import DAY
from marketbill.sandbox.currencies import check_maximum, check_positive, check_step, checked_currency
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.rendering import compared, page
from marketbill.sandbox.wire import Doc, missing, new_id, refused

#: Source tokens that fail, with code and message.
FAILING_SOURCES = {
    "btok_us_verified_noAccount": ("no_account", "The bank account could not be located."),
    "btok_us_verified_accountClosed": ("account_closed", "The bank account has been closed."),
    "btok_us_verified_insufficientFunds": ("insufficient_funds", "The bank account has insufficient funds."),
    "btok_us_verified_debitNotAuthorized": (
        "debit_not_authorized",
        "Debit transactions are not approved on the bank account.",
    ),
    "btok_us_verified_invalidCurrency": (
        "invalid_currency",
        "The bank was unable to process this top-up because of its currency.",
    ),
}
#: A source of this sandbox's own: the money comes, and the bank takes it back later.
REVERSED_SOURCE = "btok_us_verified_reversed"
SOURCES = ("btok_us_verified", "btok_us_verified_success", REVERSED_SOURCE)

#: After this a top-up from a failing source has failed; until then it may be canceled.
FAILURE_SECONDS = 180
#: Days until the bank of a reversed top-up takes the money back.
REVERSAL_DAYS = 2


def create(call: Call) -> Doc:
    """Top up the platform's balance. It succeeds at once, unless the source token stands for a failure later."""
    params = call.params
    currency = checked_currency(params["currency"])
    amount = params["amount"]
    check_positive(amount)
    check_maximum(amount, currency)
    check_step(amount, currency)
    if call.account != call.platform:
        raise refused("Top-ups are made to a platform's own balance.")
    source = params.get("source")
    if source and source not in FAILING_SOURCES and source not in SOURCES:
        raise missing("source", source, param="source", status=400)
    return top_up(call.desk, call.account, amount=amount, currency=currency, params=params)


def top_up(desk: Desk, account: str, *, amount: int, currency: str, params: Doc) -> Doc:
    """Top up a platform's balance, with further parameters of the API."""
    source, now = params.get("source"), desk.clock.now()
    doc = desk.store.insert(
        "topup",
        account,
        {
            "id": new_id("tu_1"),
            "object": "topup",
            "amount": amount,
            "balance_transaction": None,
            "created": now,
            "currency": currency,
            "description": params.get("description") or None,
            "expected_availability_date": now,
            "failure_code": None,
            "failure_message": None,
            "initiated_by": None,
            "livemode": False,
            "metadata": merged_metadata({}, params.get("metadata") or {}),
            "source": None,
            "statement_descriptor": params.get("statement_descriptor") or None,
            "status": "pending",
            "transfer_group": params.get("transfer_group") or None,
            "_token": source or None,
        },
    )
    emit(desk, account, "topup.created", doc)
    if source in FAILING_SOURCES:
        desk.schedule.add(now + FAILURE_SECONDS, "topup_failed", doc["id"])
        return doc
    transaction = balances.record(
        desk,
        account,
        transaction_type="topup",
        amount=amount,
        currency=currency,
        source=doc["id"],
        description=doc["description"],
    )
    doc.update(status="succeeded", balance_transaction=transaction["id"])
    emit(desk, account, "topup.succeeded", doc)
    if source == REVERSED_SOURCE:
        desk.schedule.add(now + REVERSAL_DAYS * DAY, "topup_reversed", doc["id"])
    return doc


def fail(desk: Desk, ref: str) -> None:
    """Due work: the bank refuses to be debited; no money was moved."""
    doc = desk.store.edit(ref)
    code, message = FAILING_SOURCES[doc["_token"]]
    doc.update(status="failed", failure_code=code, failure_message=message)
    emit(desk, desk.store.owner_of(ref), "topup.failed", doc)


def reverse(desk: Desk, ref: str) -> None:
    """Due work: the bank takes the money of a top-up back, whether or not it is still there."""
    doc, account = desk.store.edit(ref), desk.store.owner_of(ref)
    balances.record(
        desk,
        account,
        transaction_type="topup_reversal",
        amount=-doc["amount"],
        currency=doc["currency"],
        source=ref,
        description=doc["description"],
    )
    doc["status"] = "reversed"
    emit(desk, account, "topup.reversed", doc)


def cancel(call: Call) -> Doc:
    """Cancel a top-up that is still pending."""
    doc = call.named("topup")
    if doc["status"] != "pending":
        raise refused(f"Only pending top-ups can be canceled: the status of {doc['id']} is {doc['status']}.")
    call.desk.schedule.drop("topup_failed", doc["id"])
    doc = call.store.edit(doc["id"])
    doc["status"] = "canceled"
    emit(call.desk, call.account, "topup.canceled", doc)
    return doc


def retrieve(call: Call) -> Doc:
    return call.named("topup")


def update(call: Call) -> Doc:
    doc = call.store.edit(call.named("topup")["id"])
    if "description" in call.params:
        doc["description"] = call.params["description"] or None
    if "metadata" in call.params:
        doc["metadata"] = merged_metadata(doc["metadata"], call.params["metadata"])
    return doc


def listing(call: Call) -> Doc:
    return page(call, "topup", url="/v1/topups", by=("status",), where=compared(call.params, "amount"))
