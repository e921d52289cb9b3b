"""Sales per second through the whole product: GraphQL mutation, provider, webhook, worker, booked split, transfer.

    .venv/bin/python benchmarks/sale.py [--sales 400]

At 1, 16 and 64 callers: sales per second, the mutation's latency, the time from the mutation to the booked split, and
database statements and round trips per sale (of all processes together, transfers included).
"""

import argparse
import asyncio
import os
import time
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import Any

import asyncpg
from machine import admin, console, drained, machine, resident_mib, save, transfers_sent
from rich.table import Table

from marketbill.demo.api import Api
from marketbill.demo.market import Market, line, open_market
from marketbill.demo.sandbox import SandboxControl
from marketbill.embedded.stack import Stack

CALLERS = (1, 16, 64)
_BOOKED = """
select percentile_cont(0.5) within group (order by waited), percentile_cont(0.99) within group (order by waited),
       extract(epoch from max(booked) - min(made))
from (select extract(epoch from e.recorded_at - p.created_at) * 1000 as waited, e.recorded_at as booked,
             p.created_at as made
      from payment p join journal_entry e on e.platform_id = p.platform_id and e.source_id = p.id and e.kind = 'split'
      where p.reference like $1) as sales
"""
_CALLS = """
select coalesce(sum(calls) filter (where query !~* '^(begin|commit|rollback)'), 0)::bigint,
       coalesce(sum(calls), 0)::bigint
from pg_stat_statements where query !~ 'pg_stat_statements|from transfer where status'
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """One row of the table; times in milliseconds."""

    callers: int
    sales_per_s: float
    booked_per_s: float
    mutation_p50_ms: float
    mutation_p99_ms: float
    to_booked_p50_ms: float
    to_booked_p99_ms: float
    statements_per_sale: float
    round_trips_per_sale: float


async def measure(api: Api, market: Market, connection: asyncpg.Connection, *, callers: int, sales: int) -> Figures:
    """Runs `sales` sales of two sellers' lines with this many callers, and waits until all are transferred."""
    service = api.as_(market.service_key)
    lines = [line(market.sellers["A"], "Cup", 2500, "EUR"), line(market.sellers["B"], "Map", 1500, "EUR")]
    waited: list[float] = []
    numbers = iter(range(sales))

    async def caller() -> None:
        for number in numbers:
            begun = time.perf_counter()
            reference = f"bench-{callers}-{number}"
            await service.do(
                "paymentCreate",
                idempotencyKey=reference,
                currency="EUR",
                lines=lines,
                paymentMethodToken="pm_card_bypassPending",
                reference=reference,
            )
            waited.append((time.perf_counter() - begun) * 1000)

    sent_before = await transfers_sent(connection)
    await connection.execute("select pg_stat_statements_reset()")
    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    took = time.perf_counter() - begun
    await drained(connection, sales=sent_before + 2 * sales)
    [(statements, round_trips)] = await connection.fetch(_CALLS)
    [(p50, p99, span)] = await connection.fetch(_BOOKED, f"bench-{callers}-%")
    cuts = quantiles(waited, n=100)
    return Figures(
        callers,
        round(sales / took, 1),
        round(sales / float(span), 1),
        round(cuts[49], 1),
        round(cuts[98], 1),
        round(p50, 1),
        round(p99, 1),
        round(int(statements) / sales, 1),
        round(int(round_trips) / sales, 1),
    )


async def run(stack: Stack, sales: int) -> dict[str, Any]:
    assert stack.sandbox_url is not None
    connection = await admin(stack)
    await connection.execute("create extension if not exists pg_stat_statements")
    async with Api(stack.api_url, stack.bootstrap_key) as api, SandboxControl(stack.sandbox_url) as sandbox:
        market = await open_market(api, sandbox)
        await measure(api, market, connection, callers=8, sales=50)  # warm: caches, plans, accounts
        rows = [await measure(api, market, connection, callers=callers, sales=sales) for callers in CALLERS]
        memory = resident_mib([os.getpid()])  # this process supervises all the others
    await connection.close()
    return {"rows": [asdict(row) for row in rows], "resident_mib": round(memory, 1), "sales": sales}


def show(figures: dict[str, Any]) -> None:
    table = Table(title=f"Sales through the whole product ({figures['sales']} sales a row, two sellers each)")
    for name in figures["rows"][0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in figures["rows"]:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
    console.print(f"memory of the programs (proportional): {figures['resident_mib']} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sales", type=int, default=400, help="sales per row")
    arguments = parser.parse_args()
    with machine() as stack:
        figures = asyncio.run(run(stack, arguments.sales))
    show(figures)
    save("sale", figures)


if __name__ == "__main__":
    main()
