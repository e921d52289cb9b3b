"""What the platform's own bank is to pay sellers, and no payout holds: it is payable still, so what must go back is
taken of it before anybody owes anything."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, select

from marketbill.db import Scope, WriteScope
from marketbill.ledger.journal import Source
from marketbill.payouts import items
from marketbill.payouts.custody import Purse
from marketbill.payouts.items import Item
from marketbill.payouts.model import Rail, payout_item
from marketbill.prepared import prepared

_OPEN = prepared(
    select(payout_item.c.seller_id, payout_item.c.currency, payout_item.c.amount, payout_item.c.claimed).where(
        payout_item.c.platform_id == bindparam("platform"),
        payout_item.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_(),
        payout_item.c.rail == Rail.BANK.value,
        payout_item.c.claimed != payout_item.c.amount,
    )
)


async def free(scope: Scope, sellers: Collection[UUID]) -> dict[Purse, int]:
    """What may be taken of it now, in minor units; purses without anything are missing. Whoever takes it holds the
    sellers, as payouts do that claim it."""
    found: dict[Purse, int] = {}
    for row in await scope.rows(_OPEN, {"platform": scope.platform, "sellers": sorted(sellers)}):
        purse = row.seller_id, row.currency
        found[purse] = found.get(purse, 0) + row.amount - row.claimed
    return {purse: amount for purse, amount in found.items() if amount > 0}


async def take(scope: WriteScope, cause: Source, currency: str, taken: Mapping[UUID, int]) -> None:
    """Takes it for a cause: a piece below zero, which the next payout is less by. To be called once for a cause."""
    await items.add(scope, [Item(id, currency, cause, -amount, Rail.BANK) for id, amount in taken.items() if amount])
