"""The platform's fee schedules: drafts, previews, and published versions."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import Row

from marketbill.errors import InvalidInput
from marketbill.ids import parse_id, public_id
from marketbill.platforms import fee_schedule
from marketbill.platforms.fee_rule import FeeRuleDraft
from marketbill.platforms.fee_schedule import Standing
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope
from marketbill.rules.fees.schedule import FeeBase
from marketbill_graphql import declare
from marketbill_graphql.access import OPERATOR, PLATFORM_READERS, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.money import MoneyInput
from marketbill_graphql.nodes import Node, finds, or_null
from marketbill_graphql.scalars import FeeDocument

strawberry.enum(FixedScope, description="What the fixed part of a fee is charged once for.")
strawberry.enum(
    FeeBase, description="What a fee's percentage is taken of: with the sales tax or without, with shipping or without."
)
strawberry.enum(FeeTaxMode, description="Whether tax on the fee comes on top of the fee, or lies within it.")
strawberry.enum(
    Standing,
    name="FeeScheduleState",
    description="DRAFT may change; SCHEDULED is to come; LIVE is in force; SUPERSEDED gave way to a later one.",
)


@declare.output(PLATFORM_READERS)
class FeeSchedule(Node):
    """The rules that all fees come from: a draft, or a published version, which never changes."""

    row_id: strawberry.Private[UUID]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="fee_…")
    name: str
    version: int | None = strawberry.field(description="Counts what is published; null for a draft.")
    document: FeeDocument = strawberry.field(description="The rules, in the form that a file of them has.")
    document_hash: str = strawberry.field(description="SHA-256 of the document: equal documents have equal hashes.")
    effective_from: datetime | None = strawberry.field(description="From when it holds; null for a draft.")
    created_at: datetime
    created_by: str = strawberry.field(description="The API key, or who was at the terminal.")
    updated_at: datetime
    published_at: datetime | None
    published_by: str | None

    @declare.computed
    async def state(self, info: Info) -> Standing:
        """Where it stands now."""
        return await info.context.load(fee_schedule.standings, self.row_id)


@declare.input
class FeeRuleInput:
    """The short form of a first fee schedule: `percent` of the base, plus a fixed amount in each currency sold in."""

    percent: Decimal
    fixed: list[MoneyInput] = strawberry.field(default_factory=list)
    fixed_scope: FixedScope = FixedScope.ORDER
    base: FeeBase
    fee_tax_mode: FeeTaxMode


@declare.input
class FeeScheduleDraftInput:
    """The rules of a new draft."""

    idempotency_key: str
    document: FeeDocument


@declare.input
class FeeScheduleUpdateInput:
    """The rules that take the place of a draft's."""

    idempotency_key: str
    id: strawberry.ID = strawberry.field(description="fee_… of a draft.")
    document: FeeDocument


@declare.input
class FeeSchedulePublishInput:
    """Which draft, and from when it holds."""

    idempotency_key: str
    id: strawberry.ID = strawberry.field(description="fee_… of a draft.")
    effective_from: datetime | None = strawberry.field(
        default=None, description="Not in the past; left out: from now on."
    )


@declare.input
class FeeScheduleDiscardInput:
    """Which draft goes."""

    idempotency_key: str
    id: strawberry.ID = strawberry.field(description="fee_… of a draft.")


FeeScheduleDraftError = Annotated[AnyMutationError, strawberry.union("FeeScheduleDraftError")]
FeeScheduleUpdateError = Annotated[AnyMutationError, strawberry.union("FeeScheduleUpdateError")]
FeeSchedulePublishError = Annotated[AnyMutationError, strawberry.union("FeeSchedulePublishError")]
FeeScheduleDiscardError = Annotated[AnyMutationError, strawberry.union("FeeScheduleDiscardError")]


@declare.output(OPERATOR)
class FeeScheduleDraftPayload:
    """The new draft."""

    fee_schedule: FeeSchedule | None = None
    errors: list[FeeScheduleDraftError]


@declare.output(OPERATOR)
class FeeScheduleUpdatePayload:
    """The draft after the change."""

    fee_schedule: FeeSchedule | None = None
    errors: list[FeeScheduleUpdateError]


@declare.output(OPERATOR)
class FeeSchedulePublishPayload:
    """The published version."""

    fee_schedule: FeeSchedule | None = None
    errors: list[FeeSchedulePublishError]


@declare.output(OPERATOR)
class FeeScheduleDiscardPayload:
    """What was discarded."""

    id: strawberry.ID | None = None
    errors: list[FeeScheduleDiscardError]


def fee_schedule_of(row: Row[Any]) -> FeeSchedule:
    return FeeSchedule(
        row_id=row.id,
        id=strawberry.ID(public_id("fee schedule", row.id)),
        name=row.name,
        version=row.version,
        document=row.document,
        document_hash=bytes(row.document_hash).hex(),
        effective_from=row.effective_from,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
        published_at=row.published_at,
        published_by=row.published_by,
    )


@finds("fee schedule", PLATFORM_READERS)
async def _find_fee_schedule(context: Context, id: str) -> FeeSchedule:
    schedule = parse_id("fee schedule", id, path=("id",))
    return fee_schedule_of(await context.read(lambda scope: fee_schedule.load(scope, schedule)))


def fee_rule_draft(input: FeeRuleInput) -> FeeRuleDraft:
    fixed: dict[str, int] = {}
    for index, item in enumerate(input.fixed):
        if item.currency in fixed:
            raise InvalidInput(
                f"There are two fixed amounts in {item.currency}.", path=("feeRule", "fixed", str(index), "currency")
            )
        fixed[item.currency] = item.minor
    return FeeRuleDraft(
        percent=input.percent,
        fixed=fixed,
        fixed_scope=input.fixed_scope,
        base=input.base,
        fee_tax_mode=input.fee_tax_mode,
    )


@strawberry.type
class FeeScheduleQueries:
    @declare.query(PLATFORM_READERS)
    async def fee_schedule(self, info: Info, id: strawberry.ID) -> FeeSchedule | None:
        """A draft or a published version, or null when there is none."""
        return await or_null(_find_fee_schedule(info.context, id))

    @declare.query(PLATFORM_READERS)
    async def fee_schedules(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[FeeSchedule]:
        """Drafts and published versions, newest made first."""
        asked = page_request(list_name="feeSchedules", first=first, after=after, last=last, before=before)
        found = await info.context.read(lambda scope: fee_schedule.page(scope, asked))
        return connection(found, list_name="feeSchedules", node=fee_schedule_of)


@strawberry.type
class FeeScheduleCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def fee_schedule_draft(self, info: Info, input: FeeScheduleDraftInput) -> FeeScheduleDraftPayload:
        """Keeps rules as a draft. Nothing changes for payments until it is published."""
        row = await fee_schedule.draft(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            document=input.document,
        )
        return FeeScheduleDraftPayload(fee_schedule=fee_schedule_of(row), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def fee_schedule_update(self, info: Info, input: FeeScheduleUpdateInput) -> FeeScheduleUpdatePayload:
        """Puts other rules in a draft's place."""
        row = await fee_schedule.change(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            document=input.document,
        )
        return FeeScheduleUpdatePayload(fee_schedule=fee_schedule_of(row), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def fee_schedule_publish(self, info: Info, input: FeeSchedulePublishInput) -> FeeSchedulePublishPayload:
        """Publishes a draft as the next version, from now on or from an instant to come. It never changes again."""
        row = await fee_schedule.publish(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            effective_from=input.effective_from,
        )
        return FeeSchedulePublishPayload(fee_schedule=fee_schedule_of(row), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def fee_schedule_discard(self, info: Info, input: FeeScheduleDiscardInput) -> FeeScheduleDiscardPayload:
        """Drops a draft."""
        await fee_schedule.discard(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, id=input.id
        )
        return FeeScheduleDiscardPayload(id=input.id, errors=[])
