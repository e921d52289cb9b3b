"""A draft of fees over the stored sales: what would have changed for the platform and for each seller.

The sales are streamed by a cursor of the server and computed in batches by other processes, so memory does not grow
with their number. Nothing is written.
"""

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, func, select, text

from marketbill.db import ReadScope
from marketbill.ids import public_id
from marketbill.insight.fee_replay import Replay, StoredSale, Tally, Terms, begin_process, run_in_process
from marketbill.payments.volumes import period_start
from marketbill.platforms import fee_schedule
from marketbill.platforms.fee_document import document_of
from marketbill.prepared import driver_of
from marketbill.rules.fees.schedule import Period, Schedule
from marketbill.sellers.model import seller as seller_table

#: Sales that one process computes before it answers, and batches that wait for each process.
BATCH = 200
WAITING_MAX = 3
PROCESSES_MAX = 16

_COUNT = text(
    """
    select count(*) from payment p
    where p.platform_id = :platform and p.succeeded_at is not null
      and (cast(:start as timestamptz) is null or coalesce(p.ordered_at, p.created_at) >= :start)
      and (cast(:end as timestamptz) is null or coalesce(p.ordered_at, p.created_at) < :end)
      and (cast(:sellers as uuid[]) is null or exists (
        select from payment_share s
        where s.platform_id = :platform and s.payment_id = p.id and s.seller_id = any(:sellers)))
    """
).bindparams(bindparam("sellers", type_=ARRAY(Uuid)))

# Only where volumes are counted does the order matter: then ids alone are sorted, and each sale is looked up.
_CHOSEN = """
  select p.id, coalesce(p.ordered_at, p.created_at) as at from payment p
  where p.platform_id = $1 and p.succeeded_at is not null
    and ($2::timestamptz is null or coalesce(p.ordered_at, p.created_at) >= $2)
    and ($3::timestamptz is null or coalesce(p.ordered_at, p.created_at) < $3)
    and ($4::uuid[] is null or exists (
      select from payment_share s where s.platform_id = $1 and s.payment_id = p.id and s.seller_id = any($4)))
"""
_STREAM = _CHOSEN.replace("select p.id, coalesce(p.ordered_at, p.created_at) as at", "select p.trace::text as trace", 1)
_STREAM_IN_ORDER = """
select one.trace, one.currency, chosen.at, one.sellers, one.sold
from (%s order by 2, 1) as chosen
cross join lateral (
  select p.trace::text as trace, p.currency,
    (select array_agg(s.seller_id order by s.seller_id) from payment_share s
     where s.platform_id = $1 and s.payment_id = p.id) as sellers,
    (select array_agg(s.gross order by s.seller_id) from payment_share s
     where s.platform_id = $1 and s.payment_id = p.id) as sold
  from payment p where p.platform_id = $1 and p.id = chosen.id limit 1
) as one
""".replace("%s", _CHOSEN)
_SOLD_BEFORE = text(
    """
    select s.seller_id, p.currency, sum(s.gross)::bigint as gross,
      date_trunc('month', coalesce(p.ordered_at, p.created_at) at time zone 'UTC') as month
    from payment p
    join payment_share s on s.platform_id = p.platform_id and s.payment_id = p.id
    where p.platform_id = :platform and p.succeeded_at is not null
      and coalesce(p.ordered_at, p.created_at) >= :year and coalesce(p.ordered_at, p.created_at) < :start
    group by 1, 2, 3
    """
)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is asked: a draft over the sales of [start, end), by the date of their orders.

    `group` narrows it to sellers who are in it now. `charged` compares with what was charged in fact, in place of what
    the live schedule would charge. `groups_now` takes sellers to be in the groups that they are in now.
    """

    draft: Schedule
    start: datetime | None = None
    end: datetime | None = None
    group: str | None = None
    charged: bool = False
    groups_now: bool = False


class Teller(Protocol):
    """Who wants to know how far it is."""

    def total(self, sales: int) -> None: ...

    def done(self, sales: int) -> None: ...


class Told:
    """Nobody."""

    def total(self, sales: int) -> None: ...

    def done(self, sales: int) -> None: ...


_NOBODY = Told()


async def simulate(
    scope: ReadScope, asked: Simulation, *, processes: int = 2, told: Teller = _NOBODY
) -> tuple[Tally, dict[str, str]]:
    """The sums of all sales, and the names of the sellers in them. Raises ScheduleMissing."""
    row = await fee_schedule.current(scope)
    live = fee_schedule.schedule_of(row)
    sellers = await _members(scope, asked.group) if asked.group is not None else None
    terms = Terms(
        draft=document_of(asked.draft),
        live=document_of(live),
        live_id=live.id,
        live_version=live.version,
        charged=asked.charged,
        sellers=None if sellers is None else frozenset(public_id("seller", id) for id in sellers),
        groups=await _groups(scope) if asked.groups_now else None,
    )
    chosen = {"platform": scope.platform, "start": asked.start, "end": asked.end, "sellers": sellers}
    told.total(await scope.scalar(_COUNT, chosen))
    in_order = any(rule.tiers is not None for rule in (*asked.draft.rules, *live.rules))
    batches = _batches(_sales(scope, asked, sellers, in_order=in_order))
    if processes == 1:
        tally = await _alone(Replay(terms), batches, told)
    else:
        tally = await _together(terms, batches, min(processes, PROCESSES_MAX), told)
    return tally, await _names(scope, tally)


async def _alone(replay: Replay, batches: AsyncIterator[list[StoredSale]], told: Teller) -> Tally:
    tally = Tally()
    async for batch in batches:
        tally.add(replay.run(batch))
        told.done(len(batch))
    return tally


async def _together(terms: Terms, batches: AsyncIterator[list[StoredSale]], processes: int, told: Teller) -> Tally:
    tally = Tally()
    waiting: dict[asyncio.Future[Tally], int] = {}

    async def collect(leave: int) -> None:
        while len(waiting) > leave:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                told.done(waiting.pop(one))
                tally.add(one.result())

    # Spawned, not forked: this process has an event loop and connections.
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawning, initializer=begin_process, initargs=(terms,)) as pool:
        loop = asyncio.get_running_loop()
        async for batch in batches:
            await collect(processes * WAITING_MAX - 1)
            waiting[loop.run_in_executor(pool, run_in_process, batch)] = len(batch)
        await collect(0)
    return tally


async def _batches(sales: AsyncIterator[StoredSale]) -> AsyncIterator[list[StoredSale]]:
    batch: list[StoredSale] = []
    async for sale in sales:
        batch.append(sale)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _sales(
    scope: ReadScope, asked: Simulation, sellers: list[UUID] | None, *, in_order: bool
) -> AsyncIterator[StoredSale]:
    connection = scope.connection.sync_connection
    assert connection is not None, "the scope is open"
    driver: Any = driver_of(connection)
    chosen = (scope.platform, asked.start, asked.end, sellers)
    if not in_order:
        async for row in driver.cursor(_STREAM, *chosen, prefetch=BATCH):
            yield StoredSale(row["trace"], {})
        return
    running = _Running(await _sold_before(scope, asked.start))
    async for row in driver.cursor(_STREAM_IN_ORDER, *chosen, prefetch=BATCH):
        sold = dict(zip(row["sellers"], row["sold"], strict=True))
        yield StoredSale(row["trace"], running.before(row["currency"], row["at"], list(sold)))
        running.add(row["currency"], row["at"], sold)


class _Running:
    """What each seller has sold in the running periods, as the sales go by in their order."""

    def __init__(self, sold: "Counter[tuple[UUID, str, Period, date]]") -> None:
        self._sold = sold

    def before(self, currency: str, at: datetime, sellers: list[UUID]) -> Mapping[str, Mapping[str, int]]:
        return {
            public_id("seller", id): {
                period.value: self._sold[id, currency, period, period_start(period, at)] for period in Period
            }
            for id in sellers
        }

    def add(self, currency: str, at: datetime, sold: Mapping[UUID, int]) -> None:
        for id, gross in sold.items():
            for period in Period:
                self._sold[id, currency, period, period_start(period, at)] += gross


async def _sold_before(scope: ReadScope, start: datetime | None) -> "Counter[tuple[UUID, str, Period, date]]":
    """What was sold in the periods that the first sale lies in, before it."""
    sold: Counter[tuple[UUID, str, Period, date]] = Counter()
    if start is None:
        return sold
    year = period_start(Period.YEAR, start)
    for row in await scope.rows(_SOLD_BEFORE, {"platform": scope.platform, "year": year, "start": start}):
        month = row.month.replace(tzinfo=UTC)
        for period in Period:
            sold[row.seller_id, row.currency, period, period_start(period, month)] += row.gross
    return sold


async def _members(scope: ReadScope, group: str) -> list[UUID]:
    rows = await scope.rows(
        select(seller_table.c.id).where(
            seller_table.c.platform_id == scope.platform, any_(seller_table.c.groups) == group
        )
    )
    return [row.id for row in rows]


async def _groups(scope: ReadScope) -> dict[str, frozenset[str]]:
    rows = await scope.rows(
        select(seller_table.c.id, seller_table.c.groups).where(
            seller_table.c.platform_id == scope.platform, func.cardinality(seller_table.c.groups) > 0
        )
    )
    return {public_id("seller", row.id): frozenset(row.groups) for row in rows}


async def _names(scope: ReadScope, tally: Tally) -> dict[str, str]:
    wanted = {seller for _, seller in tally.sellers}
    rows = await scope.rows(
        select(seller_table.c.id, seller_table.c.name).where(seller_table.c.platform_id == scope.platform)
    )
    return {id: row.name for row in rows if (id := public_id("seller", row.id)) in wanted}
