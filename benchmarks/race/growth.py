"""What a posting, a balance as of an instant and the trial balance cost while the books grow.

Half of the payments go to fifty platforms, half to the one hot platform. They are booked by the journal, a thousand
entries a transaction. At each mark the tables are vacuumed, a checkpoint is made, and every account is used once; then
the race's own windows run, the first of them to warm up: every mark is treated alike. The cost of a posting is the
processor time of client and server together, which other work on the machine moves less than the rate.
"""

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import cycle
from statistics import quantiles
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from marketbill.ledger import chart
from marketbill.ledger.accounts import accounts_by_refs
from marketbill.ledger.balances import balance_at
from marketbill.ledger.trial_balance import trial_balance
from race import floor, ours
from race.market import CURRENCY, POSTINGS, Course, Payment
from race.ours import Ours
from race.rounds import Terms
from race.server import DATABASE, Server, settings, table_bytes
from race.window import Window, measure

#: Parts of the whole growth at which everything is measured.
MARKS = (0, 0.1, 0.2, 0.5, 1)
#: What the goal allows the cost of a posting to grow.
GROWTH_MAX = 1.2
_CALLERS = 64
_BATCH = 1_000
_SALES = 50_000
_READS = 200
_DISK_BYTES = 1_500
"""Of free space for each posting, with its write-ahead log and what vacuum needs."""


class NoRoom(Exception):
    """The disk has not enough free space; the message names both figures."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The books at one size. Latencies in milliseconds, cost in microseconds of processor time."""

    postings: int
    many_postings_per_s: float
    many_p99_ms: float
    many_cpu_us: float
    hot_postings_per_s: float
    hot_cpu_us: float
    floor_rows_per_s: float
    hottest_as_of_p50_ms: float
    hottest_as_of_p99_ms: float
    seller_as_of_p50_ms: float
    trial_balance_ms: float
    bytes_per_posting: float | None


async def run(server: Server, size: int, terms: Terms, tick: Callable[[str, int], None]) -> dict[str, Any]:
    """Grows the books by `size` postings; `tick` is told what is under way and how many are there. Raises NoRoom."""
    need, free = size * _DISK_BYTES, shutil.disk_usage(tempfile.gettempdir()).free
    if free < need:
        raise NoRoom(
            f"{size:,} postings need {need / 1e9:.0f} GB of disk with all that goes on; {free / 1e9:.0f} are free"
        )
    async with AsyncExitStack() as stack:
        watcher = await server.admin()
        stack.push_async_callback(watcher.close)
        books = await stack.enter_async_context(Ours.opened(server.app_url(), terms.market))
        growing = Growing(server, books, watcher, terms)
        at_first = await table_bytes(watcher, ours.TABLES)
        marks = []
        for part in MARKS:
            await growing.fill(round(size * part), lambda booked: tick("the books grow", booked))
            tick("measuring", growing.booked)
            marks.append(await growing.mark(at_first))
        return {
            "settings": await settings(watcher),
            "seconds": terms.seconds,
            "rounds": terms.rounds,
            "marks": [asdict(mark) for mark in marks],
            "cost_growth": marks[-1].many_cpu_us / marks[0].many_cpu_us,
            "hot_cost_growth": marks[-1].hot_cpu_us / marks[0].hot_cpu_us,
            "as_of_growth": marks[-1].hottest_as_of_p50_ms / marks[0].hottest_as_of_p50_ms,
        }


class Growing:
    """The growing books; `booked` counts their postings since the accounts were opened."""

    def __init__(self, server: Server, books: Ours, watcher: asyncpg.Connection, terms: Terms) -> None:
        self.booked = 0
        self._begun = datetime.now(UTC)
        self._server = server
        self._books = books
        self._watcher = watcher
        self._terms = terms
        self._many, self._hot = terms.market.many, terms.market.hot
        courses = (self._many, self._hot)
        self._sales: dict[Course, Sequence[Payment]] = {course: course.payments(_SALES) for course in courses}

    async def fill(self, postings: int, tell: Callable[[int], None]) -> None:
        """Books payments of both courses in turn until there are so many postings."""

        async def filler(course: Course) -> None:
            places = cycle(range(course.first, course.first + course.count))
            while self.booked < postings:
                count = min(_BATCH, -(-(postings - self.booked) // POSTINGS))
                self.booked += count * POSTINGS
                place = next(places)
                sales = course.payments(count, seed=self.booked)
                await self._books.fill(place, [replace(sale, platform=place) for sale in sales])
                tell(self.booked)

        await asyncio.gather(filler(self._many), filler(self._hot))

    async def mark(self, bytes_at_first: int) -> Mark:
        await self._watcher.execute(f"vacuum (analyze) {', '.join(ours.TABLES)}")
        await self._watcher.execute("checkpoint")
        booked = self.booked
        size = await table_bytes(self._watcher, ours.TABLES) - bytes_at_first
        self.booked += await self._books.warm() * POSTINGS
        many, hot = await self._windows(self._many), await self._windows(self._hot)
        hottest = await self._as_of(self._hot.first, [chart.psp_pending(CURRENCY)])
        seller = await self._as_of(0, self._books.platforms[0].payable[:1])
        return Mark(
            postings=booked,
            many_postings_per_s=many.postings_per_s,
            many_p99_ms=many.p99_ms,
            many_cpu_us=many.cpu_us_per_posting,
            hot_postings_per_s=hot.postings_per_s,
            hot_cpu_us=hot.cpu_us_per_posting,
            floor_rows_per_s=await floor.rows_per_second(
                self._server.admin_url(DATABASE), seconds=self._terms.seconds / 2, connections=1
            ),
            hottest_as_of_p50_ms=hottest[49],
            hottest_as_of_p99_ms=hottest[98],
            seller_as_of_p50_ms=seller[49],
            trial_balance_ms=await self._trial_balance_ms(),
            bytes_per_posting=size / booked if booked else None,
        )

    async def _windows(self, course: Course) -> Window:
        found = []
        for _ in range(1 + self._terms.rounds):
            window = await measure(
                self._books,
                self._sales[course],
                callers=_CALLERS,
                seconds=self._terms.seconds,
                server=self._server,
                watcher=self._watcher,
            )
            found.append(window)
            self.booked += round(window.payments) * POSTINGS
        return Window.medians(found[1:])

    async def _as_of(self, place: int, refs: Sequence[chart.AccountRef]) -> list[float]:
        """Percentiles of the milliseconds for what an account held at random instants since the beginning."""
        waited = []
        span = datetime.now(UTC) - self._begun
        async with self._books.db.read(self._books.platforms[place].id) as scope:
            [account] = (await accounts_by_refs(scope, refs)).values()
            for _ in range(_READS):
                at = self._begun + random.random() * span
                asked = time.perf_counter()
                await balance_at(scope, [account.id], at)
                waited.append((time.perf_counter() - asked) * 1000)
        return quantiles(waited, n=100)

    async def _trial_balance_ms(self) -> float:
        async with self._books.db.read(self._books.platforms[self._hot.first].id) as scope:
            asked = time.perf_counter()
            [balance] = await trial_balance(scope)
            took = time.perf_counter() - asked
        assert balance.debit == balance.credit, "the books do not balance"
        return took * 1000


def show(figures: dict[str, Any], console: Console) -> None:
    table = Table(
        title=f"Growing books, {_CALLERS} callers, medians of {figures['rounds']} windows of {figures['seconds']:g} s",
        title_justify="left",
    )
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for mark in figures["marks"]:
        size = mark["bytes_per_posting"]
        table.add_row(
            f"{mark['postings']:,}",
            f"{mark['many_postings_per_s']:,.0f}",
            f"{mark['many_cpu_us']:.1f}",
            f"{mark['many_p99_ms']:.1f}",
            f"{mark['hot_postings_per_s']:,.0f}",
            f"{mark['hot_cpu_us']:.1f}",
            f"{mark['floor_rows_per_s']:,.0f}",
            f"{mark['hottest_as_of_p50_ms']:.2f}",
            f"{mark['hottest_as_of_p99_ms']:.2f}",
            f"{mark['seller_as_of_p50_ms']:.2f}",
            f"{mark['trial_balance_ms']:.1f}",
            "" if size is None else f"{size:,.0f}",
        )
    console.print(table)
    for name, what in (("cost_growth", "many platforms"), ("hot_cost_growth", "one hot platform")):
        goal = f"goal: at most {GROWTH_MAX:g}; {'reached' if figures[name] <= GROWTH_MAX else 'not reached'}"
        console.print(f"{figures[name]:6.2f}  cost of a posting at the end against the first, {what} ({goal})")


_COLUMNS = (
    "postings",
    "platforms\npost./s",
    "CPU us",
    "p99 ms",
    "hot one\npost./s",
    "CPU us",
    "raw\nrows/s",
    "as of: hottest\np50 ms",
    "p99 ms",
    "seller\np50 ms",
    "trial\nms",
    "bytes a\nposting",
)
