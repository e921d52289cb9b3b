"""Postings per second of the ledger, durable, every guarantee on; beside pgledger when its SQL is at hand.

    .venv/bin/python benchmarks/ledger.py [--pgledger DIR] [--quick]
    .venv/bin/python benchmarks/ledger.py --growth [POSTINGS]

A payment is five linked postings. 50 platforms of 200 sellers, and one platform alone, whose fee and tax accounts are
hot; 1, 16, 64 and 256 callers. The two ledgers take turns on the same server, each in a database of its own; figures
are medians of the rounds, ratios medians of the rounds' ratios. `--quick` measures what the goals are about, in less
than a minute. `--growth` shows what a posting, a balance and the trial balance cost as the books grow.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from machine import RESULTS, console, save
from race import floor, growth, pgledger, rounds
from race.market import Market
from race.rounds import Terms
from race.server import Server, server
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

_CALLERS = (1, 16, 64, 256)
FULL = Terms(Market(), _CALLERS, _CALLERS, seconds=4.0, rounds=3)
QUICK = Terms(Market(), (1, 64), (64,), seconds=2.0, rounds=2)
BRIEF = Terms(Market(many_platforms=3, sellers=5), (1, 64), (64,), seconds=0.1, rounds=1)
GROWTH_POSTINGS = 10_000_000
#: Of the processors; with more taken by other work, figures and ratios mislead.
OTHERS_MAX = 0.05
#: Headline, what it says, and its goal: at least or, for the latency, at most.
GOALS = (
    ("ratio_vs_pgledger_64", "postings/s against pgledger, 50 platforms, 64 callers", 10.0),
    ("ratio_vs_pgledger_1", "postings/s against pgledger, one caller", 2.0),
    ("p99_ratio_vs_pgledger_64", "p99 against pgledger, 50 platforms, 64 callers", 0.1),
    ("hot_vs_fifty", "one hot platform against 50 platforms, 64 callers", 0.8),
    ("one_platform_ratio_vs_pgledger_64", "postings/s against pgledger, one hot platform, 64 callers", None),
)

_COLUMNS = (
    "callers",
    "postings/s",
    "p50 ms",
    "p99 ms",
    "/client\nCPU s",
    "/server\nCPU s",
    "WAL B\na posting",
    "of raw",
    "x peer",
    "p99 x",
)


async def race(server: Server, terms: Terms, peer: Path | None, progress: Progress) -> dict[str, Any]:
    windows = terms.rounds * (1 + len(terms.starts) * (1 if peer is None else 2))
    bar = progress.add_task("the books are opened", total=windows)

    def tick(what: str) -> None:
        progress.update(bar, description=what, advance=1)

    await server.prepare()
    return await rounds.run(server, terms, peer, tick)


async def grow(server: Server, size: int, terms: Terms, progress: Progress) -> dict[str, Any]:
    bar = progress.add_task("the books are opened", total=size)

    def tick(what: str, booked: int) -> None:
        progress.update(bar, description=f"{what}: {booked:,} postings", completed=booked)

    await server.prepare()
    return await growth.run(server, size, terms, tick)


def show(figures: dict[str, Any]) -> None:
    table = Table(
        title=f"Payments of five linked postings, medians of {figures['rounds']} rounds of {figures['seconds']:g} s",
        title_justify="left",
    )
    for name in ("ledger", "course"):
        table.add_column(name, no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for row in sorted(figures["rows"], key=lambda row: (row["is_hot"], row["callers"], row["ledger"])):
        table.add_row(
            row["ledger"],
            row["course"],
            str(row["callers"]),
            f"{row['postings_per_s']:,.0f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            f"{row['postings_per_client_cpu_s']:,.0f}",
            f"{row['postings_per_server_cpu_s']:,.0f}",
            f"{row['wal_bytes_per_posting']:,.0f}",
            f"{row['share_of_floor']:.0%}",
            *(
                "" if row[name] is None else f"{row[name]:.2f}"
                for name in ("ratio_vs_pgledger", "p99_ratio_vs_pgledger")
            ),
        )
    console.print(table)
    raw, sizes = figures["floor"], figures["bytes_per_posting"]
    console.print(
        f"raw INSERT ... SELECT unnest, three indexes, batches of {floor.BATCH}: {raw['all_cores']:,.0f} rows/s with a"
        f" connection for each core, {raw['one_connection']:,.0f} with one; a small commit: {raw['commit_ms']:.2f} ms"
    )
    console.print("bytes a posting on disk, with indexes: " + ", ".join(f"{who} {sizes[who]:,.0f}" for who in sizes))
    console.print(", ".join(f"{name} {value}" for name, value in figures["settings"].items()), style="dim")
    if (others := figures["others_share"]) > OTHERS_MAX:
        console.print(
            f"Other work took {others:.0%} of the processors: repeat this on a quiet machine.", style="yellow"
        )
    for name, meaning, goal in GOALS:
        if (value := figures[name]) is not None:
            console.print(f"{value:6.2f}  {meaning}{_verdict(name, value, goal)}")


def _verdict(name: str, value: float, goal: float | None) -> str:
    if goal is None:
        return ""
    at_most = name.startswith("p99")
    reached = value <= goal if at_most else value >= goal
    return f" (goal: {'at most' if at_most else 'at least'} {goal:g}; {'reached' if reached else 'not reached'})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pgledger", type=Path, metavar="DIR", help="the folder of pgledger's own repository")
    parser.add_argument("--quick", action="store_true", help="what the goals are about, in less than a minute")
    parser.add_argument("--brief", action="store_true", help="a tiny market for a moment: shows that all of it runs")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where the JSON is written")
    parser.add_argument(
        "--growth", type=int, nargs="?", const=GROWTH_POSTINGS, metavar="POSTINGS", help="grow the books to this size"
    )
    given = parser.parse_args()
    terms = BRIEF if given.brief else QUICK if given.quick else FULL
    columns = (TextColumn("{task.description:<44}", markup=False), BarColumn(), TimeElapsedColumn())
    begun = time.monotonic()
    try:
        if given.pgledger is not None:
            pgledger.sources(given.pgledger)
        with server() as machine, Progress(*columns, console=console, transient=True) as progress:
            if given.growth is None:
                figures = uvloop.run(race(machine, terms, given.pgledger, progress))
            else:
                figures = uvloop.run(grow(machine, given.growth, terms, progress))
    except (pgledger.NotPgledger, growth.NoRoom) as error:
        sys.exit(str(error))
    figures["took_seconds"] = round(time.monotonic() - begun)
    if given.growth is None:
        show(figures)
        save("ledger", figures, folder=given.results)
    else:
        growth.show(figures, console)
        save("ledger-growth", figures, folder=given.results)


if __name__ == "__main__":
    main()
