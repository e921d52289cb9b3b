"""Netting: what becomes payable to a seller pays what he owes first; the rest is his."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from marketbill.db import WriteScope
from marketbill.ids import public_id
from marketbill.ledger.journal import JournalEntry, Source
from marketbill.payouts import debts


class Due(NamedTuple):
    """Money that is payable to a seller and was not yet, in minor units. `key` is unique to the occasion; `source` is
    what it comes from (a payment, a transfer that came back, a refund that failed)."""

    seller_id: UUID
    currency: str
    amount: int
    source: Source
    key: str


class Netted(NamedTuple):
    """`rests` are what each due leaves to the seller, in their order; `entries` book what paid debts."""

    rests: list[int]
    entries: list[JournalEntry]


async def net(scope: WriteScope, dues: Sequence[Due]) -> Netted:
    """Pays the sellers' debts out of what is due to them, the oldest debt first; locks those debts. The caller posts
    the entries."""
    if not dues:
        return Netted([], [])
    held = await debts.lock_open(scope, {due.seller_id for due in dues})
    rests: list[int] = []
    entries: list[JournalEntry] = []
    for due in dues:
        paid = held.pay(due.seller_id, due.currency, due.amount) if held.rows else 0
        rests.append(due.amount - paid)
        if paid:
            entries.append(set_off_entry(scope, due, paid))
    await held.record(scope)
    return Netted(rests, entries)


def set_off_entry(scope: WriteScope, due: Due, amount: int) -> JournalEntry:
    """A debt is paid out of what is payable."""
    return JournalEntry(
        key=f"set-off:{due.key}",
        kind="set-off",
        source=due.source,
        postings=(debts.set_off(due.seller_id, due.currency, amount),),
        effective_at=scope.now,
        description=f"Debt paid out of {public_id(due.source.type, due.source.id)}",
        reason={"seller": public_id("seller", due.seller_id)},
    )
