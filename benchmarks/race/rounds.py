"""The race itself: every start is measured for each ledger in turn, round after round."""

import os
import platform
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg

from race import floor, ours, pgledger
from race.market import POSTINGS, Course, Market, Payment
from race.ours import Ours
from race.pgledger import Pgledger
from race.server import DATABASE, PEER_DATABASE, Server, settings, table_bytes
from race.window import Contestant, Window, measure

#: Different payments of a course; windows that need more take them again.
_SALES = 50_000
_WARM_CALLERS = 16

Start = tuple[Course, int]
"""A course and the number of callers."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is measured: callers on many platforms and on the hot one, seconds of a window, and its repetitions."""

    market: Market
    many_callers: Sequence[int]
    hot_callers: Sequence[int]
    seconds: float
    rounds: int

    @property
    def starts(self) -> list[Start]:
        many, hot = self.market.many, self.market.hot
        return [(many, callers) for callers in self.many_callers] + [(hot, callers) for callers in self.hot_callers]


@dataclass(frozen=True, slots=True)
class Entrant:
    """A ledger at the start: its books for so many callers of a course, and where its rows lie."""

    name: str
    of: Callable[[Start], Contestant]
    watcher: asyncpg.Connection
    tables: tuple[str, ...]


async def run(server: Server, terms: Terms, peer: Path | None, tick: Callable[[str], None]) -> dict[str, Any]:
    """The figures, ready to be saved. `tick` is told of each window before it begins."""
    async with AsyncExitStack() as stack:
        entrants = await _entrants(server, terms.market, peer, stack)
        for entrant in entrants:
            await entrant.watcher.execute(f"vacuum (analyze) {', '.join(entrant.tables)}")
        courses = (terms.market.many, terms.market.hot)
        sales: dict[Course, Sequence[Payment]] = {course: course.payments(_SALES) for course in courses}
        for entrant in entrants:
            for course in courses:
                warm = entrant.of((course, _WARM_CALLERS))
                await measure(
                    warm,
                    sales[course],
                    callers=_WARM_CALLERS,
                    seconds=terms.seconds / 4,
                    server=server,
                    watcher=entrant.watcher,
                )
        sizes = {entrant.name: await table_bytes(entrant.watcher, entrant.tables) for entrant in entrants}
        windows: dict[tuple[str, Start], list[Window]] = {}
        floors: list[dict[str, float]] = []
        for number in range(terms.rounds):
            tick("the floor")
            floors.append(await floor.figures(server.admin_url(DATABASE), seconds=terms.seconds / 2))
            for start in terms.starts:
                course, callers = start
                for entrant in entrants if number % 2 else reversed(entrants):
                    tick(f"{entrant.name}, {course.name}, {callers} callers")
                    window = await measure(
                        entrant.of(start),
                        sales[course],
                        callers=callers,
                        seconds=terms.seconds,
                        server=server,
                        watcher=entrant.watcher,
                    )
                    windows.setdefault((entrant.name, start), []).append(window)
        grown = {entrant.name: await table_bytes(entrant.watcher, entrant.tables) for entrant in entrants}
        return {
            "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
            "settings": await settings(entrants[0].watcher),
            "workload": {"postings_of_a_payment": POSTINGS, **asdict(terms.market)},
            "seconds": terms.seconds,
            "rounds": terms.rounds,
            "floor": {name: median(measured[name] for measured in floors) for name in floors[0]},
            "rows": [_row(name, start, found, windows, floors) for (name, start), found in windows.items()],
            "bytes_per_posting": {
                name: (grown[name] - sizes[name])
                / POSTINGS
                / sum(window.payments for (of, _), found in windows.items() if of == name for window in found)
                for name in sizes
            },
            "others_share": median(window.others_share for found in windows.values() for window in found),
            **headlines(terms.market, windows),
        }


async def _entrants(server: Server, market: Market, peer: Path | None, stack: AsyncExitStack) -> list[Entrant]:
    async def watch(database: str) -> asyncpg.Connection:
        watcher = await server.admin(database)
        stack.push_async_callback(watcher.close)
        return watcher

    books = await stack.enter_async_context(Ours.opened(server.app_url(), market))
    entrants = [Entrant(ours.NAME, lambda _: books, await watch(DATABASE), ours.TABLES)]
    if peer is not None:
        theirs = await stack.enter_async_context(Pgledger.opened(server.admin_url(PEER_DATABASE), peer, market))

        def of(start: Start) -> Contestant:
            course, callers = start
            suits = pgledger.CONNECTIONS_HOT if course.is_hot else pgledger.CONNECTIONS_MANY
            return theirs.through(min(callers, suits))

        entrants.append(Entrant(pgledger.NAME, of, await watch(PEER_DATABASE), pgledger.TABLES))
    return entrants


def _row(
    name: str,
    start: Start,
    found: Sequence[Window],
    windows: dict[tuple[str, Start], list[Window]],
    floors: Sequence[dict[str, float]],
) -> dict[str, Any]:
    course, callers = start
    theirs = windows.get((pgledger.NAME, start), [])
    rates = [window.postings_per_s for window in found]
    return {
        "ledger": name,
        "course": course.name,
        "is_hot": course.is_hot,
        "callers": callers,
        **asdict(Window.medians(found)),
        "share_of_floor": median(rate / measured["all_cores"] for rate, measured in zip(rates, floors, strict=True)),
        "ratio_vs_pgledger": ratio(found, theirs, "postings_per_s") if name != pgledger.NAME else None,
        "p99_ratio_vs_pgledger": ratio(found, theirs, "p99_ms") if name != pgledger.NAME else None,
    }


def headlines(market: Market, windows: dict[tuple[str, Start], list[Window]]) -> dict[str, float | None]:
    """What the goals are about; None where it was not measured."""

    def of(name: str, course: Course, callers: int) -> list[Window]:
        return windows.get((name, (course, callers)), [])

    mine = of(ours.NAME, market.many, 64)
    return {
        "ratio_vs_pgledger_64": ratio(mine, of(pgledger.NAME, market.many, 64), "postings_per_s"),
        "p99_ratio_vs_pgledger_64": ratio(mine, of(pgledger.NAME, market.many, 64), "p99_ms"),
        "ratio_vs_pgledger_1": ratio(
            of(ours.NAME, market.many, 1), of(pgledger.NAME, market.many, 1), "postings_per_s"
        ),
        "one_platform_ratio_vs_pgledger_64": ratio(
            of(ours.NAME, market.hot, 64), of(pgledger.NAME, market.hot, 64), "postings_per_s"
        ),
        "hot_vs_fifty": ratio(of(ours.NAME, market.hot, 64), mine, "postings_per_s"),
    }


def ratio(found: Sequence[Window], other: Sequence[Window], what: str) -> float | None:
    """The median of the rounds' ratios: what slows the machine for a while slows both of a round."""
    if not found or not other:
        return None
    return median(getattr(a, what) / getattr(b, what) for a, b in zip(found, other, strict=True))
