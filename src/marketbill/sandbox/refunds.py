"""Refunds: money of a charge back to its card, out of the available balance, now or when there is some.

A refund takes the balance as it takes what it reverses: while the charge's own money is pending, the refund is taken
out of it and pending as well.
"""

from __future__ import annotations

from marketbill.sandbox import application_fees, balances, charges, disputes, exchange_rates, reversals
from marketbill.sandbox.call import Call
from marketbill.sandbox.cards import RefundOutcome, card_of
from marketbill.sandbox.clock import DAY
from marketbill.sandbox.currencies import check_positive, check_step, in_words
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.proportion import share
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, invalid, missing, new_id, refused

#: After this a refund to a card that answers late has succeeded or failed.
OUTCOME_SECONDS = 180
#: Until then a bank may send a refund back.
FAILURE_DAYS_MAX = 30
FAILURE_REASONS = (
    "charge_for_pending_refund_disputed", "declined", "expired_or_canceled_card", "insufficient_funds",
    "lost_or_stolen_card", "merchant_request", "unknown",
)  # fmt: skip


def create(call: Call) -> Doc:
    """Refund a charge, by default all that is left of it."""
    params = call.params
    if "amount" in params:
        check_positive(params["amount"])
    charge = _charge(call)
    amount = _checked_amount(call.desk, call.account, charge, params.get("amount"))
    if charge["source_transfer"] is not None:
        return _of_payment(call, charge, amount)
    if charge["balance_transaction"] is None:
        call.desk.schedule.drop("settle", charge["id"])
        charges.settle_later(call.desk, charge["id"])
    charge = call.store.edit(charge["id"])
    identifier = new_id("re_3")
    before = charge["amount_refunded"] - (charge["amount"] - charge["amount_captured"])
    span = {"of": charge["amount_captured"], "before": before, "after": before + amount}
    fee_back = 0
    if params.get("refund_application_fee"):
        fee_back = application_fees.part_of(call.desk, charge, **span)
    reversal = None
    if params.get("reverse_transfer"):
        reversal = _reverse_transfer(call.desk, charge, span, fee_back=fee_back, source_refund=identifier)
    direct = charge["transfer_data"] is None
    if fee_back and reversal is None and not direct:
        application_fees.give_back_alone(call.desk, charge["application_fee"], fee_back)
    taken = call.store.get("balance_transaction", charge["balance_transaction"])
    # What was exchanged is given back by the rate of now, which may be less or more than came.
    back = exchange_rates.convert(call.desk, amount, charge["currency"], taken["currency"])
    doc = _written(call.desk, call.account, charge, identifier, amount, reason=params.get("reason"))
    doc.update(
        metadata=merged_metadata({}, params.get("metadata") or {}),
        transfer_reversal=reversal["id"] if reversal is not None else None,
        # What it takes of the account's balance, and which part of a direct charge's fee comes back with it.
        _taken=back.amount,
        _rate=None if back.rate is None else float(back.rate),
        _fee_back=fee_back if direct else 0,
    )
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    if params.get("reason") == "fraudulent":
        charge["fraud_details"] = {"user_report": "fraudulent"}
    waits_until = taken["available_on"] if taken["available_on"] > call.now else None
    needed = doc["_taken"] - doc["_fee_back"]
    if waits_until is None and balances.available(call.desk, call.account, taken["currency"]) < needed:
        doc.update(pending_reason="insufficient_funds", _waits_for=taken["currency"])
    else:
        _take(call.desk, call.account, doc, taken["currency"], waits_until)
    emit(call.desk, call.account, "refund.created", doc)
    emit(call.desk, call.account, "charge.refunded", charge)
    disputes.refunded(call.desk, call.account, charge)
    return doc


def _written(desk: Desk, account: str, charge: Doc, identifier: str, amount: int, *, reason: str | None) -> Doc:
    """Write a refund of a charge that has moved nothing yet."""
    return desk.store.insert(
        "refund",
        account,
        {
            "id": identifier,
            "object": "refund",
            "amount": amount,
            "balance_transaction": None,
            "charge": charge["id"],
            "created": desk.clock.now(),
            "currency": charge["currency"],
            "customer": charge["customer"],
            "customer_account": None,
            "destination_details": {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "reason": reason,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "pending",
            "transfer_reversal": None,
            "_waits_for": None,
        },
    )


def release(desk: Desk, account: str, charge_id: str, *, expired: bool) -> None:
    """Give an authorization back to the card holder, uncaptured: a refund that moves no balance."""
    charge = desk.store.edit(charge_id)
    reason = "expired_uncaptured_charge" if expired else None
    doc = _written(desk, account, charge, new_id("re_3"), charge["amount"], reason=reason)
    doc.update(destination_details={"card": {"type": "reversal"}, "type": "card"}, status="succeeded")
    charge.update(amount_refunded=charge["amount"], refunded=True)
    emit(desk, account, "refund.created", doc)
    emit(desk, account, "charge.expired" if expired else "charge.refunded", charge)


def _charge(call: Call) -> Doc:
    """Return the charge to be refunded, named by itself or by its payment intent."""
    params = call.params
    if params.get("charge") and params.get("payment_intent"):
        raise invalid("You may only specify one of these parameters: charge, payment_intent.", param="charge")
    if params.get("charge"):
        charge = call.store.find("charge", params["charge"], call.account)
        if charge is None:
            raise missing("charge", params["charge"], param="charge", status=400)
        return charge
    if not params.get("payment_intent"):
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    intent = call.store.find("payment_intent", params["payment_intent"], call.account)
    if intent is None:
        raise missing("payment_intent", params["payment_intent"], param="payment_intent", status=400)
    if intent["status"] != "succeeded":
        raise refused(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.", param="payment_intent"
        )
    return call.store.get("charge", intent["latest_charge"])


def _checked_amount(desk: Desk, account: str, charge: Doc, wanted: int | None) -> int:
    """Return how much of the charge to give back.

    :raises ApiError: it was never taken, is given back already, is under dispute, or is less than wanted.
    """
    identifier, currency = charge["id"], charge["currency"]
    if charge["status"] != "succeeded":
        raise refused(f"Charge {identifier} has not succeeded; there is nothing to refund.", param="charge")
    if charge["refunded"]:
        raise refused(f"Charge {identifier} has already been refunded.", code="charge_already_refunded")
    if not charge["captured"]:
        raise refused(
            f"Charge {identifier} is not captured. Cancel its PaymentIntent ({charge['payment_intent']}) to release "
            "the authorization.",
            param="charge",
        )
    if charge["disputed"] and disputes.refusing_refunds(desk, account, identifier):
        raise refused(f"Charge {identifier} has been charged back; cannot issue a refund.", code="charge_disputed")
    left = charge["amount"] - charge["amount_refunded"]
    amount = left if wanted is None else wanted
    check_step(amount, currency)
    if amount > left:
        of = "charge amount" if left == charge["amount"] else "unrefunded amount on charge"
        raise refused(
            f"Refund amount ({in_words(amount, currency)}) is greater than {of} ({in_words(left, currency)})",
            param="amount",
        )
    return amount


def _of_payment(call: Call, charge: Doc, amount: int) -> Doc:
    """Refund the payment that a transfer is: the transfer is reversed, and the money is the platform's again."""
    params = call.params
    transfer = call.store.get("transfer", charge["source_transfer"])
    before = charge["amount_refunded"]
    span = {"of": charge["amount"], "before": before, "after": before + amount}
    fee_back = application_fees.part_of(call.desk, charge, **span) if params.get("refund_application_fee") else 0
    part = share(transfer["amount"], **span, currency=transfer["currency"])
    reversal = reversals.reverse(call.desk, transfer["id"], part, fee_back=fee_back)
    doc = call.store.edit(reversal["destination_payment_refund"])
    doc.update(metadata=merged_metadata({}, params.get("metadata") or {}), reason=params.get("reason"))
    emit(call.desk, call.account, "refund.created", doc)
    emit(call.desk, call.account, "charge.refunded", charge)
    return doc


def _reverse_transfer(
    desk: Desk, charge: Doc, span: dict[str, int], *, fee_back: int, source_refund: str
) -> Doc | None:
    """Reverse the automatic transfer of a destination charge in proportion; None when its share is nothing."""
    if charge.get("transfer") is None:
        raise refused(
            f"The transfer of charge {charge['id']} cannot be reversed: it has none.", param="reverse_transfer"
        )
    transfer = desk.store.get("transfer", charge["transfer"])
    if transfer["reversed"]:
        raise reversals.fully_reversed(transfer)
    part = share(transfer["amount"], **span, currency=transfer["currency"])
    part = min(part, transfer["amount"] - transfer["amount_reversed"])
    if part < 1:
        return None
    return reversals.reverse(desk, transfer["id"], part, fee_back=fee_back, source_refund=source_refund)


def _take(desk: Desk, account: str, doc: Doc, currency: str, waits_until: int | None) -> None:
    """Take the money of a refund from the balance and send it to the card, which answers in its own way."""
    charge = desk.store.get("charge", doc["charge"])
    fee_back = _fee_back(desk, doc)
    words = "REFUND FOR CHARGE" + (f" ({charge['description']})" if charge["description"] else "")
    transaction = balances.record(
        desk,
        account,
        transaction_type="refund",
        amount=-doc["_taken"],
        currency=currency,
        source=doc["id"],
        application_fee=-fee_back,
        application=charge["application"],
        description=words,
        available_on=waits_until,
        exchange_rate=doc["_rate"],
    )
    if fee_back:
        application_fees.give_back(desk, charge["application_fee"], fee_back)
    outcome = card_of(desk.store.get("payment_method", doc["payment_method"])).refund
    doc.pop("pending_reason", None)
    doc.update(balance_transaction=transaction["id"], status="succeeded", _waits_for=None)
    if outcome is RefundOutcome.LATE:
        doc.update(status="pending", pending_reason="processing")
        desk.schedule.add(desk.clock.now() + OUTCOME_SECONDS, "refund_done", doc["id"])
    elif outcome is RefundOutcome.FAILS:
        desk.schedule.add(desk.clock.now() + OUTCOME_SECONDS, "refund_failed", doc["id"])


def _fee_back(desk: Desk, doc: Doc) -> int:
    """Return how much of a direct charge's fee comes with a refund: no more than is left when it is paid."""
    if not doc["_fee_back"]:
        return 0
    fee = desk.store.get("application_fee", desk.store.get("charge", doc["charge"])["application_fee"])
    return min(doc["_fee_back"], fee["amount"] - fee["amount_refunded"])


def pay_waiting(desk: Desk, ref: str) -> None:
    """Due work: money came; pay the refunds of an account that waited for it, oldest first, while it lasts."""
    account, currency = ref.split()
    identifier = balances.waits(desk, account, currency)
    if identifier is None:
        return
    doc = desk.store.edit(identifier)
    if disputes.refusing_refunds(desk, account, doc["charge"]):
        _fail(desk, account, doc, reason="charge_for_pending_refund_disputed", returned=None)
        desk.schedule.add(desk.clock.now(), "waiting_refunds", ref)
        return
    if balances.available(desk, account, currency) < doc["_taken"] - _fee_back(desk, doc):
        return
    previous = {"balance_transaction": None, "pending_reason": doc["pending_reason"], "status": doc["status"]}
    _take(desk, account, doc, currency, None)
    desk.schedule.add(desk.clock.now(), "waiting_refunds", ref)
    _tell_updated(desk, account, doc, previous)


def finish(desk: Desk, ref: str) -> None:
    """Due work: the card took a refund that was on its way."""
    doc = desk.store.edit(ref)
    previous = {"pending_reason": doc.pop("pending_reason"), "status": doc["status"]}
    doc["status"] = "succeeded"
    _tell_updated(desk, desk.store.owner_of(ref), doc, previous)


def fail(desk: Desk, ref: str) -> None:
    """Due work: the card's bank sends a refund back."""
    send_back(desk, ref, "expired_or_canceled_card")


def send_back(desk: Desk, identifier: str, reason: str) -> Doc:
    """Have the card's bank send a refund back; the money and the charge are as before it.

    :raises ApiError: there is no such refund, it has not reached a card, or it did so too long ago.
    """
    account = desk.store.owner_of_named("refund", identifier, param="refund")
    doc = desk.store.edit(identifier)
    if doc["balance_transaction"] is None or doc["payment_method"] is None or doc["status"] == "failed":
        raise refused(f"The refund {identifier} cannot fail: it is not with a card.", param="refund")
    if desk.clock.now() > doc["created"] + FAILURE_DAYS_MAX * DAY:
        raise refused(f"A refund fails within {FAILURE_DAYS_MAX} days or not at all.", param="refund")
    desk.schedule.drop("refund_done", identifier)
    desk.schedule.drop("refund_failed", identifier)
    taken = desk.store.get("balance_transaction", doc["balance_transaction"])
    returned = balances.record(
        desk,
        account,
        transaction_type="refund_failure",
        amount=-taken["amount"],
        currency=taken["currency"],
        source=identifier,
        description="REFUND FAILURE",
        available_on=taken["available_on"] if taken["available_on"] > desk.clock.now() else None,
        exchange_rate=taken["exchange_rate"],
    )
    _fail(desk, account, doc, reason=reason, returned=returned)
    return doc


def _fail(desk: Desk, account: str, doc: Doc, *, reason: str, returned: Doc | None) -> None:
    previous = {name: doc[name] for name in ("pending_reason", "status") if name in doc}
    doc.pop("pending_reason", None)
    doc.update(status="failed", failure_reason=reason, _waits_for=None)
    if returned is not None:
        doc["failure_balance_transaction"] = returned["id"]
    charge = desk.store.edit(doc["charge"])
    charge["amount_refunded"] -= doc["amount"]
    charge["refunded"] = False
    _tell_updated(desk, account, doc, previous)
    emit(desk, account, "refund.failed", doc)


def _tell_updated(desk: Desk, account: str, doc: Doc, previous: Doc) -> None:
    emit(desk, account, "refund.updated", doc, previous=previous)
    emit(desk, account, "charge.refund.updated", doc, previous=previous)


def retrieve(call: Call) -> Doc:
    return call.named("refund")


def update(call: Call) -> Doc:
    doc = call.store.edit(call.named("refund")["id"])
    if "metadata" in call.params:
        previous, doc["metadata"] = doc["metadata"], merged_metadata(doc["metadata"], call.params["metadata"])
        _tell_updated(call.desk, call.account, doc, {"metadata": previous})
    return doc


def cancel(call: Call) -> Doc:
    """Refuse: only a refund that requires an action of the customer can be canceled, and one to a card never does."""
    doc = call.named("refund")
    raise refused(
        f"You cannot cancel this refund because it has a status of {doc['status']}. Only a refund with the status "
        "requires_action can be canceled."
    )


def listing(call: Call) -> Doc:
    by = ("charge", "payment_intent")
    return page(call, "refund", url="/v1/refunds", by=by)
