"""Answers to disputes: what they would mean, the evidence, and contesting or accepting by a preview's token."""

from typing import Annotated

import strawberry

from marketbill.db import Scope
from marketbill.disputes import answer, evidence, preview, queries
from marketbill.disputes.evidence import FileReference, Piece
from marketbill.disputes.model import Answer
from marketbill.disputes.preview import Results, SellerResult
from marketbill.ids import parse_id, public_id
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, PLATFORM_WRITERS, SELLER, access
from marketbill_graphql.context import Info
from marketbill_graphql.disputes import PARTIES, Dispute, dispute_of
from marketbill_graphql.errors import AnyMutationError, PreviewStale, RefusalsAsData
from marketbill_graphql.money import Money, amount


@declare.output(PARTIES)
class DisputeSellerResult:
    """What a lost dispute takes from a seller, and from where it would come now."""

    seller_id: strawberry.ID
    part: Money = strawberry.field(description="All that he gives back of the sale.")
    pending: Money = strawberry.field(description="Taken from what is not released.")
    payable: Money = strawberry.field(description="Taken from what is not transferred.")
    reverse: Money = strawberry.field(description="Taken back from his account at the provider.")
    debt: Money = strawberry.field(description="What he comes to owe.")
    fees: Money = strawberry.field(description="The provider's fees that he is charged, by the policy.")
    is_doubtful: bool = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="His debt is not expected to be paid."
    )


@declare.output(PARTIES)
class DisputePreview:
    """What answering a dispute would mean now. Results are of the whole sale; below zero is a loss of the platform."""

    contest_token: str | None = strawberry.field(
        directives=[access(PLATFORM_READERS)],
        description="For disputeContest; null while it takes no answer, or there is no evidence.",
    )
    accept_token: str | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="For disputeAccept; null while it cannot be accepted."
    )
    so_far: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="The platform's result of the sale as it is booked."
    )
    fees: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="The provider's fees for it until now."
    )
    countered_fee: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="What contesting is expected to cost."
    )
    if_contested_and_won: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="Where the provider returns none of its fees."
    )
    if_contested_and_lost: Money = strawberry.field(directives=[access(PLATFORM_READERS)])
    if_accepted: Money = strawberry.field(directives=[access(PLATFORM_READERS)])
    doubtful: Money = strawberry.field(
        directives=[access(PLATFORM_READERS)],
        description="Debts that are not expected to be paid: of sellers who were named, and of those who may not sell.",
    )
    evidence_digest: str = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="SHA-256 of what would be submitted."
    )
    sellers: list[DisputeSellerResult] = strawberry.field(description="A seller sees himself.")


@declare.input
class DisputeFileInput:
    """Where a file is: its id at the provider, or a URL; and the hash of its bytes."""

    sha256: str = strawberry.field(description="64 hexadecimal digits.")
    id: str | None = strawberry.field(default=None, description="file_… at the provider.")
    url: str | None = strawberry.field(default=None, description="https://…; it is named to the bank with its hash.")
    name: str | None = None


@declare.input
class DisputeEvidenceInput:
    """A text or a file for a field, or neither: that takes back what was said in it."""

    field: str = strawberry.field(description="The provider's name, such as customer_communication.")
    content: str | None = None
    file: DisputeFileInput | None = None


@declare.input
class DisputeEvidenceAddInput:
    """Evidence for a dispute."""

    idempotency_key: str
    id: strawberry.ID
    pieces: list[DisputeEvidenceInput]


@declare.input
class DisputeContestInput:
    """The dispute, and the token of the preview that showed what contesting it means."""

    idempotency_key: str
    id: strawberry.ID
    token: str


@declare.input
class DisputeAcceptInput:
    """The dispute, and the token of the preview that showed what accepting it means."""

    idempotency_key: str
    id: strawberry.ID
    token: str


DisputeEvidenceAddError = Annotated[AnyMutationError, strawberry.union("DisputeEvidenceAddError")]
DisputeContestError = Annotated[AnyMutationError | PreviewStale, strawberry.union("DisputeContestError")]
DisputeAcceptError = Annotated[AnyMutationError | PreviewStale, strawberry.union("DisputeAcceptError")]


@declare.output(PLATFORM_WRITERS | SELLER)
class DisputeEvidenceAddPayload:
    """The dispute with its evidence; nothing was submitted yet."""

    dispute: Dispute | None = None
    errors: list[DisputeEvidenceAddError]


@declare.output(PLATFORM_WRITERS)
class DisputeContestPayload:
    """The dispute: a worker submits its evidence."""

    dispute: Dispute | None = None
    errors: list[DisputeContestError]


@declare.output(PLATFORM_WRITERS)
class DisputeAcceptPayload:
    """The dispute: a worker tells the provider."""

    dispute: Dispute | None = None
    errors: list[DisputeAcceptError]


@strawberry.type
class DisputeAnswerQueries:
    @declare.query(PARTIES)
    async def dispute_preview(
        self, info: Info, id: strawberry.ID, doubtful: list[strawberry.ID] | None = None
    ) -> DisputePreview:
        """What contesting or accepting a dispute would mean for the platform and each seller. `doubtful` are sellers
        whose debts are not expected to be paid."""
        context = info.context
        named = [parse_id("seller", one, path=("doubtful", str(place))) for place, one in enumerate(doubtful or ())]

        async def look(scope: Scope) -> tuple[Results, str | None, str | None]:
            row = await queries.by_id(scope, context.actor, id)
            shown = await preview.of(scope, row, doubtful=named)
            vault = context.services.vault
            contest = preview.token(vault, scope, row, shown, Answer.CONTESTING) if shown.may_contest else None
            accept = preview.token(vault, scope, row, shown, Answer.ACCEPTING) if shown.may_accept else None
            return shown, contest, accept

        shown, contest, accept = await context.read(look)

        def money(minor: int) -> Money:
            return amount(minor, shown.currency)

        return DisputePreview(
            contest_token=contest,
            accept_token=accept,
            so_far=money(shown.so_far),
            fees=money(shown.fees),
            countered_fee=money(shown.countered_fee),
            if_contested_and_won=money(shown.won),
            if_contested_and_lost=money(shown.lost),
            if_accepted=money(shown.accepted),
            doubtful=money(shown.doubtful),
            evidence_digest=shown.evidence,
            sellers=[
                _result_of(one, shown.currency)
                for one in shown.sellers
                if context.actor.seller in (None, one.seller_id)
            ],
        )


@strawberry.type
class DisputeAnswerCommands:
    @declare.command(PLATFORM_WRITERS | SELLER, RefusalsAsData())
    async def dispute_evidence_add(self, info: Info, input: DisputeEvidenceAddInput) -> DisputeEvidenceAddPayload:
        """Keeps evidence until the dispute is contested; a seller may add to disputes of payments he has a share in."""
        row = await evidence.add(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            dispute_id=input.id,
            pieces=[_piece(one) for one in input.pieces],
        )
        return DisputeEvidenceAddPayload(dispute=dispute_of(row), errors=[])

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def dispute_contest(self, info: Info, input: DisputeContestInput) -> DisputeContestPayload:
        """Submits the evidence to the bank, which happens once, exactly as the preview of this token showed."""
        row = await answer.contest(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            dispute_id=input.id,
            token=input.token,
        )
        return DisputeContestPayload(dispute=dispute_of(row), errors=[])

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def dispute_accept(self, info: Info, input: DisputeAcceptInput) -> DisputeAcceptPayload:
        """Gives the dispute up, for good, exactly as the preview of this token showed."""
        row = await answer.accept(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            dispute_id=input.id,
            token=input.token,
        )
        return DisputeAcceptPayload(dispute=dispute_of(row), errors=[])


def _piece(given: DisputeEvidenceInput) -> Piece:
    file = given.file
    kept = FileReference(sha256=file.sha256, id=file.id, url=file.url, name=file.name) if file else None
    return Piece(given.field, given.content, kept)


def _result_of(one: SellerResult, currency: str) -> DisputeSellerResult:
    return DisputeSellerResult(
        seller_id=strawberry.ID(public_id("seller", one.seller_id)),
        part=amount(one.amount, currency),
        pending=amount(one.pending, currency),
        payable=amount(one.payable, currency),
        reverse=amount(one.reverse, currency),
        debt=amount(one.debt, currency),
        fees=amount(one.fees, currency),
        is_doubtful=one.doubtful,
    )
