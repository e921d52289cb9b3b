"""Payouts: from a seller's account at the provider to his bank, on request."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.ids import parse_id, public_id
from marketbill.payouts import queries, request
from marketbill.payouts.model import PayoutStatus
from marketbill.payouts.request import PayoutDraft
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, PLATFORM_WRITERS, SELLER, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import (
    AnyMutationError,
    InsufficientFunds,
    ProviderRefused,
    RefusalsAsData,
    SellerNotAllowed,
)
from marketbill_graphql.journal import JournalEntry, entries_of
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.scalars import BigInt, CurrencyCode
from marketbill_graphql.sellers import Seller, load_seller

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(
    PayoutStatus,
    description="CREATED claims the money. PAID may still become FAILED when the bank sends it back.",
)


@declare.output(PARTIES)
class Payout(Node):
    """Money on its way from a seller's provider account to his bank."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="pot_…")
    amount: Money
    status: PayoutStatus
    reason: str | None = strawberry.field(description="Why it failed, or what it waits for.")
    provider_payout: str | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="The provider's id."
    )
    arrival_on: datetime | None = strawberry.field(description="When the provider expects it at the bank.")
    created_at: datetime
    updated_at: datetime
    paid_at: datetime | None

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Who is paid."""
        return await load_seller(info.context, self.row.seller_id)

    @declare.query(PLATFORM_READERS)
    async def journal_entries(self, info: Info) -> list[JournalEntry]:
        """What the books say of it, oldest first."""
        return await entries_of(info.context, self.row.id)


@declare.input
class PayoutFilter:
    """Which payouts; the conditions hold together."""

    status: list[PayoutStatus] | None = strawberry.field(default=None, description="Any of these.")
    seller_id: strawberry.ID | None = None


@declare.input
class PayoutCreateInput:
    """Whom to pay out, in which currency, and how much."""

    idempotency_key: str
    seller_id: strawberry.ID
    currency: CurrencyCode
    amount: BigInt | None = strawberry.field(default=None, description="Minor units; everything available if left out.")


PayoutCreateError = Annotated[
    AnyMutationError | InsufficientFunds | SellerNotAllowed | ProviderRefused, strawberry.union("PayoutCreateError")
]


@declare.output(PLATFORM_WRITERS | SELLER)
class PayoutCreatePayload:
    """The payout: the money is claimed, a worker asks the provider."""

    payout: Payout | None = None
    errors: list[PayoutCreateError]


@strawberry.type
class PayoutQueries:
    @declare.query(PARTIES)
    async def payouts(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: PayoutFilter | None = None,
    ) -> Connection[Payout]:
        """Payouts, newest first; a seller sees his own."""
        asked = page_request(list_name="payouts", first=first, after=after, last=last, before=before)
        actor, only = info.context.actor, filter or PayoutFilter()
        seller = parse_id("seller", only.seller_id, path=("filter", "sellerId")) if only.seller_id else None
        found = await info.context.read(
            lambda scope: queries.payouts(scope, actor, asked, seller=seller, status=only.status)
        )
        return connection(found, list_name="payouts", node=payout_of)


@strawberry.type
class PayoutCommands:
    @declare.command(PLATFORM_WRITERS | SELLER, RefusalsAsData())
    async def payout_create(self, info: Info, input: PayoutCreateInput) -> PayoutCreatePayload:
        """Pays a seller out to his bank; a seller may ask for himself."""
        row = await request.create(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            draft=PayoutDraft(input.seller_id, input.currency, input.amount),
        )
        return PayoutCreatePayload(payout=payout_of(row), errors=[])


def payout_of(row: Row[Any]) -> Payout:
    return Payout(
        row=row,
        id=strawberry.ID(public_id("payout", row.id)),
        amount=amount(row.amount, row.currency),
        status=PayoutStatus(row.status),
        reason=row.reason,
        provider_payout=row.provider_payout,
        arrival_on=row.arrival_on,
        created_at=row.created_at,
        updated_at=row.updated_at,
        paid_at=row.paid_at,
    )


@finds("payout", PARTIES)
async def _find_payout(context: Context, id: str) -> Payout:
    return payout_of(await context.read(lambda scope: queries.payout_by_id(scope, context.actor, id)))
