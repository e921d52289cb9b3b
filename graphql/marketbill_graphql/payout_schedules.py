"""Payout schedules: when sellers are paid by themselves, and what an instant payout costs them."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.errors import InvalidInput
from marketbill.ids import SellerId, parse_id, public_id
from marketbill.payouts import schedule, terms
from marketbill.platforms.keys import tenant
from marketbill.rules.payout_calendar import Adjust, Interval, Terms
from marketbill.sellers import seller as sellers
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, PLATFORM_WRITERS, SELLER, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.money import Money, MoneyInput, amount
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.sellers import Seller, load_seller

PARTIES = PLATFORM_READERS | SELLER
#: Dates that are told at once.
DATES_MAX = 60
strawberry.enum(
    Interval,
    name="PayoutInterval",
    description="THRESHOLD looks every open day whether there is enough; MANUAL pays on request only.",
)
strawberry.enum(
    Adjust, name="PayoutAdjust", description="Where a date moves that falls on a day when banks are closed."
)


@declare.output(PARTIES)
class PayoutDate:
    """A date on which payouts are made."""

    at: datetime
    on: date = strawberry.field(description="The day, in the schedule's time zone.")
    why: str = strawberry.field(description="Why it is this one.")


@declare.output(PARTIES)
class PayoutSchedule(Node):
    """When sellers are paid by themselves: a seller's own schedule, or that of all who have none."""

    row: strawberry.Private[Row[Any]]
    terms: strawberry.Private[Terms]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="psc_…")
    interval: Interval
    weekdays: list[int] = strawberry.field(description="1 (Monday) to 7, of a weekly one.")
    days: list[int] = strawberry.field(description="1 to 31, of a monthly one; 31 is a shorter month's last day.")
    at: str = strawberry.field(description="Time of day, HH:MM.")
    timezone: str
    calendars: list[str] = strawberry.field(description="Whose closed days are kept: TARGET2, NL, DE-BY, …")
    adjust: Adjust
    minimum: list[Money] = strawberry.field(description="Less than that waits for the next date.")
    threshold: list[Money] = strawberry.field(description="From how much on is paid, with THRESHOLD.")
    instant_percent: Decimal | None = strawberry.field(description="What an instant payout costs; null: there is none.")
    instant_least: list[Money] = strawberry.field(description="What one costs at least, without tax.")
    updated_at: datetime
    changed_by: str = strawberry.field(directives=[access(PLATFORM_READERS)], description="Who set it last.")

    @declare.computed
    def next(self) -> PayoutDate | None:
        """The next date, as it was computed and kept; null when payouts are made on request only."""
        if self.row.next_at is None:
            return None
        return PayoutDate(at=self.row.next_at, on=self.row.next_on, why=self.row.next_why)

    @declare.computed
    def next_why(self) -> str:
        """Why the next date is that one, or why there is none."""
        return self.row.next_why

    @declare.computed
    def dates(self, first: int = 5) -> list[PayoutDate]:
        """The dates from the next one on, computed now."""
        if not 1 <= first <= DATES_MAX:
            raise InvalidInput(f"first must be from 1 to {DATES_MAX}.", path=("first",), constraint=f"1..{DATES_MAX}")
        if self.row.next_at is None:
            return []
        later = schedule.dates(self.terms, self.row.next_at, first - 1)
        return [
            PayoutDate(at=self.row.next_at, on=self.row.next_on, why=self.row.next_why),
            *(PayoutDate(at=one.at, on=one.on, why=one.why) for one in later),
        ]

    @declare.computed
    async def seller(self, info: Info) -> Seller | None:
        """Whose it is; null for the one of all who have none."""
        return None if self.row.seller_id is None else await load_seller(info.context, self.row.seller_id)


@declare.input
class PayoutScheduleSetInput:
    """Whose schedule, and its terms; they take the place of those before."""

    idempotency_key: str
    seller_id: strawberry.ID | None = strawberry.field(default=None, description="Left out: all who have none.")
    interval: Interval
    weekdays: list[int] = strawberry.field(default_factory=list, description="1 (Monday) to 7, for WEEKLY.")
    days: list[int] = strawberry.field(default_factory=list, description="1 to 31, for MONTHLY.")
    at: str = strawberry.field(default="06:00", description="Time of day, HH:MM.")
    timezone: str = strawberry.field(default="UTC", description="A name such as Europe/Amsterdam.")
    calendars: list[str] = strawberry.field(default_factory=list, description="TARGET2, NL, DE-BY, …; at most 5.")
    adjust: Adjust = Adjust.FOLLOWING
    minimum: list[MoneyInput] = strawberry.field(default_factory=list)
    threshold: list[MoneyInput] = strawberry.field(default_factory=list, description="For THRESHOLD.")
    instant_percent: Decimal | None = strawberry.field(default=None, description="Left out: no instant payouts.")
    instant_least: list[MoneyInput] = strawberry.field(default_factory=list)


PayoutScheduleSetError = Annotated[AnyMutationError, strawberry.union("PayoutScheduleSetError")]


@declare.output(PLATFORM_WRITERS)
class PayoutScheduleSetPayload:
    """The schedule with its next date."""

    payout_schedule: PayoutSchedule | None = None
    errors: list[PayoutScheduleSetError]


@strawberry.type
class PayoutScheduleQueries:
    @declare.query(PLATFORM_READERS)
    async def payout_schedules(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[PayoutSchedule]:
        """All payout schedules, newest first."""
        asked = page_request(list_name="payoutSchedules", first=first, after=after, last=last, before=before)
        found = await info.context.read(lambda scope: schedule.page(scope, asked))
        return connection(found, list_name="payoutSchedules", node=payout_schedule_of)

    @declare.query(PARTIES)
    async def payout_schedule_of_seller(self, info: Info, seller_id: strawberry.ID) -> PayoutSchedule | None:
        """The schedule that holds for a seller: his own, or that of all; null when he is paid on request only."""
        id = SellerId(parse_id("seller", seller_id, path=("sellerId",)))
        actor = info.context.actor
        tenant(actor)

        async def read(scope: Any) -> Row[Any] | None:
            await sellers.load(scope, id, path=("sellerId",))
            return (await schedule.of(scope, [id]))[id]

        if actor.seller is not None and actor.seller != id:
            return None
        row = await info.context.read(read)
        return None if row is None else payout_schedule_of(row)


@strawberry.type
class PayoutScheduleCommands:
    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def payout_schedule_set(self, info: Info, input: PayoutScheduleSetInput) -> PayoutScheduleSetPayload:
        """Sets when a seller, or all who have no schedule of their own, are paid by themselves."""
        row = await schedule.put(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            seller_id=input.seller_id,
            wanted=_wanted(input),
        )
        return PayoutScheduleSetPayload(payout_schedule=payout_schedule_of(row), errors=[])


def payout_schedule_of(row: Row[Any]) -> PayoutSchedule:
    kept = terms.read(row.terms)
    return PayoutSchedule(
        row=row,
        terms=kept,
        id=strawberry.ID(public_id("payout schedule", row.id)),
        interval=kept.interval,
        weekdays=list(kept.weekdays),
        days=list(kept.days),
        at=kept.at.isoformat("minutes"),
        timezone=kept.timezone,
        calendars=list(kept.calendars),
        adjust=kept.adjust,
        minimum=[amount(minor, currency) for currency, minor in sorted(kept.minimum.items())],
        threshold=[amount(minor, currency) for currency, minor in sorted(kept.threshold.items())],
        instant_percent=kept.instant_percent,
        instant_least=[amount(minor, currency) for currency, minor in sorted(kept.instant_least.items())],
        updated_at=row.updated_at,
        changed_by=row.changed_by,
    )


def _wanted(input: PayoutScheduleSetInput) -> Terms:
    return Terms(
        interval=input.interval,
        weekdays=tuple(sorted(input.weekdays)),
        days=tuple(sorted(input.days)),
        at=terms.time_of_day(input.at, path=("at",)),
        timezone=input.timezone,
        calendars=tuple(input.calendars),
        adjust=input.adjust,
        minimum=_by_currency(input.minimum, "minimum"),
        threshold=_by_currency(input.threshold, "threshold"),
        instant_percent=input.instant_percent,
        instant_least=_by_currency(input.instant_least, "instantLeast"),
    )


def _by_currency(amounts: Sequence[MoneyInput], name: str) -> dict[str, int]:
    found = {str(one.currency): int(one.minor) for one in amounts}
    if len(found) != len(amounts):
        raise InvalidInput("A currency is named twice.", path=(name,), constraint="each once")
    return found


@finds("payout schedule", PARTIES)
async def _find_payout_schedule(context: Context, id: str) -> PayoutSchedule:
    return payout_schedule_of(await context.read(lambda scope: schedule.by_id(scope, context.actor, id)))
