"""Top-ups: the platform adds money of its own to its available balance."""

from __future__ import annotations

from typing import Any

from marketbill.sandbox import balances
from marketbill.sandbox.call import Call
from marketbill.sandbox.currencies import check_maximum, check_positive, check_step, checked_currency
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, missing, new_id, refused

#: Source tokens that fail, with code and message.
FAILING_SOURCES = {
    "btok_us_verified_noAccount": ("no_account", "The bank account could not be located."),
    "btok_us_verified_insufficientFunds": ("insufficient_funds", "The bank account has insufficient funds."),
}
SOURCES = ("btok_us_verified", "btok_us_verified_success")


def create(call: Call) -> Doc:
    """Top up the platform's balance. It succeeds at once, unless the source token stands for a failure."""
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
    failure = FAILING_SOURCES.get(source or "")
    doc = call.store.insert(
        "topup",
        call.account,
        {
            "id": new_id("tu_1"),
            "object": "topup",
            "amount": amount,
            "balance_transaction": None,
            "created": call.now,
            "currency": currency,
            "description": params.get("description") or None,
            "expected_availability_date": call.now,
            "failure_code": None,
            "failure_message": None,
            "initiated_by": None,
            "livemode": False,
            "metadata": merged_metadata({}, params.get("metadata") or {}),
            "source": None,
            "statement_descriptor": params.get("statement_descriptor") or None,
            "status": "pending",
            "transfer_group": params.get("transfer_group") or None,
        },
    )
    emit(call.desk, call.account, "topup.created", doc)
    if failure is not None:
        doc.update(status="failed", failure_code=failure[0], failure_message=failure[1])
        emit(call.desk, call.account, "topup.failed", doc)
        return doc
    transaction = balances.record(
        call.desk,
        call.account,
        transaction_type="topup",
        amount=amount,
        currency=currency,
        source=doc["id"],
        description=doc["description"],
    )
    doc.update(status="succeeded", balance_transaction=transaction["id"])
    emit(call.desk, call.account, "topup.succeeded", doc)
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
    where: list[tuple[str, Any]] = []
    if call.params.get("status"):
        where.append(("d = ?", call.params["status"]))
    for name, value in (call.params.get("amount") or {}).items():
        comparison = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}[name]
        where.append((f"json_extract(CAST(doc AS TEXT), '$.amount') {comparison} ?", value))
    return page(call.desk, "topup", call.account, call.params, url="/v1/topups", tree=call.tree, where=tuple(where))
