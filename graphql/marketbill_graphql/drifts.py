"""Drifts: what the payment provider's records and ours differ in, found by reconciliation."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.ids import public_id
from marketbill.reconciliation import drifts, state
from marketbill.reconciliation.matching import DriftKind, Side, Thing
from marketbill_graphql import declare
from marketbill_graphql.access import OPERATOR, PLATFORM_READERS, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds

strawberry.enum(
    DriftKind,
    description="MISSING: one side knows nothing of it. DUPLICATE: one side has it twice. ALTERED: both have it, and"
    " differ. LATE: word of it came, but it was not booked in time.",
)
strawberry.enum(
    Side,
    name="DriftSide",
    description="Where the fault shows: BOOKS lack or have amiss what the provider did, or the PROVIDER what we have.",
)
strawberry.enum(Thing, name="DriftThing", description="What moved. REVERSAL is all that was taken back of a transfer.")


@declare.output(PLATFORM_READERS)
class Drift(Node):
    """A difference between what the provider says and what we say. It closes by itself when it is found no more."""

    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="drf_…")
    kind: DriftKind
    side: Side
    thing: Thing
    about: str = strawberry.field(description='What differs: "books", "amount", "fee", "status" or "id".')
    subject_id: strawberry.ID | None = strawberry.field(description="Ours: the payment, transfer, payout, ….")
    provider_id: str | None = strawberry.field(description="The provider's id of it.")
    provider_account: str | None = strawberry.field(description="The connected account, for a payout.")
    expected: Money = strawberry.field(description="What the provider says.")
    found: Money = strawberry.field(description="What we say.")
    to_do: str = strawberry.field(description="What a person does about it.")
    moved_at: datetime = strawberry.field(description="When the money moved.")
    opened_at: datetime
    seen_at: datetime = strawberry.field(description="When it was found last.")
    closed_at: datetime | None
    accepted_by: str | None = strawberry.field(description="Who knows of it and left it as it is.")
    accepted_at: datetime | None
    accept_reason: str | None


@declare.output(PLATFORM_READERS)
class Reconciliation:
    """How far the provider's records were compared with ours."""

    compared_until: datetime | None = strawberry.field(description="All that moved before was compared; null: nothing.")
    ran_at: datetime | None = strawberry.field(description="When a cycle came to its end last.")
    failing_since: datetime | None
    error: str | None = strawberry.field(description="Why the last cycle did not come to its end.")
    open_drifts: int = strawberry.field(description="Open and not accepted.")


@declare.input
class DriftFilter:
    """Which drifts; the conditions hold together."""

    is_open: bool | None = strawberry.field(default=None, name="open", description="Also those that were accepted.")
    kind: list[DriftKind] | None = strawberry.field(default=None, description="Any of these.")
    thing: list[Thing] | None = strawberry.field(default=None, description="Any of these.")


@declare.input
class DriftAcceptInput:
    """Which drift, and why it may stay."""

    idempotency_key: str
    id: strawberry.ID
    reason: str


DriftAcceptError = Annotated[AnyMutationError, strawberry.union("DriftAcceptError")]


@declare.output(OPERATOR)
class DriftAcceptPayload:
    """The drift, accepted."""

    drift: Drift | None = None
    errors: list[DriftAcceptError]


@strawberry.type
class DriftQueries:
    @declare.query(PLATFORM_READERS)
    async def drifts(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: DriftFilter | None = None,
    ) -> Connection[Drift]:
        """Drifts, newest first."""
        asked = page_request(list_name="drifts", first=first, after=after, last=last, before=before)
        only = filter or DriftFilter()
        found = await info.context.read(
            lambda scope: drifts.drifts(scope, asked, is_open=only.is_open, kinds=only.kind, things=only.thing)
        )
        return connection(found, list_name="drifts", node=drift_of)

    @declare.query(PLATFORM_READERS)
    async def reconciliation(self, info: Info) -> Reconciliation:
        """How far the provider's records were compared with ours."""
        told = await info.context.read(state.state)
        return Reconciliation(
            compared_until=told.compared_until,
            ran_at=told.ran_at,
            failing_since=told.failing_since,
            error=told.error,
            open_drifts=told.open_drifts,
        )


@strawberry.type
class DriftCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def drift_accept(self, info: Info, input: DriftAcceptInput) -> DriftAcceptPayload:
        """Leaves a drift as it is, for a reason: it alarms nobody any more while its amounts stay the same."""
        row = await drifts.accept(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            reason=input.reason,
        )
        return DriftAcceptPayload(drift=drift_of(row), errors=[])


def drift_of(row: Row[Any]) -> Drift:
    return Drift(
        id=strawberry.ID(public_id("drift", row.id)),
        kind=DriftKind(row.kind),
        side=Side(row.side),
        thing=Thing(row.thing),
        about=row.about,
        subject_id=strawberry.ID(row.name) if row.name else None,
        provider_id=row.provider_id,
        provider_account=row.account,
        expected=amount(row.expected, row.currency),
        found=amount(row.found, row.currency),
        to_do=drifts.to_do(row),
        moved_at=row.at,
        opened_at=row.opened_at,
        seen_at=row.seen_at,
        closed_at=row.closed_at,
        accepted_by=row.accepted_by,
        accepted_at=row.accepted_at,
        accept_reason=row.accept_reason,
    )


@finds("drift", PLATFORM_READERS)
async def _find_drift(context: Context, id: str) -> Drift:
    return drift_of(await context.read(lambda scope: drifts.by_id(scope, id)))
