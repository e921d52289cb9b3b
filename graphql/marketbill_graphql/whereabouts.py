"""Where is my money: what a seller was not paid out yet, by place and reason, equal to his balance."""

from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import Row

from marketbill.ids import public_id
from marketbill.insight import whereabouts
from marketbill.insight.whereabouts import Heap, Party, Place, Whereabouts, Why
from marketbill.sellers import queries as sellers
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, SELLER, access
from marketbill_graphql.connections import Connection, Position, page, sorted_by, window
from marketbill_graphql.context import Info
from marketbill_graphql.money import Money, amount
from marketbill_graphql.scalars import CurrencyCode
from marketbill_graphql.sellers import SellerBalance, balance_of

PARTIES = PLATFORM_READERS | SELLER
_LIST = "moneyWhereabouts"
strawberry.enum(Place, name="MoneyPlace", description="Where it is; DEBT is what the seller owes, below zero.")
strawberry.enum(
    Why,
    name="MoneyReason",
    description="Why it is there and not in the seller's bank account. BOOKED_OTHERWISE: corrections of the books, and"
    " what is too small to be transferred.",
)
strawberry.enum(Party, name="MoneyParty", description="Whose turn it is.")


@declare.output(PARTIES)
class MoneyHeap:
    """All of a seller's money of one place and reason."""

    place: Place
    reason: Why
    party: Party = strawberry.field(description="Whose turn it is.")
    amount: Money
    number: int = strawberry.field(description="How many payments, transfers, reserves or payouts it is made of.")
    since: datetime | None = strawberry.field(description="Since when the first of it is there.")
    until: datetime | None = strawberry.field(description="When the first of it goes on, where that is known.")
    until_last: datetime | None = strawberry.field(description="When the last of it goes on, where that is known.")
    by: str | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="Who decided it, for a hold: an API key, or `marketbill`."
    )
    detail: str | None = strawberry.field(description="The words of a hold or a refusal.")


@declare.output(PARTIES)
class MoneyPiece:
    """One thing that a heap is made of."""

    id: strawberry.ID = strawberry.field(description="pay_…, trf_…, rsv_…, pit_…, pot_…, ref_… or dis_….")
    place: Place
    reason: Why
    party: Party
    amount: Money
    since: datetime
    until: datetime | None
    detail: str | None


@declare.output(PARTIES)
class MoneyWhereabouts:
    """A seller's money of one currency: its heaps add up to his balance, cent for cent."""

    seller_id: strawberry.Private[UUID]
    currency: CurrencyCode
    total: Money
    heaps: list[MoneyHeap]
    balance: SellerBalance = strawberry.field(description="What the books say.")

    @declare.computed
    async def pieces(
        self, info: Info, first: int | None = None, after: str | None = None, reason: Why | None = None
    ) -> Connection[MoneyPiece]:
        """What the heaps are made of, newest first."""
        asked = window(list_name=_LIST, first=first, after=after, last=None, before=None)
        rows = await info.context.read(
            lambda scope: whereabouts.pieces(
                scope,
                self.seller_id,
                limit=asked.rows_wanted,
                currency=self.currency,
                why=reason,
                after=(asked.after.id, *sorted_by(asked.after, str, str)) if asked.after else None,
            )
        )
        return page(
            rows, asked, list_name=_LIST, node=_piece, position=lambda row: Position((row.place, row.why), row.id)
        )


@strawberry.type
class WhereaboutsQueries:
    @declare.query(PARTIES)
    async def money_whereabouts(self, info: Info, seller_id: strawberry.ID) -> list[MoneyWhereabouts]:
        """Where every cent of a seller is that was not paid out, by currency; a seller asks for himself."""
        context = info.context

        async def found(scope: Any) -> tuple[UUID, list[Whereabouts]]:
            row = await sellers.by_id(scope, context.actor, seller_id, path=("sellerId",))
            return row.id, await whereabouts.whereabouts(scope, row.id)

        id, told = await context.read(found)
        return [
            MoneyWhereabouts(
                seller_id=id,
                currency=CurrencyCode(one.position.currency),
                total=amount(one.total, one.position.currency),
                heaps=[_heap(heap) for heap in one.heaps],
                balance=balance_of(one.position),
            )
            for one in told
        ]


def _heap(heap: Heap) -> MoneyHeap:
    return MoneyHeap(
        place=heap.place,
        reason=heap.why,
        party=heap.party,
        amount=amount(heap.amount, heap.currency),
        number=heap.number,
        since=heap.since,
        until=heap.until,
        until_last=heap.until_last,
        by=heap.by,
        detail=heap.detail,
    )


def _piece(row: Row[Any]) -> MoneyPiece:
    return MoneyPiece(
        id=strawberry.ID(public_id(row.noun, row.id)),
        place=Place(row.place),
        reason=Why(row.why),
        party=Party(row.party),
        amount=amount(row.amount, row.currency),
        since=row.since,
        until=row.until,
        detail=row.detail,
    )
