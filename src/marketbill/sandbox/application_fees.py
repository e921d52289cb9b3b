"""Application fees: the platform's part of a connected account's charge, and what it gives back of it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from marketbill.sandbox import balances, exchange_rates
from marketbill.sandbox.call import Call
from marketbill.sandbox.currencies import check_positive, check_step, in_words
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.proportion import share
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, new_id, refused


def application_of(desk: Desk, account: str) -> str:
    """Return the id of the Connect application that the account's platform is; it is always the same."""
    return "ca_" + sha256(desk.platform_of(account).encode()).hexdigest()[:32]


def collect(
    desk: Desk, charge: Doc, *, amount: int, currency: str, paid: int, transaction: Doc, originating: str | None
) -> Doc:
    """Give the platform its fee of a connected account's charge, in a currency that it settles.

    The account has ``paid`` it as a fee in ``transaction``, that of the charge, maybe in another currency; it becomes
    available on the same day. ``originating`` is the platform's charge, where the fee comes of a destination charge.
    """
    account = desk.store.owner_of(charge["id"])
    platform = desk.platform_of(account)
    identifier = new_id("fee_1")
    waits = transaction["available_on"] > desk.clock.now()
    received = exchange_rates.convert(
        desk,
        amount,
        currency,
        exchange_rates.settlement_currency(desk, platform, currency),
        nothing_allowed=True,
    )
    earned = balances.record(
        desk,
        platform,
        transaction_type="application_fee",
        amount=received.amount,
        currency=received.currency,
        exchange_rate=received.rate,
        source=identifier,
        description=f"Application fee from {account}",
        available_on=transaction["available_on"] if waits else None,
    )
    doc = desk.store.insert(
        "application_fee",
        platform,
        {
            "id": identifier,
            "object": "application_fee",
            "account": account,
            "amount": amount,
            "amount_refunded": 0,
            "application": application_of(desk, account),
            "balance_transaction": earned["id"],
            "charge": charge["id"],
            "created": desk.clock.now(),
            "currency": currency,
            "fee_source": {"charge": charge["id"], "type": "charge"},
            "livemode": False,
            "originating_transaction": originating,
            "refunded": False,
            "refunds": {
                "object": "list",
                "data": [],
                "has_more": False,
                "url": f"/v1/application_fees/{identifier}/refunds",
            },
            "_paid": paid,
            "_paid_in": transaction["currency"],
        },
    )
    emit(desk, platform, "application_fee.created", doc)
    return doc


def part_of(desk: Desk, charge: Doc, *, of: int, before: int, after: int) -> int:
    """Return how much of a charge's application fee belongs to a span of it, at most what is not given back yet.

    :raises ApiError: the charge has no application fee.
    """
    if charge["application_fee"] is None:
        raise refused(
            f"The application fee of charge {charge['id']} cannot be refunded: it has none.",
            param="refund_application_fee",
        )
    fee = desk.store.get("application_fee", charge["application_fee"])
    part = share(fee["amount"], of=of, before=before, after=after, currency=fee["currency"])
    return min(part, fee["amount"] - fee["amount_refunded"])


def account_part(desk: Desk, fee_id: str, amount: int) -> int:
    """Return what the account gets, in the currency it paid in, when so much more of its fee is given back."""
    fee = desk.store.get("application_fee", fee_id)
    before = fee["amount_refunded"]
    return share(fee["_paid"], of=fee["amount"], before=before, after=before + amount, currency=fee["_paid_in"])


def give_back(desk: Desk, fee_id: str, amount: int, *, metadata: dict[str, str] | None = None) -> Doc:
    """Take a part of a fee from the platform. What the connected account gets of it is the caller's to record."""
    fee = desk.store.edit(fee_id)
    platform = desk.platform_of(fee["account"])
    earned = desk.store.get("balance_transaction", fee["balance_transaction"])
    identifier = new_id("fr_1")
    before = fee["amount_refunded"]
    part = share(earned["amount"], of=fee["amount"], before=before, after=before + amount, currency=earned["currency"])
    transaction = balances.record(
        desk,
        platform,
        transaction_type="application_fee_refund",
        amount=-part,
        currency=earned["currency"],
        exchange_rate=earned["exchange_rate"],
        source=identifier,
        description=f"Application fee refund for {fee['account']}",
        available_on=earned["available_on"] if earned["available_on"] > desk.clock.now() else None,
    )
    doc = desk.store.insert(
        "fee_refund",
        platform,
        {
            "id": identifier,
            "object": "fee_refund",
            "amount": amount,
            "balance_transaction": transaction["id"],
            "created": desk.clock.now(),
            "currency": fee["currency"],
            "fee": fee_id,
            "metadata": metadata or {},
        },
    )
    fee["amount_refunded"] += amount
    fee["refunded"] = fee["amount_refunded"] == fee["amount"]
    emit(desk, platform, "application_fee.refunded", fee)
    return doc


def give_back_alone(desk: Desk, fee_id: str, amount: int, *, metadata: dict[str, str] | None = None) -> Doc:
    """Take a part of a fee from the platform and give it to the account that paid it."""
    part = account_part(desk, fee_id, amount)
    doc = give_back(desk, fee_id, amount, metadata=metadata)
    fee = desk.store.get("application_fee", fee_id)
    going = desk.store.get("balance_transaction", doc["balance_transaction"])
    balances.record(
        desk,
        fee["account"],
        transaction_type="adjustment",
        amount=part,
        currency=fee["_paid_in"],
        source=doc["id"],
        description=f"Application fee refund for {fee['charge']}",
        available_on=going["available_on"] if going["available_on"] > desk.clock.now() else None,
    )
    return doc


def refund(call: Call) -> Doc:
    """Give a fee back to the account it was taken from, by default all that is left of it."""
    params = call.params
    if "amount" in params:
        check_positive(params["amount"])
    fee = call.named("application_fee", name="application fee")
    left = fee["amount"] - fee["amount_refunded"]
    if fee["refunded"]:
        raise refused(f"Application fee {fee['id']} has already been refunded.")
    amount = params.get("amount", left)
    check_step(amount, fee["currency"])
    if amount > left:
        raise refused(
            f"Refund amount ({in_words(amount, fee['currency'])}) is greater than unrefunded amount on fee "
            f"({in_words(left, fee['currency'])})",
            param="amount",
        )
    return give_back_alone(call.desk, fee["id"], amount, metadata=merged_metadata({}, params.get("metadata") or {}))


def retrieve(call: Call) -> Doc:
    return call.named("application_fee", name="application fee")


def listing(call: Call) -> Doc:
    where: list[tuple[str, Any]] = []
    if call.params.get("charge"):
        # Named by the connected account's charge, or by the platform's that it comes of.
        where.append(("? IN (a, b)", call.params["charge"]))
    return page(call, "application_fee", url="/v1/application_fees", where=tuple(where), name="application fee")


def _named_refund(call: Call) -> Doc:
    return call.named_part("fee_refund", of="application_fee", field="fee")


def retrieve_refund(call: Call) -> Doc:
    return _named_refund(call)


def update_refund(call: Call) -> Doc:
    doc = call.store.edit(_named_refund(call)["id"])
    if "metadata" in call.params:
        previous, doc["metadata"] = doc["metadata"], merged_metadata(doc["metadata"], call.params["metadata"])
        emit(call.desk, call.account, "application_fee.refund.updated", doc, previous={"metadata": previous})
    return doc


def list_refunds(call: Call) -> Doc:
    fee = call.named("application_fee", name="application fee")
    return page(
        call,
        "fee_refund",
        url=f"/v1/application_fees/{fee['id']}/refunds",
        where=(("a = ?", fee["id"]),),
        name="fee refund",
    )
