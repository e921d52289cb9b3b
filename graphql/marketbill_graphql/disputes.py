"""Disputes: a buyer takes his money back through his bank, and the platform may answer."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.disputes import evidence, queries
from marketbill.disputes.model import Answer, RecoverAt
from marketbill.disputes.queries import DisputeFilter as Filter
from marketbill.ids import parse_id, public_id
from marketbill.payments import queries as payments
from marketbill.rules.disputes import DisputeStatus
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
    DisputeStatus,
    description="INQUIRY moves no money; ANSWERED and CLOSED follow it. NEEDS_RESPONSE takes evidence until its"
    " deadline. UNDER_REVIEW is with the bank. WON, PARTLY_WON and LOST may be appealed. PREVENTED never became one.",
)
strawberry.enum(
    Answer,
    name="DisputeAnswer",
    description="CONTESTING and ACCEPTING: the provider is asked. REFUSED: it said no, and may be answered again.",
)
strawberry.enum(
    RecoverAt,
    name="DisputeRecoverAt",
    description="When the sellers' parts are taken back: once money was withdrawn, or once the dispute is lost.",
)


@declare.output(PLATFORM_READERS)
class DisputeMovement:
    """A movement of the provider's balance for a dispute, signed as the provider signs it."""

    balance_transaction: str
    amount: Money = strawberry.field(description="Below zero where money was withdrawn.")
    fee: Money = strawberry.field(description="Below zero where a fee was returned.")
    moved_at: datetime


@declare.output(PARTIES)
class DisputePart:
    """What one seller gives back for a dispute."""

    row: strawberry.Private[Row[Any]]
    part: Money = strawberry.field(description="In the currency in which the sale was settled.")
    booked_at: datetime | None = strawberry.field(description="Null while it is being taken back.")

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Who gives it."""
        return await load_seller(info.context, self.row.seller_id)


@declare.output(PARTIES)
class DisputeEvidence:
    """A piece of evidence: a text, or a file by reference."""

    field: str = strawberry.field(description="The provider's name of it.")
    content: str | None
    file_id: str | None = strawberry.field(description="The provider's id of the file.")
    file_url: str | None
    file_name: str | None
    file_sha256: str | None = strawberry.field(description="Hash of the file's bytes, hexadecimal.")
    added_by: str
    added_at: datetime


@declare.output(PARTIES)
class Dispute(Node):
    """A payment that its buyer contests at his bank."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="dis_…")
    status: DisputeStatus
    reason: str = strawberry.field(description="As the provider calls it, such as product_not_received.")
    network_reason: str | None = strawberry.field(description="The card network's code of the reason.")
    due_by: datetime | None = strawberry.field(description="Until when evidence is taken.")
    answer: Answer | None = strawberry.field(description="What the platform answered.")
    explanation: str | None = strawberry.field(description="What the answer waits for, or why it was refused.")
    answered_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None
    amount: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="What is contested, in the sale's currency."
    )
    won: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="What of it was won back, in the sale's currency."
    )
    withdrawn: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="What the provider withdrew, without fees."
    )
    reinstated: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="What the provider gave back, without fees."
    )
    fees: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="What the provider charged for it."
    )
    fees_returned: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="What the provider returned of its fees."
    )
    recover_at: RecoverAt = strawberry.field(directives=[access(PLATFORM_READERS)])
    policy_version: int = strawberry.field(directives=[access(PLATFORM_READERS)])
    provider_dispute: str = strawberry.field(directives=[access(PLATFORM_READERS)], description="The provider's id.")
    answered_by: str | None = strawberry.field(directives=[access(PLATFORM_READERS)])

    @declare.computed
    async def payment(self, info: Info) -> Annotated["Payment", strawberry.lazy("marketbill_graphql.payments")]:
        """The payment that is disputed."""
        from marketbill_graphql.payments import payment_of

        return payment_of(await info.context.load_own(payments.by_ids, self.row.payment_id))

    @declare.computed
    async def parts(self, info: Info) -> list[DisputePart]:
        """What each seller gives back, once that has begun; a seller sees his own part."""
        found = await info.context.load_own(queries.parts_of, self.row.id)
        return [DisputePart(row=one, part=amount(one.amount, one.currency), booked_at=one.booked_at) for one in found]

    @declare.computed
    async def evidence(self, info: Info) -> list[DisputeEvidence]:
        """The evidence as it stands; a seller sees what he added."""
        found, actor = await info.context.load(evidence.pieces_of, self.row.id), info.context.actor
        return [
            DisputeEvidence(
                field=one.field,
                content=one.content,
                file_id=one.file_id,
                file_url=one.file_url,
                file_name=one.file_name,
                file_sha256=one.file_sha256,
                added_by=one.added_by,
                added_at=one.added_at,
            )
            for one in found
            if actor.seller is None or one.added_by == actor.id
        ]

    @declare.query(PLATFORM_READERS)
    async def movements(self, info: Info) -> list[DisputeMovement]:
        """What the provider moved for it, oldest first."""
        return [
            DisputeMovement(
                balance_transaction=one.balance_transaction,
                amount=amount(one.amount, one.currency),
                fee=amount(one.fee, one.currency),
                moved_at=one.moved_at,
            )
            for one in await info.context.load(queries.movements_of, self.row.id)
        ]

    @declare.query(PLATFORM_READERS)
    async def journal_entries(self, info: Info) -> list[JournalEntry]:
        """What the books say of it, oldest first."""
        return await entries_of(info.context, self.row.id)


@declare.input
class DisputeFilter:
    """Which disputes; the conditions hold together."""

    status: list[DisputeStatus] | None = strawberry.field(default=None, description="Any of these.")
    payment_id: strawberry.ID | None = None
    seller_id: strawberry.ID | None = strawberry.field(default=None, description="Of payments he has a share in.")
    due_before: datetime | None = strawberry.field(default=None, description="Evidence is due before this instant.")


@strawberry.type
class DisputeQueries:
    @declare.query(PARTIES)
    async def disputes(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: DisputeFilter | None = None,
    ) -> Connection[Dispute]:
        """Disputes, newest first; a seller sees those of payments that he has a share in."""
        asked = page_request(list_name="disputes", first=first, after=after, last=last, before=before)
        actor, given = info.context.actor, filter or DisputeFilter()
        only = Filter(
            status=given.status,
            payment=parse_id("payment", given.payment_id, path=("filter", "paymentId")) if given.payment_id else None,
            seller=parse_id("seller", given.seller_id, path=("filter", "sellerId")) if given.seller_id else None,
            due_before=given.due_before,
        )
        found = await info.context.read(lambda scope: queries.page(scope, actor, only, asked))
        return connection(found, list_name="disputes", node=dispute_of)


def dispute_of(row: Row[Any]) -> Dispute:
    settled = row.settlement_currency or row.currency
    return Dispute(
        row=row,
        id=strawberry.ID(public_id("dispute", row.id)),
        status=DisputeStatus(row.status),
        reason=row.reason,
        network_reason=row.network_reason,
        due_by=row.due_by,
        answer=Answer(row.answer) if row.answer else None,
        explanation=row.explanation,
        answered_at=row.answered_at,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        amount=amount(row.amount, row.currency),
        won=amount(row.won, row.currency),
        withdrawn=amount(row.withdrawn, settled),
        reinstated=amount(row.reinstated, settled),
        fees=amount(row.fees, settled),
        fees_returned=amount(row.fees_returned, settled),
        recover_at=RecoverAt(row.recover_at),
        policy_version=row.policy_version,
        provider_dispute=row.provider_dispute,
        answered_by=row.answered_by,
    )


@finds("dispute", PARTIES)
async def _find_dispute(context: Context, id: str) -> Dispute:
    return dispute_of(await context.read(lambda scope: queries.by_id(scope, context.actor, id)))
