"""Disputes: a card holder takes money back through the bank, and the account may answer with evidence.

A chargeback withdraws its amount and a fee at once, and may cost another fee when it is answered (`dispute_fees`).
Winning it brings the amount back, or the part of it that was won, with the fees that the provider returns; losing it
moves nothing more. An inquiry withdraws nothing. Evidence is submitted once; three texts of Stripe's test mode decide
the outcome within minutes: ``winning_evidence``, ``losing_evidence`` and, for an inquiry,
``escalate_inquiry_evidence``. Other evidence is judged by the issuer much later, against the account; a chargeback
without evidence is lost when its time is over.
"""

from __future__ import annotations

from typing import Any

from marketbill.sandbox import balances, dispute_fees, exchange_rates, fraud_warnings
from marketbill.sandbox.call import Call
from marketbill.sandbox.cards import TestCard
from marketbill.sandbox.clock import DAY, midnight
from marketbill.sandbox.currencies import check_positive, check_step, in_words, step
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, invalid, new_id, refused

#: Days to answer a dispute; its time is over at the end of the last one.
EVIDENCE_DAYS = 20
#: Seconds from evidence with one of the test texts until its outcome.
REVIEW_SECONDS = 180
#: Days the issuer takes to judge any other evidence.
ISSUER_DAYS = 75
#: Days after which an inquiry that was not escalated is over.
INQUIRY_DAYS = 120
DISPUTES_PER_CHARGE_MAX = 20
EVIDENCE_LENGTH_MAX = 150_000

WINNING, LOSING, ESCALATING = "winning_evidence", "losing_evidence", "escalate_inquiry_evidence"

#: Reasons a dispute may have, and the code of the Visa network for them.
NETWORK_REASON = {
    "credit_not_processed": "13.6",
    "duplicate": "12.6.1",
    "fraudulent": "10.4",
    "general": "10.4",
    "product_not_received": "13.1",
    "product_unacceptable": "13.3",
    "subscription_canceled": "13.2",
    "unrecognized": "10.4",
}

EVIDENCE_FIELDS = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip

_OPEN = ("needs_response", "warning_needs_response")


def by_card(desk: Desk, account: str, charge: Doc, card: TestCard) -> None:
    """Have the holder of a test card complain about a charge that just succeeded, as the card's number says."""
    complaint = card.complaint
    if complaint is not None:
        rest, least = charge["amount_captured"], step(charge["currency"])
        for left in range(complaint.times, 0, -1):
            part = rest // left // least * least if left > 1 else rest
            rest -= part
            open_dispute(desk, account, charge["id"], amount=part, reason=complaint.reason, inquiry=complaint.inquiry)
    if card.fraud_record:
        fraud_warnings.open_warning(desk, account, charge["id"])


def open_dispute(
    desk: Desk, account: str, charge_id: str, *, amount: int | None = None, reason: str, inquiry: bool = False
) -> Doc:
    """Open a dispute of a charge, of what is not disputed yet unless ``amount`` (minor units) says less.

    :raises ApiError: the charge moved no money, or that much of it cannot be disputed.
    """
    charge = desk.store.get("charge", charge_id)
    if charge["status"] != "succeeded" or not charge["captured"] or charge["payment_method_details"] is None:
        raise refused(f"The charge {charge_id} cannot be disputed: it is no captured card payment.", param="charge")
    before = _of_charge(desk, account, charge_id)
    free = charge["amount_captured"] - sum(doc["amount"] for doc in before)
    wanted = free if amount is None else amount
    if len(before) >= DISPUTES_PER_CHARGE_MAX or free <= 0:
        raise refused(f"The charge {charge_id} is already disputed.", param="charge")
    check_positive(wanted)
    check_step(wanted, charge["currency"])
    if wanted > free:
        raise refused(
            f"The disputed amount {in_words(wanted, charge['currency'])} is more than what is not disputed of the "
            f"charge, {in_words(free, charge['currency'])}.",
            param="amount",
        )
    now = desk.clock.now()
    brand = charge["payment_method_details"]["card"]["brand"]
    code = NETWORK_REASON[reason]
    doc = desk.store.insert(
        "dispute",
        account,
        {
            "id": new_id("dp_1"),
            "object": "dispute",
            "amount": wanted,
            "balance_transactions": [],
            "charge": charge_id,
            "created": now,
            "currency": charge["currency"],
            "enhanced_eligibility_types": [],
            "evidence": {**dict.fromkeys(EVIDENCE_FIELDS), "enhanced_evidence": {}},
            "evidence_details": _evidence_details(now),
            "intended_submission_method": None,
            "is_charge_refundable": inquiry,
            "livemode": False,
            "metadata": {},
            "network_reason_code": code,
            "payment_intent": charge["payment_intent"],
            "payment_method_details": {
                "card": {
                    "brand": brand,
                    "case_type": "inquiry" if inquiry else "chargeback",
                    "network": brand,
                    "network_reason_code": code,
                },
                "type": "card",
            },
            "reason": reason,
            "status": "warning_needs_response" if inquiry else "needs_response",
        },
    )
    desk.store.edit(charge_id)["disputed"] = True
    if inquiry:
        desk.schedule.add(now + INQUIRY_DAYS * DAY, "inquiry_over", doc["id"])
        emit(desk, account, "charge.dispute.created", doc)
    else:
        _withdraw(desk, account, doc)
        emit(desk, account, "charge.dispute.created", doc)
        emit(desk, account, "charge.dispute.funds_withdrawn", doc)
    fraud_warnings.resolve(desk, account, charge_id)
    return doc


def _evidence_details(now: int) -> Doc:
    return {
        "due_by": midnight(now) + (EVIDENCE_DAYS + 1) * DAY - 1,
        "enhanced_eligibility": {},
        "has_evidence": False,
        "past_due": False,
        "submission_count": 0,
        "submission_method": "not_submitted",
    }


def _of_charge(desk: Desk, account: str, charge_id: str) -> list[Doc]:
    return desk.store.select("dispute", account, [("a = ?", charge_id)], limit=DISPUTES_PER_CHARGE_MAX)


def refusing_refunds(desk: Desk, account: str, charge_id: str) -> bool:
    """Tell whether the bank took a charge's money back, so that it cannot be refunded any more."""
    return any(not doc["is_charge_refundable"] for doc in _of_charge(desk, account, charge_id))


def refunded(desk: Desk, account: str, charge: Doc) -> None:
    """A charge is refunded: when wholly, the inquiries about it are over and its fraud warnings need nothing more."""
    if charge["amount_refunded"] < charge["amount_captured"]:
        return
    for doc in _of_charge(desk, account, charge["id"]):
        if doc["status"].startswith("warning_") and doc["status"] != "warning_closed":
            _close(desk, account, desk.store.edit(doc["id"]), "warning_closed")
    fraud_warnings.resolve(desk, account, charge["id"])


def _withdraw(desk: Desk, account: str, doc: Doc) -> None:
    """Take the disputed amount and the fee from the account that was charged for, in the currency it settles in."""
    charge = desk.store.get("charge", doc["charge"])
    merchant = charge["on_behalf_of"] or account
    into = (
        desk.store.get("balance_transaction", charge["balance_transaction"])["currency"]
        if charge["balance_transaction"]
        else exchange_rates.settlement_currency(desk, merchant, doc["currency"])
    )
    taken = exchange_rates.convert(desk, doc["amount"], doc["currency"], into, nothing_allowed=True)
    _move(desk, account, doc, -taken.amount, taken, dispute_fees.received(desk, into), "dispute")
    desk.schedule.add(doc["evidence_details"]["due_by"] + 1, "dispute_due", doc["id"])


def _move(
    desk: Desk, account: str, doc: Doc, amount: int, money: exchange_rates.Converted, fee: int, category: str
) -> None:
    word = "withdrawal" if amount < 0 else "reversal"
    transaction = balances.record(
        desk,
        account,
        transaction_type="adjustment",
        reporting_category=category,
        amount=amount,
        currency=money.currency,
        exchange_rate=money.rate,
        source=doc["id"],
        fee=fee,
        fee_description="Dispute fee",
        description=f"Chargeback {word} for {doc['charge']}",
    )
    doc["balance_transactions"] = [*doc["balance_transactions"], transaction["id"]]


def _counter(desk: Desk, account: str, doc: Doc) -> None:
    """Charge for a chargeback that is answered: a movement of no amount, its fee alone."""
    first = desk.store.get("balance_transaction", doc["balance_transactions"][0])
    fee = dispute_fees.countered(desk, first["currency"])
    if not fee:
        return
    transaction = balances.record(
        desk,
        account,
        transaction_type="adjustment",
        reporting_category="dispute",
        amount=0,
        currency=first["currency"],
        source=doc["id"],
        fee=fee,
        fee_description="Dispute countered fee",
        description=f"Dispute countered fee for {doc['charge']}",
    )
    doc["balance_transactions"] = [*doc["balance_transactions"], transaction["id"]]


def _close(desk: Desk, account: str, doc: Doc, status: str, *, won: int | None = None) -> None:
    """End a dispute. One that is won brings amount and fees back, by the rate of now; only a part where ``won`` (minor
    units) says so."""
    doc["status"] = status
    for kind in ("dispute_decided", "dispute_due", "inquiry_over"):
        desk.schedule.drop(kind, doc["id"])
    if status == "won":
        moved = [desk.store.get("balance_transaction", one) for one in doc["balance_transactions"]]
        amount = doc["amount"] if won is None else won
        back = exchange_rates.convert(desk, amount, doc["currency"], moved[0]["currency"], nothing_allowed=True)
        fees = dispute_fees.returned(
            desk,
            back.currency,
            received=moved[0]["fee"],
            countered=sum(one["fee"] for one in moved[1:]),
        )
        _move(desk, account, doc, back.amount, back, -fees, "dispute_reversal")
        doc["is_charge_refundable"] = True
    emit(desk, account, "charge.dispute.closed", doc)
    if status == "won":
        emit(desk, account, "charge.dispute.funds_reinstated", doc)


def decide(desk: Desk, identifier: str, outcome: str, *, amount: int | None = None) -> Doc:
    """The issuer decides a dispute that is open or under review: ``won``, ``lost``; for an inquiry both close it.

    ``amount`` (minor units) is the part of it that is won, all of it unless given.

    :raises ApiError: there is no such dispute, it is over, or that part of it cannot be won.
    """
    account = desk.store.owner_of_named("dispute", identifier, param="dispute")
    doc = desk.store.edit(identifier)
    if doc["status"] not in (*_OPEN, "under_review", "warning_under_review"):
        raise refused(f"The dispute {identifier} is over: its status is {doc['status']}.", param="dispute")
    if amount is not None and (outcome != "won" or not 0 < amount <= doc["amount"]):
        raise invalid("`amount` is the part of the disputed amount that is won.", param="amount")
    _close(desk, account, doc, "warning_closed" if doc["status"].startswith("warning_") else outcome, won=amount)
    return doc


def _escalate(desk: Desk, account: str, doc: Doc) -> None:
    """An inquiry becomes a chargeback, to be answered anew; what was said before stays in view."""
    previous = {name: doc[name] for name in ("evidence_details", "payment_method_details", "status")}
    card = {**doc["payment_method_details"]["card"], "case_type": "chargeback"}
    doc.update(
        evidence_details={**_evidence_details(desk.clock.now()), "has_evidence": True},
        is_charge_refundable=False,
        payment_method_details={"card": card, "type": "card"},
        status="needs_response",
    )
    desk.schedule.drop("inquiry_over", doc["id"])
    _withdraw(desk, account, doc)
    emit(desk, account, "charge.dispute.updated", doc, previous=previous)
    emit(desk, account, "charge.dispute.funds_withdrawn", doc)


def _found(desk: Desk, ref: str) -> tuple[str, Doc]:
    return desk.store.owner_of(ref), desk.store.edit(ref)


def conclude(desk: Desk, ref: str) -> None:
    """Due work: submitted evidence has been judged."""
    account, doc = _found(desk, ref)
    text = (doc["evidence"]["uncategorized_text"] or "").strip()
    if doc["status"] == "warning_under_review":
        if text == ESCALATING:
            _escalate(desk, account, doc)
        else:
            _close(desk, account, doc, "warning_closed")
    elif doc["status"] == "under_review":
        _close(desk, account, doc, "won" if text == WINNING else "lost")


def expire(desk: Desk, ref: str) -> None:
    """Due work: the time for evidence is over; without any submitted, the dispute is lost."""
    account, doc = _found(desk, ref)
    if doc["status"] == "needs_response":
        _close(desk, account, doc, "lost")


def end_inquiry(desk: Desk, ref: str) -> None:
    """Due work: nobody escalated an inquiry in time."""
    account, doc = _found(desk, ref)
    if doc["status"] in ("warning_needs_response", "warning_under_review"):
        _close(desk, account, doc, "warning_closed")


def _named(call: Call) -> Doc:
    return call.named("dispute", id_in="dispute")


def retrieve(call: Call) -> Doc:
    return _named(call)


def update(call: Call) -> Doc:
    """Add evidence and, unless ``submit`` is false, submit it; metadata may always change."""
    params = call.params
    doc = _named(call)
    given: dict[str, Any] = params.get("evidence") or {}
    submit = params.get("submit", bool(given))
    if (given or submit) and doc["status"] not in _OPEN:
        raise refused(
            f"Evidence can no longer be added to this dispute: its status is {doc['status']}, and it had been "
            f"submitted {doc['evidence_details']['submission_count']} times.",
            param="evidence" if given else "submit",
        )
    evidence = {**doc["evidence"], **{name: value or None for name, value in given.items()}}
    said = [value for name, value in evidence.items() if name != "enhanced_evidence" and value]
    if sum(map(len, said)) > EVIDENCE_LENGTH_MAX:
        raise invalid(f"Evidence may have at most {EVIDENCE_LENGTH_MAX} characters in all.", param="evidence")
    if submit and not said:
        raise invalid("There is no evidence to submit. Add some in the `evidence` parameter.", param="evidence")
    changes: Doc = {"evidence": evidence}
    details = {**doc["evidence_details"], "has_evidence": bool(said)}
    if submit:
        details.update(submission_count=details["submission_count"] + 1, submission_method="manual")
        changes["status"] = "warning_under_review" if doc["status"].startswith("warning_") else "under_review"
    changes["evidence_details"] = details
    if "metadata" in params:
        changes["metadata"] = merged_metadata(doc["metadata"], params["metadata"])
    if "intended_submission_method" in params:
        changes["intended_submission_method"] = params["intended_submission_method"]
    previous = {name: doc[name] for name, value in changes.items() if doc[name] != value}
    doc = call.store.edit(doc["id"])
    doc.update(changes)
    if submit:
        _review(call, doc)
    emit(call.desk, call.account, "charge.dispute.updated", doc, previous=previous)
    return doc


def _review(call: Call, doc: Doc) -> None:
    inquiry = doc["status"] == "warning_under_review"
    text = (doc["evidence"]["uncategorized_text"] or "").strip()
    if not inquiry:
        _counter(call.desk, call.account, doc)
    known = (WINNING, LOSING, ESCALATING) if inquiry else (WINNING, LOSING)
    if text in known:
        call.desk.schedule.add(call.now + REVIEW_SECONDS, "dispute_decided", doc["id"])
    elif not inquiry:
        call.desk.schedule.add(call.now + ISSUER_DAYS * DAY, "dispute_decided", doc["id"])


def close(call: Call) -> Doc:
    """Accept a dispute: it is lost, for good."""
    doc = _named(call)
    if doc["status"] != "needs_response":
        raise refused(
            f"This dispute cannot be closed: only one with the status needs_response can, and its status is "
            f"{doc['status']}."
        )
    doc = call.store.edit(doc["id"])
    _close(call.desk, call.account, doc, "lost")
    return doc


def listing(call: Call) -> Doc:
    by = ("charge", "payment_intent")
    return page(call, "dispute", url="/v1/disputes", by=by)
