"""Payout runs: what a date of a schedule did with each seller's money; and what the platform's own balance must pay."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import Row

from marketbill.errors import InvalidInput
from marketbill.ids import parse_id, public_id
from marketbill.payouts import forecast, queries
from marketbill.payouts.forecast import DAYS_MAX, Float
from marketbill.payouts.model import RunOutcome
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, SELLER, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.payout_rails import Rail
from marketbill_graphql.sellers import Seller, load_seller

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(
    RunOutcome,
    name="PayoutRunOutcome",
    description="PAID: a payout. CARRIED: too little, it waits for the next run. BLOCKED: the seller may not be paid.",
)


@declare.output(PLATFORM_READERS)
class PayoutRunSum:
    """What a run did in a currency, by rail and outcome."""

    rail: Rail
    outcome: RunOutcome
    sellers: int
    amount: Money = strawberry.field(description="What these sellers had.")
    carried: Money = strawberry.field(description="What of it waits for the next run.")


@declare.output(PLATFORM_READERS)
class PayoutRun(Node):
    """A date of a schedule, carried out; while `finishedAt` is null it is under way."""

    row_id: strawberry.Private[UUID]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="prn_…")
    schedule_id: strawberry.ID = strawberry.field(description="psc_…")
    due_at: datetime
    due_on: date
    why: str = strawberry.field(description="Why it was this date.")
    started_at: datetime
    finished_at: datetime | None
    sellers: int = strawberry.field(description="How many sellers it has been through.")

    @declare.computed
    async def summary(self, info: Info) -> list[PayoutRunSum]:
        """What it has done so far."""
        rows = await info.context.read(lambda scope: queries.run_summary(scope, self.row_id))
        return [
            PayoutRunSum(
                rail=Rail(row.rail),
                outcome=RunOutcome(row.outcome),
                sellers=row.sellers,
                amount=amount(int(row.amount), row.currency),
                carried=amount(int(row.carried), row.currency),
            )
            for row in rows
        ]


@declare.output(PARTIES)
class PayoutRunResult:
    """What a run did with what a seller had in a currency."""

    seller_uuid: strawberry.Private[UUID]
    run_id: strawberry.ID = strawberry.field(description="prn_…")
    rail: Rail
    outcome: RunOutcome
    amount: Money = strawberry.field(description="What there was.")
    carried: Money = strawberry.field(description="What of it waits for the next run.")
    payout_id: strawberry.ID | None
    reason: str | None = strawberry.field(description="Why it waits.")

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Whose money it is."""
        return await load_seller(info.context, self.seller_uuid)


@declare.output(PLATFORM_READERS)
class FloatForecast:
    """What the platform's own balance at the provider must pay before more comes."""

    available: Money
    asked: Money = strawberry.field(description="What is asked of it: transfers from the balance, refunds.")
    coming: Money = strawberry.field(description="What comes to it of its own: fees of sales.")
    lowest: Money = strawberry.field(description="The least that it gets to; below zero where it is too small.")
    lowest_at: datetime
    short: Money = strawberry.field(description="What lacks then, to be topped up before.")


@declare.input
class PayoutRunResultFilter:
    """Which results; the conditions hold together."""

    run_id: strawberry.ID | None = None
    seller_id: strawberry.ID | None = None
    outcome: list[RunOutcome] | None = strawberry.field(default=None, description="Any of these.")


@strawberry.type
class PayoutRunQueries:
    @declare.query(PLATFORM_READERS)
    async def payout_runs(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[PayoutRun]:
        """Payout runs, newest first."""
        asked = page_request(list_name="payoutRuns", first=first, after=after, last=last, before=before)
        found = await info.context.read(lambda scope: queries.runs(scope, asked))
        return connection(found, list_name="payoutRuns", node=payout_run_of)

    @declare.query(PARTIES)
    async def payout_run_results(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        filter: PayoutRunResultFilter | None = None,
    ) -> Connection[PayoutRunResult]:
        """What runs did with each seller's money, newest first; a seller sees his own."""
        asked = page_request(list_name="payoutRunResults", first=first, after=after, last=last, before=before)
        only, actor = filter or PayoutRunResultFilter(), info.context.actor
        run = parse_id("payout run", only.run_id, path=("filter", "runId")) if only.run_id else None
        seller = parse_id("seller", only.seller_id, path=("filter", "sellerId")) if only.seller_id else None
        found = await info.context.read(
            lambda scope: queries.run_results(scope, actor, asked, run=run, seller=seller, outcome=only.outcome)
        )
        return connection(found, list_name="payoutRunResults", node=_result_of)

    @declare.query(PLATFORM_READERS)
    async def float_forecast(self, info: Info, days: int = 7) -> list[FloatForecast]:
        """What the platform's own balance at the provider must pay in the next days, by currency."""
        if not 1 <= days <= DAYS_MAX:
            raise InvalidInput(f"days must be from 1 to {DAYS_MAX}.", path=("days",), constraint=f"1..{DAYS_MAX}")
        return [_float_of(one) for one in await info.context.read(lambda scope: forecast.of(scope, days=days))]


def payout_run_of(row: Row[Any]) -> PayoutRun:
    return PayoutRun(
        row_id=row.id,
        id=strawberry.ID(public_id("payout run", row.id)),
        schedule_id=strawberry.ID(public_id("payout schedule", row.schedule_id)),
        due_at=row.due_at,
        due_on=row.due_on,
        why=row.why,
        started_at=row.started_at,
        finished_at=row.finished_at,
        sellers=row.sellers,
    )


def _result_of(row: Row[Any]) -> PayoutRunResult:
    return PayoutRunResult(
        seller_uuid=row.seller_id,
        run_id=strawberry.ID(public_id("payout run", row.run_id)),
        rail=Rail(row.rail),
        outcome=RunOutcome(row.outcome),
        amount=amount(row.amount, row.currency),
        carried=amount(row.carried, row.currency),
        payout_id=strawberry.ID(public_id("payout", row.payout_id)) if row.payout_id else None,
        reason=row.reason,
    )


def _float_of(one: Float) -> FloatForecast:
    return FloatForecast(
        available=amount(one.available, one.currency),
        asked=amount(one.asked, one.currency),
        coming=amount(one.coming, one.currency),
        lowest=amount(one.lowest, one.currency),
        lowest_at=one.lowest_at,
        short=amount(one.short, one.currency),
    )


@finds("payout run", PLATFORM_READERS)
async def _find_payout_run(context: Context, id: str) -> PayoutRun:
    return payout_run_of(await context.read(lambda scope: queries.run_by_id(scope, id)))
