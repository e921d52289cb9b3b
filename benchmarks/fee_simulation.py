"""How fast fees are run over history: `python benchmarks/fee_simulation.py [--sales 20000] [--processes 2]`.

Seeds sales by SQL from real traces of the split, with other numbers in each: three lines, two sellers out of two
hundred, prices from 1.00 to 500.00. Then it runs the live schedule (nothing may change) and a draft, and prints sales
a second, CPU seconds without PostgreSQL's, and the memory of this process at its highest.

Goal: 100,000 sales in under 60 seconds on two cores.
"""

import argparse
import asyncio
import random
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import orjson
from rich.console import Console
from rich.table import Table

from marketbill import migrate
from marketbill.db import Database
from marketbill.embedded.postgres import EmbeddedPostgres
from marketbill.embedded.provision import LOGIN_ROLE, provision
from marketbill.ids import PlatformId, new_id, public_id
from marketbill.insight.fee_simulation import Simulation, simulate
from marketbill.platforms import fee_schedule
from marketbill.rules.basket import Basket, BasketLine
from marketbill.rules.fees.schedule import Schedule
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.split import split
from marketbill.rules.tax.parties import PlatformTax, SellerTax
from marketbill.rules.tax.terms import TaxTerms

SELLERS = 200
SEEDED_AT_ONCE = 1000
LIVE = {
    "name": "Live",
    "rules": [
        {"name": "commission", "percent": "10", "fixed": {"EUR": "0.30"}, "base": "GROSS", "tax_mode": "EXCLUSIVE"},
        {"name": "books", "when": {"categories": ["books"]}, "percent": "7", "base": "NET", "tax_mode": "EXCLUSIVE"},
    ],
}
DRAFT = LIVE | {"rules": [LIVE["rules"][0] | {"percent": "9.5"}, LIVE["rules"][1]]}  # type: ignore[index]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sales", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="marketbill-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres", durable=False) as server,
    ):
        await provision(server_url=server.url(driver="postgresql"), database="bench")
        await migrate.upgrade(server.url(database="bench", driver="postgresql"))
        db = Database(server.url(database="bench", user=LOGIN_ROLE, driver="postgresql"))
        platform = await seed(server.url(database="bench", driver="postgresql"), db, asked.sales)
        table = Table("run", title=f"{asked.sales:,} sales of three lines, {asked.processes} processes")
        for heading in ("seconds", "sales a second", "CPU seconds", "changed", "memory"):
            table.add_column(heading, justify="right")
        for name, document in (("the live schedule", LIVE), ("a draft", DRAFT)):
            started, worked = time.perf_counter(), cpu_seconds()
            async with db.read(platform) as scope:
                tally, _ = await simulate(
                    scope, Simulation(fee_schedule.draft_schedule(document)), processes=asked.processes
                )
            seconds, worked = time.perf_counter() - started, cpu_seconds() - worked
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            assert sum(sums.sales for sums in tally.currencies.values()) == asked.sales
            speed = f"{asked.sales / seconds:,.0f}"
            table.add_row(name, f"{seconds:.1f}", speed, f"{worked:.1f}", f"{tally.changed:,}", f"{memory:,.0f} MiB")
        Console().print(table)
        await db.dispose()


def cpu_seconds() -> float:
    """What this process and those that it started and that ended have worked; PostgreSQL's is apart."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


async def seed(url: str, db: Database, sales: int) -> PlatformId:
    """A platform with its live schedule and stored sales, as a migration would load them."""
    platform = PlatformId(new_id())
    admin = await asyncpg.connect(url)
    now = datetime.now(UTC)
    await admin.execute(
        "insert into platform (platform_id, name, country, default_currency, fee_tax_rate, hold_from, hold_days,"
        " created_at, updated_at) values ($1, 'Bench', 'NL', 'EUR', 21, 'CAPTURE', 0, $2, $2)",
        platform,
        now,
    )
    async with db.write(platform) as scope:
        row = await fee_schedule.add_draft(scope, LIVE, by="bench")
        row = await fee_schedule.publish_draft(scope, row.id, at=None, by="bench")
    schedule = fee_schedule.schedule_of(row)
    sellers = [new_id() for _ in range(SELLERS)]
    chance = random.Random(1)
    for first in range(0, sales, SEEDED_AT_ONCE):
        count = min(SEEDED_AT_ONCE, sales - first)
        traces = [trace_of_a_sale(schedule, chance.sample(sellers, 2), chance, now) for _ in range(count)]
        at = [now - timedelta(days=chance.randrange(700)) for _ in range(count)]
        await admin.execute(
            "insert into payment (platform_id, id, currency, gross, tax, fee, fee_tax, seller_net, fee_schedule_id,"
            " hold_from, hold_days, tax_country, status, created_at, updated_at, succeeded_at, trace)"
            " select $1, id, 'EUR', (t #>> '{totals,gross}')::bigint, 0, (t #>> '{totals,fee}')::bigint,"
            " (t #>> '{totals,fee_tax}')::bigint, (t #>> '{totals,seller_net}')::bigint, $2, 'CAPTURE', 0, 'NL',"
            " 'SUCCEEDED', at, at, at, t from unnest($3::uuid[], $4::timestamptz[], $5::jsonb[]) as s (id, at, t)",
            platform,
            row.id,
            [new_id() for _ in range(count)],
            at,
            traces,
        )
    await admin.execute("analyze payment")
    await admin.close()
    return platform


def trace_of_a_sale(schedule: Schedule, sellers: list, chance: random.Random, at: datetime) -> str:
    names = [public_id("seller", id) for id in sellers]
    basket = Basket(
        "EUR",
        tuple(
            BasketLine(
                id=f"{place + 1:03d}",
                seller_id=names[place % 2],
                description="Thing",
                category=chance.choice(["books/children", "music", "toys"]),
                quantity=chance.randint(1, 3),
                unit_price=chance.randint(100, 50_000),
                tax_rate=Decimal(21),
                tax_inclusive=True,
            )
            for place in range(3)
        ),
    )
    tax = TaxTerms(PlatformTax("NL", Decimal(21)), {name: SellerTax("NL", False) for name in names})
    return orjson.dumps(split(basket, FeeTerms(schedule, at), tax).to_trace()).decode()


if __name__ == "__main__":
    asyncio.run(main())
