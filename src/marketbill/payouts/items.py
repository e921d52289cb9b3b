"""What payouts are made of: each movement of what a seller may be paid out is an item, written with its entry."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import insert

from marketbill.db import WriteScope
from marketbill.ids import new_id
from marketbill.ledger.journal import Source
from marketbill.payouts.model import Rail, payout_item

_INSERT = insert(payout_item)


class Item(NamedTuple):
    """`amount` in minor units, below zero for what was taken back; `source` is the transfer, reversal, ... it is."""

    seller_id: UUID
    currency: str
    source: Source
    amount: int
    rail: Rail = Rail.PROVIDER


async def add(scope: WriteScope, items: Sequence[Item]) -> None:
    """Keeps the items; to be called before the entries that move the same amounts are posted, with each source once."""
    items = [item for item in items if item.amount]
    if items:
        await scope.run(
            _INSERT,
            [
                {
                    "platform_id": scope.platform,
                    "id": new_id(),
                    "seller_id": item.seller_id,
                    "currency": item.currency,
                    "rail": item.rail,
                    "source_type": item.source.type,
                    "source_id": item.source.id,
                    "amount": item.amount,
                    "claimed": 0,
                    "created_at": scope.now,
                }
                for item in items
            ],
        )
