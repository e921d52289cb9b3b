"""Corrections of the books: reversals with a reason, and above a limit with a second person."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from marketbill.ids import parse_id, public_id
from marketbill.interventions import books
from marketbill.ledger.operations import correction, correction_limit
from marketbill.ledger.operations.correction import Correction, CorrectionStatus
from marketbill.ledger.operations.correction_limit import LimitSetting
from marketbill.ledger.operations.replacement import Asked, Replacement
from marketbill_graphql import declare
from marketbill_graphql.access import OPERATOR, OPERATORS, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, InsufficientFunds, RefusalsAsData
from marketbill_graphql.journal import JournalEntry, load_entry
from marketbill_graphql.money import Money, MoneyInput, amount
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.scalars import CurrencyCode

strawberry.enum(
    CorrectionStatus,
    name="LedgerCorrectionStatus",
    description="PENDING waits for a second person; the others are final. EXPIRED: nobody decided in time.",
)


@declare.output(OPERATORS)
class ReplacementPosting:
    """A posting of what is booked in place of a reversed entry."""

    debit: str = strawberry.field(description="Code of the account that is debited.")
    credit: str = strawberry.field(description="Code of the account that is credited.")
    amount: Money


@declare.output(OPERATORS)
class LedgerCorrection(Node):
    """The reversal of an entry, asked for by one person and, above a limit, approved by another."""

    correction: strawberry.Private[Correction]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="cor_…")
    status: CorrectionStatus
    amounts: list[Money] = strawberry.field(
        description="What is held against the limit: all that the entry moved, or its replacement where that is more."
    )
    effective_at: datetime = strawberry.field(description="From when on it counts, unless that period is closed.")
    reason: str
    requested_by: str = strawberry.field(description="key_…, or terminal:… for a user of the machine.")
    requested_at: datetime
    needs_approval: bool = strawberry.field(description="Whether another person than who asked must approve it.")
    expires_at: datetime = strawberry.field(description="Until when it can be approved.")
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None = strawberry.field(description="Why it was rejected.")
    replacement_kind: str | None = strawberry.field(
        description="The kind of what is booked in its place: manual, or null for the entry's own."
    )
    replacement_postings: list[ReplacementPosting]

    @declare.computed
    async def entry(self, info: Info) -> JournalEntry:
        """The entry that was wrong."""
        return await load_entry(info.context, self.correction.entry_id)

    @declare.computed
    async def reversal(self, info: Info) -> JournalEntry | None:
        """The entry that mirrors it, once it is posted."""
        id = self.correction.reversal_id
        return await load_entry(info.context, id) if id else None

    @declare.computed
    async def replacement(self, info: Info) -> JournalEntry | None:
        """The entry in its place, if there is one, once it is posted."""
        id = self.correction.replacement_id
        return await load_entry(info.context, id) if id else None


@declare.output(OPERATORS)
class LedgerCorrectionLimit:
    """A limit as somebody set it; the newest of a currency counts."""

    limit: Money
    reason: str
    set_by: str
    set_at: datetime


@declare.input
class ReplacementPostingInput:
    """A posting by the codes of its accounts."""

    debit: str
    credit: str
    amount: MoneyInput


@declare.input
class ReplacementInput:
    """What is booked in place of the reversed entry, together with the reversal."""

    description: str = strawberry.field(description="At most 500 characters.")
    kind: str | None = strawberry.field(
        default=None, description="Without it, the entry's own, whose legs it has; manual for legs of no flow."
    )
    postings: list[ReplacementPostingInput]


@declare.input
class JournalEntryReverseInput:
    """Which entry is wrong, and why."""

    idempotency_key: str
    entry_id: strawberry.ID
    reason: str = strawberry.field(description="1 to 500 characters; kept in the books.")
    effective_at: datetime | None = strawberry.field(
        default=None, description="From the entry's own effective time, which is meant without it, until now."
    )
    replacement: ReplacementInput | None = None


@declare.input
class LedgerCorrectionApproveInput:
    """Which correction to book."""

    idempotency_key: str
    id: strawberry.ID


@declare.input
class LedgerCorrectionRejectInput:
    """Which correction to end, and why."""

    idempotency_key: str
    id: strawberry.ID
    reason: str = strawberry.field(description="1 to 500 characters; kept with the correction.")


@declare.input
class LedgerCorrectionLimitSetInput:
    """Up to what amount one person corrects alone."""

    idempotency_key: str
    limit: MoneyInput
    reason: str = strawberry.field(description="1 to 500 characters; kept.")


JournalEntryReverseError = Annotated[AnyMutationError | InsufficientFunds, strawberry.union("JournalEntryReverseError")]
LedgerCorrectionApproveError = Annotated[
    AnyMutationError | InsufficientFunds, strawberry.union("LedgerCorrectionApproveError")
]
LedgerCorrectionRejectError = Annotated[AnyMutationError, strawberry.union("LedgerCorrectionRejectError")]
LedgerCorrectionLimitSetError = Annotated[AnyMutationError, strawberry.union("LedgerCorrectionLimitSetError")]


@declare.output(OPERATOR)
class JournalEntryReversePayload:
    """The correction: POSTED, or PENDING until somebody else approves it."""

    correction: LedgerCorrection | None = None
    errors: list[JournalEntryReverseError]


@declare.output(OPERATOR)
class LedgerCorrectionApprovePayload:
    """The correction, which is posted."""

    correction: LedgerCorrection | None = None
    errors: list[LedgerCorrectionApproveError]


@declare.output(OPERATOR)
class LedgerCorrectionRejectPayload:
    """The correction, which has ended."""

    correction: LedgerCorrection | None = None
    errors: list[LedgerCorrectionRejectError]


@declare.output(OPERATOR)
class LedgerCorrectionLimitSetPayload:
    """The limit as it was set."""

    limit: LedgerCorrectionLimit | None = None
    errors: list[LedgerCorrectionLimitSetError]


@strawberry.type
class CorrectionQueries:
    @declare.query(OPERATORS)
    async def ledger_corrections(
        self,
        info: Info,
        status: list[CorrectionStatus] | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[LedgerCorrection]:
        """Corrections, newest first, of any of these states."""
        asked = page_request(list_name="ledgerCorrections", first=first, after=after, last=last, before=before)
        found = await info.context.read(lambda scope: correction.corrections(scope, asked, status=status))
        return connection(
            found, list_name="ledgerCorrections", node=lambda row: correction_of(correction.correction_of(row))
        )

    @declare.query(OPERATORS)
    async def ledger_correction_limit(self, info: Info, currency: CurrencyCode) -> Money:
        """Up to what amount the caller corrects alone."""
        by = info.context.actor.id
        found = await info.context.read(lambda scope: correction_limit.limits(scope, [currency], by=by))
        return amount(found[currency], currency)

    @declare.query(OPERATORS)
    async def ledger_correction_limits(self, info: Info) -> list[LedgerCorrectionLimit]:
        """The limits as they were set, newest first; at most two hundred."""
        return [_limit_of(one) for one in await info.context.read(correction_limit.settings)]


@strawberry.type
class CorrectionCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def journal_entry_reverse(self, info: Info, input: JournalEntryReverseInput) -> JournalEntryReversePayload:
        """Corrects an entry by one that mirrors it, and by a replacement if one is given: both are booked or neither.

        Above the limit of its currency it waits until somebody with another API key approves it. A hold is voided, not
        reversed; a reversal is not reversed.
        """
        id = await books.reverse_entry(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.entry_id,
            reason=input.reason,
            effective_at=input.effective_at,
            replacement=_replacement(input.replacement) if input.replacement else None,
        )
        return JournalEntryReversePayload(correction=await _load(info.context, id), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def ledger_correction_approve(
        self, info: Info, input: LedgerCorrectionApproveInput
    ) -> LedgerCorrectionApprovePayload:
        """Books a correction that waits, as somebody else than who asked for it.

        Where an account's guard refuses it, it goes on waiting.
        """
        id = await books.approve_correction(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, id=input.id
        )
        return LedgerCorrectionApprovePayload(correction=await _load(info.context, id), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def ledger_correction_reject(
        self, info: Info, input: LedgerCorrectionRejectInput
    ) -> LedgerCorrectionRejectPayload:
        """Ends a correction that waits; whoever asked for it may take it back so."""
        id = await books.reject_correction(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            reason=input.reason,
        )
        return LedgerCorrectionRejectPayload(correction=await _load(info.context, id), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def ledger_correction_limit_set(
        self, info: Info, input: LedgerCorrectionLimitSetInput
    ) -> LedgerCorrectionLimitSetPayload:
        """Sets up to what amount one person corrects alone; 0 has every correction approved.

        A limit does not count for whoever raised it, until somebody else sets one.
        """
        await books.set_correction_limit(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            currency=input.limit.currency,
            amount=input.limit.minor,
            reason=input.reason,
        )
        [newest] = await info.context.read(
            lambda scope: correction_limit.settings(scope, currency=input.limit.currency, limit=1)
        )
        return LedgerCorrectionLimitSetPayload(limit=_limit_of(newest), errors=[])


def correction_of(made: Correction) -> LedgerCorrection:
    replacing = made.replacement
    return LedgerCorrection(
        correction=made,
        id=strawberry.ID(public_id("correction", made.id)),
        status=made.status,
        amounts=[amount(minor, currency) for currency, minor in sorted(made.amounts.items())],
        effective_at=made.effective_at,
        reason=made.reason,
        requested_by=made.requested_by,
        requested_at=made.requested_at,
        needs_approval=made.needs_approval,
        expires_at=made.expires_at,
        decided_by=made.decided_by,
        decided_at=made.decided_at,
        decision_reason=made.decision_reason,
        replacement_kind=replacing.kind if replacing else None,
        replacement_postings=[
            ReplacementPosting(
                debit=posting.debit.code,
                credit=posting.credit.code,
                amount=amount(posting.amount, posting.debit.currency),
            )
            for posting in (replacing.postings if replacing else ())
        ],
    )


def _limit_of(setting: LimitSetting) -> LedgerCorrectionLimit:
    return LedgerCorrectionLimit(
        limit=amount(setting.amount, setting.currency),
        reason=setting.reason,
        set_by=setting.set_by,
        set_at=setting.set_at,
    )


def _replacement(input: ReplacementInput) -> Replacement:
    legs = [Asked(leg.debit, leg.credit, leg.amount.minor, leg.amount.currency) for leg in input.postings]
    return Replacement.asked(legs, description=input.description, kind=input.kind)


async def _load(context: Context, id: UUID) -> LedgerCorrection:
    return correction_of(await context.read(lambda scope: correction.load(scope, id)))


@finds("correction", OPERATORS)
async def _find_correction(context: Context, id: str) -> LedgerCorrection:
    return await _load(context, parse_id("correction", id))
