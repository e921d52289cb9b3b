"""What the books say of payouts: claimed, paid, come back. On the provider's rail custody moves; on the bank's, what
the platform itself owes the seller."""

from typing import Any

from sqlalchemy import Row

from marketbill.db import WriteScope
from marketbill.ids import SellerId, public_id
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payouts.model import Rail


def created(row: Row[Any], scope: WriteScope) -> JournalEntry:
    """J7: the money is claimed."""
    seller, currency = SellerId(row.seller_id), row.currency
    if row.rail == Rail.BANK:
        posting = Posting(chart.seller_payable(seller, currency), chart.bank_clearing(currency), row.amount)
        return _entry(row, scope, "bank-payout-created", "Payout", posting)
    posting = Posting(chart.custody_in_transit(seller, currency), chart.custody_available(seller, currency), row.amount)
    return _entry(row, scope, "payout-created", "Payout", posting)


def paid(row: Row[Any], scope: WriteScope) -> JournalEntry:
    """J8: it is at the seller's bank."""
    seller, currency = SellerId(row.seller_id), row.currency
    if row.rail == Rail.BANK:
        posting = Posting(chart.bank_clearing(currency), chart.bank(currency), row.amount)
        return _entry(row, scope, "bank-payout-paid", "Paid out", posting)
    posting = Posting(chart.custody_owed(seller, currency), chart.custody_in_transit(seller, currency), row.amount)
    return _entry(row, scope, "payout-paid", "Paid out", posting)


def returned(row: Row[Any], scope: WriteScope, *, after_paid: bool, of: str | None = None) -> JournalEntry:
    """It came back. `of` names what tells so (the provider's payout); None when it was never made. A payout may come
    back in either way, once each."""
    seller, currency = SellerId(row.seller_id), row.currency
    if row.rail == Rail.BANK:
        source = chart.bank(currency) if after_paid else chart.bank_clearing(currency)
        posting = Posting(
            source,
            chart.seller_payable(seller, currency),
            row.amount,
        )
        return _entry(row, scope, "bank-payout-failed", "Payout came back", posting, of=of)
    source = chart.custody_owed(seller, currency) if after_paid else chart.custody_in_transit(seller, currency)
    posting = Posting(chart.custody_available(seller, currency), source, row.amount)
    return _entry(row, scope, "payout-failed", "Payout came back", posting, of=of)


def reclaimed(row: Row[Any], scope: WriteScope) -> JournalEntry:
    """It was made after all."""
    seller, currency = SellerId(row.seller_id), row.currency
    posting = Posting(chart.custody_in_transit(seller, currency), chart.custody_available(seller, currency), row.amount)
    return _entry(row, scope, "payout-reclaimed", "Made after all: claimed again for payout", posting)


def _entry(
    row: Row[Any], scope: WriteScope, kind: str, words: str, posting: Posting, *, of: str | None = None
) -> JournalEntry:
    id = public_id("payout", row.id)
    return JournalEntry(
        key=f"{kind}:{id}" + (f":{of}" if of else ""),
        kind=kind,
        source=Source("payout", row.id),
        postings=(posting,),
        effective_at=scope.now,
        description=f"{words} {id}",
        reason={"seller": public_id("seller", row.seller_id)},
    )
