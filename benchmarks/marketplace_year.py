"""A year of a marketplace with the clock moved and faults on, then the reckoning.

    .venv/bin/python benchmarks/marketplace_year.py [--sellers 1000] [--sales 6] [--seed 3]

Every seller sells some times in the year; buyers return things, banks dispute charges, payout schedules run by
themselves, and both clocks are moved a day at a time. All of marketbill's work happens in this process, against an
embedded PostgreSQL and the sandbox over HTTP; requests and events of the provider meet faults all the year.

Then: `verify` must find every record in agreement, the provider's balances must be those of the books, and every month
of every seller's statement must close by its own lines and open where the month before closed. Prints time, memory
and the p95 of reading a statement; exits 0 only when all of it is exact.
"""

import argparse
import asyncio
import random
import resource
import sys
import time
from datetime import timedelta
from typing import Any

from machine import console, save
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from year import reckoning
from year.trading import Trading
from year.world import open_shops, set_faults, world

DAYS = 365
#: The days at the end in which nobody trades: everything that is under way comes to its end.
REST_DAYS = 21
STEP_DAYS = 1


async def run(*, sellers: int, sales: int, seed: int, progress: Progress) -> dict[str, Any]:
    chance = random.Random(seed)
    names = [f"S{number:04}" for number in range(sellers)]
    async with world() as machine:
        market = await machine.platform(hold_from="CAPTURE", hold_days=3)
        bar = progress.add_task("sellers open their shops", total=sellers)
        await open_shops(market, names, lambda done: progress.update(bar, completed=done))
        async with machine.services.db.read(market.platform) as scope:
            begin = scope.now
        trading = Trading(market, names, chance)
        await trading.set_up()
        await set_faults(machine, chance, on=True)
        bar = progress.add_task("a year passes", total=DAYS + REST_DAYS)
        begun = time.monotonic()
        plan = sorted(chance.randrange(DAYS) for _ in range(sellers * sales))
        for day in range(0, DAYS, STEP_DAYS):
            await trading.day(sum(at // STEP_DAYS == day // STEP_DAYS for at in plan))
            await machine.advance(days=STEP_DAYS)
            progress.update(bar, completed=day, description=f"day {day}: {trading.done['sales']} sales")
        await set_faults(machine, chance, on=False)
        for day in range(REST_DAYS):
            await machine.advance(days=1)
            progress.update(bar, completed=DAYS + day, description="nobody trades any more")
        traded = time.monotonic() - begun
        async with machine.services.db.read(market.platform) as scope:
            months = reckoning.months_of(begin, scope.now + timedelta(days=1))
        bar = progress.add_task("statements are read", total=sellers)
        statements = await reckoning.read_statements(
            market, names, months, lambda done: progress.update(bar, completed=done)
        )
        checks, broken = await reckoning.broken_checks(machine, market)
        survived = (await machine.control("faults"))["survived"]
        return {
            "sellers": sellers,
            "seed": seed,
            "happened": dict(trading.done),
            "refused": dict(trading.refused),
            "faults": survived,
            "postings": await reckoning.counted(market, "posting"),
            "traded_seconds": round(traded, 1),
            "statements": statements.read,
            "statement_p95_ms": round(statements.p95_ms, 1),
            "statements_wrong": statements.wrong,
            "checks": checks,
            "broken": broken,
            "memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }


def show(figures: dict[str, Any]) -> None:
    table = Table(title=f"A year of {figures['sellers']:,} sellers (seed {figures['seed']})", title_justify="left")
    table.add_column("what")
    table.add_column("how many", justify="right")
    for name, count in [*figures["happened"].items(), *sorted(figures["refused"].items())]:
        table.add_row(name.replace("_", " "), f"{count:,}")
    table.add_row("faults of the provider survived", f"{sum(figures['faults'].values()):,}")
    table.add_row("postings", f"{figures['postings']:,}")
    table.add_row("seconds of trading", f"{figures['traded_seconds']:,}")
    table.add_row("memory of this process at its highest", f"{figures['memory_mib']:,} MiB")
    table.add_row("statements read", f"{figures['statements']:,}")
    table.add_row("p95 of reading one", f"{figures['statement_p95_ms']} ms")
    table.add_row("statements that do not chain or close", f"{len(figures['statements_wrong']):,}")
    table.add_row("checks of verify", f"{figures['checks']:,}")
    table.add_row("broken checks", f"{len(figures['broken']):,}")
    console.print(table)
    for wrong in [*figures["broken"], *figures["statements_wrong"]][:10]:
        console.print(wrong, style="red", markup=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sellers", type=int, default=1000)
    parser.add_argument("--sales", type=int, default=6, help="of each seller in the year, on average")
    parser.add_argument("--seed", type=int, default=3, help="everything random follows from it")
    asked = parser.parse_args()
    columns = (TextColumn("{task.description:<44}", markup=False), BarColumn(), TimeElapsedColumn())
    begun = time.monotonic()
    with Progress(*columns, console=console) as progress:
        figures = asyncio.run(run(sellers=asked.sellers, sales=asked.sales, seed=asked.seed, progress=progress))
    show(figures)
    exact = not figures["broken"] and not figures["statements_wrong"]
    save("marketplace_year", {**figures, "exact": exact, "took_seconds": round(time.monotonic() - begun)})
    console.print("Every cent is there." if exact else "NOT exact: see above.", style="green" if exact else "red")
    sys.exit(0 if exact else 1)


if __name__ == "__main__":
    main()
