"""The journal entries of a sale, pure: from a payment and its shares to postings (J1 to J5 of the worked journal)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from marketbill.errors import InvalidInput
from marketbill.ids import SellerId, parse_id, public_id
from marketbill.ledger import chart
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.entry import POSTINGS_MAX
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.rules.plan import SplitPlan

Rows = Sequence[Row[Any]]


class SaleTooWide(InvalidInput):
    """A sale of so many sellers, with so many fees of accounts of their own, that one entry cannot hold its amounts."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"The sale's fees, taxes and parts are {count} amounts on the sellers' accounts: at most {POSTINGS_MAX}."
            " Sell to the buyer in two payments, or book fees to fewer accounts.",
            path=("lines",),
            constraint=f"<= {POSTINGS_MAX} amounts",
        )
        self.count = count


def charge(payment: Row[Any], shares: Rows, at: datetime) -> JournalEntry:
    """J1: the buyer's money is on its way at the provider, owed to the sellers; the buyer's fees are the platform's."""
    currency = payment.currency
    pending = chart.psp_pending(currency)
    postings = [
        Posting(pending, chart.seller_pending(_seller(share), currency), share.gross - share.promo)
        for share in shares
        if share.gross > share.promo
    ]
    postings += [Posting(pending, ref, amount) for ref, amount in _own(payment.buyer_legs, currency)]
    return _entry(payment, "charge", postings, at, "Sale", {"reference": payment.reference})


def promo(payment: Row[Any], shares: Rows, at: datetime) -> JournalEntry | None:
    """What the platform adds for discounts that it funds. None when it funds none."""
    currency = payment.currency
    postings = [
        Posting(chart.account(chart.PROMO, currency), chart.seller_pending(_seller(share), currency), share.promo)
        for share in shares
        if share.promo
    ]
    reason = {"reference": payment.reference}
    return _entry(payment, "promo", postings, at, "Discount funded by the platform", reason) if postings else None


def split(payment: Row[Any], shares: Rows, at: datetime) -> JournalEntry | None:
    """J3: fees, taxes and the parts of others leave the sellers' share. None when there is nothing of it."""
    currency = payment.currency
    postings = [
        Posting(chart.seller_pending(_seller(share), currency), ref, amount)
        for share in shares
        for ref, amount in _leaving(share.legs, currency)
    ]
    # A payment from before schedules had versions names a fee rule, which has become the schedule of that version.
    schedule = payment.trace.get("schedule") or payment.trace["fee_rule"]
    reason = {
        "reference": payment.reference,
        "fee_schedule": public_id("fee schedule", payment.fee_schedule_id),
        "fee_schedule_version": schedule["version"],
    }
    return _entry(payment, "split", postings, at, "Platform fee", reason) if postings else None


def check(plan: SplitPlan) -> None:
    """Refuses, before its buyer pays, a sale that could not be booked: UnknownAccount for an amount that the books have
    no account for, SaleTooWide for more amounts than one entry can hold."""
    parties = (*(share.legs for share in plan.sellers), plan.buyer_legs)
    count = sum(1 for legs in parties for _ in _leaving(asdict(legs), plan.currency))
    if count > POSTINGS_MAX:
        raise SaleTooWide(count)


def _leaving(legs: Mapping[str, Any], currency: str) -> Iterator[tuple[AccountRef, int]]:
    """Where a seller's money goes by the legs of his share (`rules.plan.Legs`)."""
    yield from _own(legs, currency)
    for jurisdiction, amount in legs.get("deemed", {}).items():
        yield chart.account(chart.DEEMED_TAX, currency, jurisdiction), amount
    for scheme, amount in legs.get("withheld", {}).items():
        yield chart.account(chart.WITHHELD_TAX, currency, scheme), amount
    if legs.get("processor"):
        yield chart.psp_fee(currency), legs["processor"]
    for recipient, amount in legs.get("parts", {}).items():
        yield chart.seller_pending(SellerId(parse_id("seller", recipient)), currency), amount


def _own(legs: Mapping[str, Any], currency: str) -> Iterator[tuple[AccountRef, int]]:
    """The platform's own fees, each on its account, and the tax on them by country."""
    for name, amount in legs.get("fees", {}).items():
        yield (chart.account(chart.OWN_FEE, currency, name) if name else chart.platform_fee(currency)), amount
    for country, amount in legs.get("fee_tax", {}).items():
        yield chart.output_vat(country, currency), amount


def provider_fee(payment: Row[Any], fee: int, transaction: str, at: datetime) -> JournalEntry | None:
    """J2: what the provider kept of the charge, by its own figure. None when it kept nothing."""
    if not fee:
        return None
    posting = Posting(chart.psp_fee(payment.currency), chart.psp_pending(payment.currency), fee)
    return _entry(payment, "psp-fee", [posting], at, "Provider fee", {"balance_transaction": transaction})


def processor_fee(payment: Row[Any], changes: Mapping[UUID, int], at: datetime) -> JournalEntry | None:
    """What the provider's own fee changes in the parts of it that sellers bear. None when the estimate was right."""
    cost, currency = chart.psp_fee(payment.currency), payment.currency
    postings: list[Posting] = []
    for seller, change in changes.items():
        pending = chart.seller_pending(SellerId(seller), currency)
        postings.append(Posting(pending, cost, change) if change > 0 else Posting(cost, pending, -change))
    reason = {"reference": payment.reference, "estimated": payment.processor_fee}
    return _entry(payment, "processor-fee", postings, at, "Provider fee passed on", reason) if postings else None


def funds_available(payment: Row[Any], fee: int, at: datetime) -> JournalEntry | None:
    """J4: the provider made the charge's net amount available. None when its fee ate the whole charge."""
    net = payment.gross - fee
    if net <= 0:
        return None
    posting = Posting(chart.psp_available(payment.currency), chart.psp_pending(payment.currency), net)
    return _entry(payment, "funds-available", [posting], at, "Funds available", {"reference": payment.reference})


def release(
    payment: Row[Any], shares: Rows, amounts: Mapping[UUID, int], at: datetime, *, first: bool
) -> JournalEntry | None:
    """J5: the holds of these shares are over, and what their sellers still have of them is payable.

    Shares that are released together are one entry; those after the `first` have keys of their own. None when nothing
    is left of them.
    """
    currency = payment.currency
    postings = [
        Posting(chart.seller_pending(_seller(share), currency), chart.seller_payable(_seller(share), currency), amount)
        for share in shares
        if (amount := amounts[share.seller_id])
    ]
    if not postings:
        return None
    holds = sorted({f"{share.hold_days} days from {share.hold_from.lower()}" for share in shares})
    reason = {"reference": payment.reference, "hold": ", ".join(holds)}
    part = "" if first else f":{public_id('seller', min(share.seller_id for share in shares))}"
    return _entry(payment, "release", postings, at, "Released", reason, part=part)


def _entry(
    payment: Row[Any],
    kind: str,
    postings: Sequence[Posting],
    at: datetime,
    description: str,
    reason: dict[str, Any],
    *,
    part: str = "",
) -> JournalEntry:
    return JournalEntry(
        key=f"{kind}:{public_id('payment', payment.id)}{part}",
        kind=kind,
        source=Source("payment", payment.id),
        postings=tuple(postings),
        effective_at=at,
        description=f"{description} {payment.reference or public_id('payment', payment.id)}",
        reason=reason,
    )


def _seller(share: Row[Any]) -> SellerId:
    return SellerId(share.seller_id)
