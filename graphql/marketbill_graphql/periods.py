"""Closed periods of the books, and what keeps one from being closed."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import strawberry

from marketbill.errors import InvalidInput
from marketbill.interventions import books
from marketbill.ledger.operations import period
from marketbill.ledger.operations.period import Period
from marketbill_graphql import declare
from marketbill_graphql.access import OPERATOR, OPERATORS
from marketbill_graphql.connections import Connection, Position, page, window
from marketbill_graphql.context import Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData, SuspenseBalance, SuspenseNotZero, suspense_of
from marketbill_graphql.scalars import BigInt

_INSTANT = timedelta(microseconds=1)


@declare.output(OPERATORS)
class LedgerPeriod:
    """A closed period: what is effective before its end never changes again."""

    closed_until: datetime = strawberry.field(description="Its end: the first instant that was open then.")
    last_instant: datetime = strawberry.field(
        description="The last one that it holds: the trial balance `at` it stays as it is."
    )
    closed_at: datetime
    closed_by: str = strawberry.field(description="key_…, or terminal:… for a user of the machine.")
    entries: BigInt = strawberry.field(description="How many entries the journal held when it was closed.")
    trial_hash: str = strawberry.field(
        description="SHA-256 in hex over that of the period before it and the balances of this one: the seal on both."
    )


@declare.output(OPERATORS)
class LedgerPeriodPreview:
    """What stands against closing the books."""

    closed_until: datetime | None = strawberry.field(description="The end of the last closed period, if there is one.")
    suspense: list[SuspenseBalance] = strawberry.field(description="Empty, or the books cannot be closed.")


@declare.input
class LedgerPeriodCloseInput:
    """Until when the books are closed."""

    idempotency_key: str
    until: datetime = strawberry.field(description="The first instant that stays open; not in the future.")


LedgerPeriodCloseError = Annotated[AnyMutationError | SuspenseNotZero, strawberry.union("LedgerPeriodCloseError")]


@declare.output(OPERATOR)
class LedgerPeriodClosePayload:
    """The closed period."""

    period: LedgerPeriod | None = None
    errors: list[LedgerPeriodCloseError]


@strawberry.type
class PeriodQueries:
    @declare.query(OPERATORS)
    async def ledger_periods(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[LedgerPeriod]:
        """The closed periods, the last one first."""
        asked = window(list_name="ledgerPeriods", first=first, after=after, last=None, before=None)
        before = _instant(asked.after)
        found = await info.context.read(lambda scope: period.periods(scope, before=before, limit=asked.rows_wanted))
        return page(found, asked, list_name="ledgerPeriods", node=_period_of, position=_position)

    @declare.query(OPERATORS)
    async def ledger_period_preview(self, info: Info, until: datetime) -> LedgerPeriodPreview:
        """What stands against closing the books until then."""
        closed_until = await info.context.read(period.closed_until)
        found = await info.context.read(lambda scope: period.suspense_balances(scope, until))
        return LedgerPeriodPreview(closed_until=closed_until, suspense=[suspense_of(one) for one in found])


@strawberry.type
class PeriodCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def ledger_period_close(self, info: Info, input: LedgerPeriodCloseInput) -> LedgerPeriodClosePayload:
        """Closes the books for whatever is effective before `until`, for ever.

        What comes later and happened before is effective at the first open instant. Suspense accounts must be zero.
        """
        until = await books.close_period(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, until=input.until
        )
        found = await info.context.read(lambda scope: period.periods(scope, before=until + _INSTANT, limit=1))
        return LedgerPeriodClosePayload(period=_period_of(found[0]), errors=[])


def _period_of(closed: Period) -> LedgerPeriod:
    return LedgerPeriod(
        closed_until=closed.closed_until,
        last_instant=closed.closed_until - _INSTANT,
        closed_at=closed.closed_at,
        closed_by=closed.closed_by,
        entries=BigInt(closed.entries),
        trial_hash=closed.trial_hash.hex(),
    )


def _position(closed: Period) -> Position:
    return Position((closed.closed_until.isoformat(),), UUID(bytes=closed.trial_hash[:16]))


def _instant(position: Position | None) -> datetime | None:
    if position is None:
        return None
    try:
        [text] = position.sort
        return datetime.fromisoformat(str(text))
    except ValueError:
        raise InvalidInput(
            "after is not a cursor of this list.", path=("after",), constraint="a cursor of this list"
        ) from None
