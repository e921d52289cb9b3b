"""Transfer reversals: money of a transfer back from the connected account to the platform, both ledgers at once."""

from __future__ import annotations

from marketbill.sandbox import application_fees, balances, exchange_rates, reserves
from marketbill.sandbox.call import Call
from marketbill.sandbox.currencies import check_positive, check_step, in_words
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.proportion import share
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import ApiError, Doc, new_id, refused


def create(call: Call) -> Doc:
    """Reverse a transfer, by default all that is left of it."""
    params = call.params
    if "amount" in params:
        check_positive(params["amount"])
    transfer = call.named("transfer")
    left = transfer["amount"] - transfer["amount_reversed"]
    if transfer["reversed"]:
        raise fully_reversed(transfer)
    amount = params.get("amount", left)
    check_step(amount, transfer["currency"])
    if amount > left:
        raise refused(
            f"Reversal amount ({in_words(amount, transfer['currency'])}) is greater than unreversed amount on "
            f"transfer ({in_words(left, transfer['currency'])})",
            param="amount",
        )
    fee_back = 0
    if params.get("refund_application_fee"):
        before = transfer["amount_reversed"]
        fee_back = application_fees.part_of(
            call.desk, _arrival(call.desk, transfer), of=transfer["amount"], before=before, after=before + amount
        )
    return reverse(
        call.desk,
        transfer["id"],
        amount,
        fee_back=fee_back,
        description=params.get("description") or None,
        metadata=merged_metadata({}, params.get("metadata") or {}),
    )


def fully_reversed(transfer: Doc) -> ApiError:
    return refused(f"The transfer {transfer['id']} is already fully reversed.")


def _arrival(desk: Desk, transfer: Doc) -> Doc:
    """Return the payment that a transfer is on the connected account."""
    return desk.store.get("charge", transfer["destination_payment"])


def reverse(
    desk: Desk,
    transfer_id: str,
    amount: int,
    *,
    fee_back: int = 0,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
    source_refund: str | None = None,
) -> Doc:
    """Take ``amount`` of a transfer back; of its application fee, ``fee_back`` goes to the connected account.

    Money of the transfer that is still pending is taken back pending, to become available on the same day. What was
    exchanged goes back by the rate of now, which may be less or more than came.

    :raises ApiError: what is to be taken is nothing in the account's currency, or more than the account has available
        where its platform does not answer for it with reserves.
    """
    transfer = desk.store.edit(transfer_id)
    arrival = desk.store.edit(transfer["destination_payment"])
    arriving = desk.store.get("balance_transaction", arrival["balance_transaction"])
    platform, account, currency = desk.store.owner_of(transfer_id), transfer["destination"], arriving["currency"]
    before = transfer["amount_reversed"]
    span = {"of": transfer["amount"], "before": before, "after": before + amount}
    taken = exchange_rates.convert(desk, amount, transfer["currency"], currency)
    fee_part = application_fees.account_part(desk, arrival["application_fee"], fee_back) if fee_back else 0
    waits_until = arriving["available_on"] if arriving["available_on"] > desk.clock.now() else None
    if waits_until is None and not reserves.backed(desk, account):
        _check_funds(desk, account, taken.amount - fee_part, currency)
    given_back = desk.store.insert("refund", account, _payment_refund(desk, arrival, span))
    going = balances.record(
        desk,
        account,
        transaction_type="payment_refund",
        amount=-taken.amount,
        currency=currency,
        source=given_back["id"],
        application_fee=-fee_part,
        application=application_fees.application_of(desk, platform),
        description="REFUND FOR PAYMENT",
        exchange_rate=taken.rate,
        available_on=waits_until,
    )
    coming = balances.record(
        desk,
        platform,
        transaction_type="transfer_refund",
        amount=amount,
        currency=transfer["currency"],
        source=transfer_id,
        description=description or "REFUND FOR TRANSFER",
        available_on=waits_until,
    )
    doc = desk.store.insert(
        "transfer_reversal",
        platform,
        {
            "id": new_id("trr_1"),
            "object": "transfer_reversal",
            "amount": amount,
            "balance_transaction": coming["id"],
            "created": desk.clock.now(),
            "currency": transfer["currency"],
            "destination_payment_refund": given_back["id"],
            "metadata": metadata or {},
            "source_refund": source_refund,
            "transfer": transfer_id,
        },
    )
    given_back.update(balance_transaction=going["id"], source_transfer_reversal=doc["id"])
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    arrival["amount_refunded"] += given_back["amount"]
    arrival["refunded"] = arrival["amount_refunded"] == arrival["amount"]
    emit(desk, platform, "transfer.reversed", transfer)
    if fee_back:
        application_fees.give_back(desk, arrival["application_fee"], fee_back)
    return doc


def _check_funds(desk: Desk, account: str, needed: int, currency: str) -> None:
    there = balances.available(desk, account, currency)
    if there < needed:
        raise refused(
            f"The destination account {account} has insufficient available funds for this reversal: it needs "
            f"{in_words(needed, currency)} and has {in_words(there, currency)}.",
            code="balance_insufficient",
        )


def _payment_refund(desk: Desk, arrival: Doc, span: dict[str, int]) -> Doc:
    """Return the refund that a reversal is on the connected account, of the payment that the transfer was."""
    return {
        "id": new_id("pyr_1"),
        "object": "refund",
        "amount": share(arrival["amount"], **span, currency=arrival["currency"]),
        "balance_transaction": None,
        "charge": arrival["id"],
        "created": desk.clock.now(),
        "currency": arrival["currency"],
        "customer": None,
        "customer_account": None,
        "metadata": {},
        "payment_intent": None,
        "payment_method": None,
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
        "_waits_for": None,
    }


def _named(call: Call) -> Doc:
    return call.named_part("transfer_reversal", of="transfer", field="transfer")


def retrieve(call: Call) -> Doc:
    return _named(call)


def update(call: Call) -> Doc:
    doc = call.store.edit(_named(call)["id"])
    if "metadata" in call.params:
        doc["metadata"] = merged_metadata(doc["metadata"], call.params["metadata"])
    return doc


def listing(call: Call) -> Doc:
    transfer = call.named("transfer")
    return page(
        call,
        "transfer_reversal",
        url=f"/v1/transfers/{transfer['id']}/reversals",
        where=(("a = ?", transfer["id"]),),
        name="transfer reversal",
    )
