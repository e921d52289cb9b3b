"""Transfers: a seller's share of a payment on its way to his account at the provider."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.ids import parse_id, public_id
from marketbill.payments import queries as payments
from marketbill.payouts import queries
from marketbill.payouts.model import ReversalStatus, TransferKind, TransferStatus
from marketbill.recovery import queries as recovery
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, SELLER, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.journal import JournalEntry, entries_of
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.sellers import Seller, load_seller

if TYPE_CHECKING:
    from marketbill_graphql.payments import Payment

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(
    TransferStatus,
    description="HELD waits for the seller's account; REFUSED waits for an operator. CANCELED: all of it was taken back"
    " before it was sent.",
)
strawberry.enum(
    TransferKind,
    description="SALE: what a sale earned. RESERVE: what was kept back of that for a time. AGAIN: what was taken back"
    " and is the seller's after all.",
)
strawberry.enum(
    ReversalStatus,
    name="TransferReversalStatus",
    description="WAITING for its transfer; PENDING at the provider; DONE. LOWERED: the transfer was not sent, and was"
    " lowered instead. REFUSED: nothing came back.",
)


@declare.output(PARTIES)
class TransferReversal:
    """What is taken back of a transfer for a refund or a lost dispute."""

    id: strawberry.ID = strawberry.field(description="rev_…")
    amount: Money
    status: ReversalStatus
    reason: str | None = strawberry.field(description="Why it is not done.")
    cause: strawberry.ID = strawberry.field(
        description="What it is for: ref_…, dis_…, or trf_… for the transfer itself."
    )
    provider_reversal: str | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="The provider's id."
    )
    created_at: datetime
    done_at: datetime | None


@declare.output(PARTIES)
class Transfer(Node):
    """A seller's share of a payment, sent to his account at the provider."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="trf_…")
    amount: Money
    kind: TransferKind
    reversed: Money = strawberry.field(description="What was taken back of it.")
    status: TransferStatus
    reason: str | None = strawberry.field(description="Why it is held, refused or canceled.")
    provider_transfer: str | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="The provider's id."
    )
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Who receives it."""
        return await load_seller(info.context, self.row.seller_id)

    @declare.computed
    async def payment(self, info: Info) -> Annotated["Payment", strawberry.lazy("marketbill_graphql.payments")]:
        """The payment it is a share of."""
        from marketbill_graphql.payments import payment_of

        return payment_of(await info.context.load_own(payments.by_ids, self.row.payment_id))

    @declare.computed
    async def reversals(self, info: Info) -> list[TransferReversal]:
        """What is taken back of it, oldest first."""
        found = await info.context.load_own(recovery.reversals_of, self.row.id)
        return [reversal_of(row) for row in found or []]

    @declare.query(PLATFORM_READERS)
    async def journal_entries(self, info: Info) -> list[JournalEntry]:
        """What the books say of it, oldest first."""
        return await entries_of(info.context, self.row.id)


@declare.input
class TransferFilter:
    """Which transfers; the conditions hold together."""

    status: list[TransferStatus] | None = strawberry.field(default=None, description="Any of these.")
    seller_id: strawberry.ID | None = None


@strawberry.type
class TransferQueries:
    @declare.query(PARTIES)
    async def transfers(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: TransferFilter | None = None,
    ) -> Connection[Transfer]:
        """Transfers, newest first; a seller sees his own."""
        asked = page_request(list_name="transfers", first=first, after=after, last=last, before=before)
        actor, only = info.context.actor, filter or TransferFilter()
        seller = parse_id("seller", only.seller_id, path=("filter", "sellerId")) if only.seller_id else None
        found = await info.context.read(
            lambda scope: queries.transfers(scope, actor, asked, seller=seller, status=only.status)
        )
        return connection(found, list_name="transfers", node=transfer_of)


def transfer_of(row: Row[Any]) -> Transfer:
    return Transfer(
        row=row,
        id=strawberry.ID(public_id("transfer", row.id)),
        amount=amount(row.amount, row.currency),
        kind=TransferKind(row.kind),
        reversed=amount(row.reversed, row.currency),
        status=TransferStatus(row.status),
        reason=row.reason,
        provider_transfer=row.provider_transfer,
        created_at=row.created_at,
        updated_at=row.updated_at,
        sent_at=row.sent_at,
    )


def reversal_of(row: Row[Any]) -> TransferReversal:
    return TransferReversal(
        id=strawberry.ID(public_id("reversal", row.id)),
        amount=amount(row.amount, row.currency),
        status=ReversalStatus(row.status),
        reason=row.reason,
        cause=strawberry.ID(public_id(row.cause_type, row.cause_id)),
        provider_reversal=row.provider_reversal,
        created_at=row.created_at,
        done_at=row.done_at,
    )


@finds("transfer", PARTIES)
async def _find_transfer(context: Context, id: str) -> Transfer:
    return transfer_of(await context.read(lambda scope: queries.transfer_by_id(scope, context.actor, id)))
