"""What a seller has in his account at the provider and no payout holds: a reversal can take so much, and claims it, so
that it is not paid out while the provider is asked."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, select, text

from marketbill.db import Scope, WriteScope
from marketbill.ids import SellerId
from marketbill.ledger import accounts, chart
from marketbill.payouts.model import Rail, payout_item
from marketbill.prepared import prepared

#: A seller's purse in one currency.
Purse = tuple[UUID, str]
_ITEMS = (
    select(payout_item)
    .where(
        payout_item.c.platform_id == bindparam("platform"),
        payout_item.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_(),
        payout_item.c.rail == Rail.PROVIDER.value,
        payout_item.c.claimed != payout_item.c.amount,
    )
    .order_by(payout_item.c.seller_id, payout_item.c.currency, payout_item.c.created_at, payout_item.c.id)
)
_READ, _LOCKED = prepared(_ITEMS), prepared(_ITEMS.with_for_update())
_CLAIM = text("update payout_item set claimed = claimed + :amount where platform_id = :platform and id = :item")


async def free(scope: Scope, sellers: Collection[UUID]) -> dict[Purse, int]:
    """What may be taken from each seller's account now, in minor units; purses without anything are missing."""
    return await _free(scope, await scope.rows(_READ, {"platform": scope.platform, "sellers": sorted(sellers)}))


async def lock(scope: WriteScope, sellers: Collection[UUID]) -> tuple[dict[Purse, int], Sequence[Row[Any]]]:
    """The same with the items that stand for it, locked until the transaction ends."""
    rows = await scope.rows(_LOCKED, {"platform": scope.platform, "sellers": sorted(sellers)})
    return await _free(scope, rows), rows


def claim(items: Sequence[Row[Any]], claimed: dict[UUID, int], purse: Purse, amount: int, *, first: UUID) -> list[Any]:
    """Which items stand for `amount`: that of the transfer `first`, then the newest. `claimed` is what was claimed of
    them in this transaction, and is added to. As `reversal.claims` keeps it."""
    mine = [row for row in items if (row.seller_id, row.currency) == purse and row.amount > 0]
    mine.sort(key=lambda row: (row.source_id == first, row.created_at, row.id), reverse=True)
    taken: list[Any] = []
    for row in mine:
        part = min(amount, row.amount - row.claimed - claimed.get(row.id, 0))
        if part > 0:
            claimed[row.id] = claimed.get(row.id, 0) + part
            taken.append({"item": str(row.id), "amount": part})
            amount -= part
    return taken


async def record(scope: WriteScope, claimed: Mapping[UUID, int]) -> None:
    """Writes claims down; amounts below zero give them back."""
    changes = [
        {"platform": scope.platform, "item": id, "amount": amount} for id, amount in sorted(claimed.items()) if amount
    ]
    if changes:
        await scope.run(_CLAIM, changes)


async def _free(scope: Scope, rows: Sequence[Row[Any]]) -> dict[Purse, int]:
    purses: dict[Purse, int] = {}
    for row in rows:
        purse = row.seller_id, row.currency
        purses[purse] = purses.get(purse, 0) + row.amount - row.claimed
    refs = {purse: chart.custody_available(SellerId(purse[0]), purse[1]) for purse in purses}
    held = await accounts.accounts_by_refs(scope, list(refs.values()))
    return {
        purse: max(0, min(amount, held[refs[purse]].available if refs[purse] in held else 0))
        for purse, amount in purses.items()
    }
