"""Payouts: from a seller's account at the provider to his bank, on request."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.ids import parse_id, public_id
from marketbill.payouts import queries, request
from marketbill.payouts.instant import Preview
from marketbill.payouts.model import PayoutMethod, PayoutStatus
from marketbill.payouts.request import PayoutDraft
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, PLATFORM_WRITERS, SELLER, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import (
    AnyMutationError,
    InsufficientFunds,
    PreviewStale,
    ProviderRefused,
    RefusalsAsData,
    SellerNotAllowed,
)
from marketbill_graphql.journal import JournalEntry, entries_of
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.payout_rails import Rail
from marketbill_graphql.payout_runs import PayoutRun, payout_run_of
from marketbill_graphql.scalars import BigInt, CurrencyCode
from marketbill_graphql.sellers import Seller, load_seller

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(
    PayoutStatus,
    description="CREATED claims the money. PAID may still become FAILED when the bank sends it back.",
)

strawberry.enum(PayoutMethod, description="INSTANT is at the bank within minutes, for a fee.")


@declare.output(PARTIES)
class PayoutLine:
    """A part of a payout: what it took of one movement of the seller's money."""

    id: strawberry.ID = strawberry.field(description="pit_… of the movement.")
    amount: Money = strawberry.field(description="Below zero for what was taken back.")
    of: Money = strawberry.field(description="The whole movement.")
    source_type: str = strawberry.field(
        description="What moved it: transfer, reversal, payment, refund, dispute, payout item."
    )
    source_id: strawberry.ID
    payment_id: strawberry.ID | None = strawberry.field(description="The sale that it comes from.")
    created_at: datetime


@declare.output(PARTIES)
class PayoutPreview:
    """A payout as it would be now; the token makes it binding."""

    amount: Money
    method: PayoutMethod
    rail: Rail
    fee: Money = strawberry.field(description="What it costs the seller, without tax.")
    fee_tax: Money
    lines: int = strawberry.field(description="Of how many lines it would be.")
    token: str


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
    rail: Rail
    method: PayoutMethod
    fee: Money = strawberry.field(description="What an instant one costs the seller, with tax.")
    bank_reference: str | None = strawberry.field(description="What finds it at the receiving bank, once that is told.")
    retry_of: strawberry.ID | None = strawberry.field(description="The payout that came back, which this one repeats.")

    @declare.query(PLATFORM_READERS)
    async def run(self, info: Info) -> PayoutRun | None:
        """The run that made it; null when it was asked for."""
        if self.row.run_id is None:
            return None
        id = public_id("payout run", self.row.run_id)
        return payout_run_of(await info.context.read(lambda scope: queries.run_by_id(scope, id)))

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
    method: PayoutMethod = PayoutMethod.STANDARD
    token: str | None = strawberry.field(default=None, description="Of payoutPreview; an instant payout needs one.")


@declare.input
class PayoutRetryInput:
    """Which payout that came back is made again."""

    idempotency_key: str
    id: strawberry.ID


PayoutCreateError = Annotated[
    AnyMutationError | InsufficientFunds | SellerNotAllowed | ProviderRefused | PreviewStale,
    strawberry.union("PayoutCreateError"),
]
PayoutRetryError = Annotated[
    AnyMutationError | InsufficientFunds | SellerNotAllowed, strawberry.union("PayoutRetryError")
]


@declare.output(PLATFORM_WRITERS | SELLER)
class PayoutCreatePayload:
    """The payout: the money is claimed, a worker asks the provider."""

    payout: Payout | None = None
    errors: list[PayoutCreateError]


@declare.output(PLATFORM_WRITERS | SELLER)
class PayoutRetryPayload:
    """The new payout of the same lines."""

    payout: Payout | None = None
    errors: list[PayoutRetryError]


@strawberry.type
class PayoutQueries:
    @declare.query(PARTIES)
    async def payout_lines(
        self,
        info: Info,
        payout_id: strawberry.ID,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[PayoutLine]:
        """What a payout is made of, newest first; its lines add up to it."""
        asked = page_request(list_name="payoutLines", first=first, after=after, last=last, before=before)
        actor = info.context.actor
        found = await info.context.read(lambda scope: queries.lines(scope, actor, payout_id, asked))
        return connection(found, list_name="payoutLines", node=_line_of)

    @declare.query(PARTIES)
    async def payout_preview(
        self,
        info: Info,
        seller_id: strawberry.ID,
        currency: CurrencyCode,
        amount: BigInt | None = None,
        method: PayoutMethod = PayoutMethod.STANDARD,
    ) -> PayoutPreview:
        """What a payout would be now, and what it would cost."""
        draft = PayoutDraft(seller_id, currency, amount, method)
        return _preview_of(await request.preview(info.context.services, info.context.actor, draft))

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
            draft=PayoutDraft(input.seller_id, input.currency, input.amount, input.method, input.token),
        )
        return PayoutCreatePayload(payout=payout_of(row), errors=[])

    @declare.command(PLATFORM_WRITERS | SELLER, RefusalsAsData())
    async def payout_retry(self, info: Info, input: PayoutRetryInput) -> PayoutRetryPayload:
        """Pays the lines of a payout that came back once more."""
        row = await request.retry(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, id=input.id
        )
        return PayoutRetryPayload(payout=payout_of(row), errors=[])


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
        rail=Rail(row.rail),
        method=PayoutMethod(row.method),
        fee=amount(row.fee, row.currency),
        bank_reference=row.bank_reference,
        retry_of=strawberry.ID(public_id("payout", row.retry_of)) if row.retry_of else None,
    )


def _line_of(row: Row[Any]) -> PayoutLine:
    payment = row.source_id if row.source_type == "payment" else row.payment_id
    return PayoutLine(
        id=strawberry.ID(public_id("payout item", row.id)),
        amount=amount(row.taken, row.currency),
        of=amount(row.amount, row.currency),
        source_type=row.source_type,
        source_id=strawberry.ID(public_id(row.source_type, row.source_id)),
        payment_id=strawberry.ID(public_id("payment", payment)) if payment else None,
        created_at=row.created_at,
    )


def _preview_of(found: Preview) -> PayoutPreview:
    opening, currency = found.opening, found.opening.currency
    return PayoutPreview(
        amount=amount(opening.amount, currency),
        method=opening.method,
        rail=opening.rail,
        fee=amount(found.price.fee, currency),
        fee_tax=amount(found.price.tax, currency),
        lines=len(opening.lines),
        token=found.token,
    )


@finds("payout", PARTIES)
async def _find_payout(context: Context, id: str) -> Payout:
    return payout_of(await context.read(lambda scope: queries.payout_by_id(scope, context.actor, id)))
