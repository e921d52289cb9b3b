"""The journal entries of a sale, pure: from a payment and its shares to postings (J1 to J5 of the worked journal)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from marketbill.ids import SellerId, public_id
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source

Rows = Sequence[Row[Any]]


def charge(payment: Row[Any], shares: Rows, at: datetime) -> JournalEntry:
    """J1: the buyer's money is on its way at the provider, and owed to the sellers."""
    currency = payment.currency
    return _entry(
        payment,
        "charge",
        [
            Posting(chart.psp_pending(currency), chart.seller_pending(_seller(share), currency), share.gross)
            for share in shares
        ],
        at,
        "Sale",
        {"reference": payment.reference},
    )


def split(payment: Row[Any], shares: Rows, at: datetime) -> JournalEntry | None:
    """J3: the platform's fee and the tax on it leave the sellers' share. None when there is no fee at all."""
    currency = payment.currency
    postings: list[Posting] = []
    for share in shares:
        pending = chart.seller_pending(_seller(share), currency)
        if share.fee:
            postings.append(Posting(pending, chart.platform_fee(currency), share.fee))
        if share.fee_tax:
            postings.append(Posting(pending, chart.output_vat(payment.tax_country, currency), share.fee_tax))
    reason = {
        "reference": payment.reference,
        "fee_schedule": public_id("fee schedule", payment.fee_schedule_id),
        "fee_schedule_version": payment.trace["schedule"]["version"],
    }
    return _entry(payment, "split", postings, at, "Platform fee", reason) if postings else None


def provider_fee(payment: Row[Any], fee: int, transaction: str, at: datetime) -> JournalEntry | None:
    """J2: what the provider kept of the charge, by its own figure. None when it kept nothing."""
    if not fee:
        return None
    posting = Posting(chart.psp_fee(payment.currency), chart.psp_pending(payment.currency), fee)
    return _entry(payment, "psp-fee", [posting], at, "Provider fee", {"balance_transaction": transaction})


def funds_available(payment: Row[Any], fee: int, at: datetime) -> JournalEntry | None:
    """J4: the provider made the charge's net amount available. None when its fee ate the whole charge."""
    net = payment.gross - fee
    if net <= 0:
        return None
    posting = Posting(chart.psp_available(payment.currency), chart.psp_pending(payment.currency), net)
    return _entry(payment, "funds-available", [posting], at, "Funds available", {"reference": payment.reference})


def release(payment: Row[Any], shares: Rows, at: datetime) -> JournalEntry | None:
    """J5: the hold is over, what the sellers earned is payable. None when the fee left them nothing."""
    currency = payment.currency
    postings = [
        Posting(
            chart.seller_pending(_seller(share), currency),
            chart.seller_payable(_seller(share), currency),
            share.seller_net,
        )
        for share in shares
        if share.seller_net
    ]
    reason = {
        "reference": payment.reference,
        "hold": f"{payment.hold_days} days from {payment.hold_from.lower()}",
    }
    return _entry(payment, "release", postings, at, "Released", reason) if postings else None


def _entry(
    payment: Row[Any], kind: str, postings: Sequence[Posting], at: datetime, description: str, reason: dict[str, Any]
) -> JournalEntry:
    return JournalEntry(
        key=f"{kind}:{public_id('payment', payment.id)}",
        kind=kind,
        source=Source("payment", payment.id),
        postings=tuple(postings),
        effective_at=at,
        description=f"{description} {payment.reference or public_id('payment', payment.id)}",
        reason=reason,
    )


def _seller(share: Row[Any]) -> SellerId:
    return SellerId(share.seller_id)
