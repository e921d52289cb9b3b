"""How fast statements are read from books of a million postings: `python benchmarks/statement.py [--postings 1000000]`.

A marketplace's year is booked by the ledger's own journal, a thousand entries a transaction, in the order in which it
would have been: sales with fees and tax, funds available, releases, transfers, refunds, monthly payouts, and one sale
in a hundred recorded two days late. Few sellers sell much and many sell little. Then `proof` replays all of it.

Statements of random sellers and months are read as the API reads them: a seller's token, a GraphQL document, all
sections and the first hundred lines. Those of the largest seller are told apart; and files are drawn up and rendered.

Goal: p95 under 200 ms at a million postings.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import asyncpg
import httpx2
from machine import console, save
from pydantic import SecretStr
from rich.progress import Progress
from rich.table import Table
from year.books import Year

from marketbill import migrate
from marketbill.actor import Role
from marketbill.config import Settings
from marketbill.embedded.postgres import EmbeddedPostgres
from marketbill.embedded.provision import LOGIN_ROLE, provision
from marketbill.ids import PlatformId, SellerId, new_id, public_id
from marketbill.ledger import journal, proof
from marketbill.ledger.journal import Outcome
from marketbill.platforms import tokens
from marketbill.services import Services
from marketbill.statements.document import PDF_LINES_MAX, draw_up
from marketbill.statements.model import FileFormat
from marketbill.statements.rendering import render
from marketbill.statements.words import Language
from marketbill_graphql.app import create_app

GOAL_MS = 200
CURRENCY = "EUR"
BATCH = 1_000
STATEMENT = """query($s: ID!, $p: PeriodInput!) { statement(sellerId: $s, currency: "EUR", period: $p) {
  opening { total { decimal } } agrees
  closing { pending { decimal } payable { decimal } available { decimal } total { decimal } }
  totals { section lines amount { decimal } }
  lines(first: 100) { pageInfo { hasNextPage endCursor } nodes {
    effectiveAt section kind description sourceId entryId origin target
    amount { decimal } moved { decimal } balanceAfter { decimal } } }
} }"""


@dataclass(frozen=True, slots=True)
class Reads:
    """What reading showed, in milliseconds; `lines` are those of a period, in the middle and at most."""

    what: str
    reads: int
    lines: int
    lines_max: int
    median: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Reader:
    """The API in this process, and the marketplace whose statements are read."""

    services: Services
    http: httpx2.AsyncClient
    platform: PlatformId
    months: list[tuple[datetime, datetime]]

    async def ask(self, seller: SellerId, month: tuple[datetime, datetime]) -> int:
        """One request of a seller for his month; gives its number of lines."""
        name = public_id("seller", seller)
        token = tokens.mint(self.services, self.platform, role=Role.SELLER, party=name).token
        period = {"from": month[0].isoformat(), "until": month[1].isoformat()}
        answer = await self.http.post(
            "/graphql",
            json={"query": STATEMENT, "variables": {"s": name, "p": period}},
            headers={"authorization": f"Bearer {token}"},
        )
        told = answer.json()["data"]["statement"]
        assert told["agrees"], told
        return sum(total["lines"] for total in told["totals"])

    async def file(self, format: FileFormat, seller: SellerId, month: tuple[datetime, datetime]) -> int:
        """One file, drawn up and rendered; gives its number of lines."""
        read = partial(self.services.db.read, self.platform)
        document = await draw_up(read, seller=seller, currency=CURRENCY, start=month[0], end=month[1])
        if format is not FileFormat.PDF or document.statement.line_count <= PDF_LINES_MAX:
            await asyncio.to_thread(render, document, format, Language.DE)
        return document.statement.line_count


@asynccontextmanager
async def reader(
    postgres: EmbeddedPostgres, platform: PlatformId, months: list[tuple[datetime, datetime]]
) -> AsyncGenerator[Reader]:
    services = Services.create(
        Settings(
            database_url=SecretStr(postgres.url(database="bench", user=LOGIN_ROLE)),
            marketbill_secret_key=SecretStr("a master key of the benchmark, 32 characters or more"),
            marketbill_bootstrap_key=SecretStr("bootstrap-key-of-the-benchmark-0123456789"),
        )
    )
    transport = httpx2.ASGITransport(create_app(services))
    async with httpx2.AsyncClient(transport=transport, base_url="http://bench", timeout=60) as http:
        yield Reader(services, http, platform, months)
    await services.close()


async def seed(admin: asyncpg.Connection, platform: PlatformId, sellers: list[SellerId]) -> None:
    """The platform and its sellers, whose statements the API finds only when they are there."""
    await admin.execute(
        "insert into platform (platform_id, name, country, default_currency, fee_tax_rate, hold_from, hold_days,"
        " created_at, updated_at) values ($1, 'Bench', 'NL', 'EUR', 21, 'CAPTURE', 0, now(), now())",
        platform,
    )
    await admin.execute(
        "insert into seller (platform_id, id, name, email, country, vat_number_valid, suspended, transfers,"
        " payouts_enabled, requirements, created_at, updated_at, version, tax_registrations, small_business,"
        " vat_status) select $1, id, 'Seller ' || n, 'bench@example.com', 'NL', false, false, 'ACTIVE', true, '{}',"
        " now(), now(), 1, '{}', false, 'UNCHECKED' from unnest($2::uuid[]) with ordinality as s (id, n)",
        platform,
        sellers,
    )


async def fill(read: Reader, year: Year, progress: Progress, postings: int) -> None:
    """Books the year in batches, each a transaction, as a migration would."""
    bar = progress.add_task("the year is booked", total=postings)
    batch: list[journal.JournalEntry] = []

    async def book() -> None:
        async with read.services.db.write(read.platform) as scope:
            results = await journal.post(scope, batch)
        refused = [result for result in results if result.outcome is not Outcome.POSTED]
        assert not refused, refused[0]
        progress.update(bar, advance=sum(len(entry.postings) for entry in batch))
        batch.clear()

    for entry in year.entries():
        batch.append(entry)
        if len(batch) == BATCH:
            await book()
    if batch:
        await book()


async def measure(what: str, reads: int, one: Callable[[], Awaitable[int]]) -> Reads:
    """Times `reads` of them, one after the other, after a few that warm up."""
    for _ in range(min(10, reads)):
        await one()
    waited, lines = [], []
    for _ in range(reads):
        begun = time.perf_counter()
        lines.append(await one())
        waited.append((time.perf_counter() - begun) * 1000)
    parts = quantiles(waited, n=100, method="inclusive")
    return Reads(what, reads, round(median(lines)), max(lines), parts[49], parts[94], parts[98])


async def run(postings: int, sellers: int, reads: int, *, proven: bool, progress: Progress) -> dict[str, Any]:
    chance = random.Random(7)
    platform, ids = PlatformId(new_id()), [SellerId(new_id()) for _ in range(sellers)]
    year = Year(ids, postings, end=datetime.now(UTC), chance=chance)
    with (
        tempfile.TemporaryDirectory(prefix="marketbill-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres", durable=False) as postgres,
    ):
        await provision(server_url=postgres.url(driver="postgresql"), database="bench")
        url = postgres.url(database="bench", driver="postgresql")
        await migrate.upgrade(url)
        admin = await asyncpg.connect(url)
        await seed(admin, platform, ids)
        async with reader(postgres, platform, year.months()) as read:
            begun = time.perf_counter()
            await fill(read, year, progress, postings)
            filled = time.perf_counter() - begun
            await admin.execute("vacuum (analyze)")
            booked = await admin.fetchval("select count(*) from posting")
            findings = []
            begun = time.perf_counter()
            if proven:
                bar = progress.add_task("proof", total=None)
                findings = await proof.prove(
                    partial(read.services.db.read, platform),
                    progress=lambda done, total: progress.update(bar, completed=done, total=total),
                )
            proved = time.perf_counter() - begun
            progress.add_task("statements are read", total=None)
            found = await figures(read, ids, reads, chance)
        await admin.close()
    return {
        "postings": booked,
        "sellers": sellers,
        "sales": year.sales,
        "filled_seconds": round(filled, 1),
        "proof_seconds": round(proved, 1) if proven else None,
        "findings": [str(finding) for finding in findings],
        "load": round(os.getloadavg()[0], 1),
        "reads": [asdict(one) for one in found],
    }


async def figures(read: Reader, sellers: list[SellerId], reads: int, chance: random.Random) -> list[Reads]:
    def anybody(one: Callable[..., Awaitable[int]]) -> Callable[[], Awaitable[int]]:
        return lambda: one(chance.choice(sellers), chance.choice(read.months))

    def largest(one: Callable[..., Awaitable[int]]) -> Callable[[], Awaitable[int]]:
        return lambda: one(sellers[0], chance.choice(read.months))

    found = [
        await measure("GraphQL, any seller's month", reads, anybody(read.ask)),
        await measure("GraphQL, the largest seller's month", max(reads // 10, 2), largest(read.ask)),
    ]
    for format in FileFormat:
        one = partial(read.file, format)
        found.append(await measure(f"{format}, any seller's month", max(reads // 10, 2), anybody(one)))
        found.append(await measure(f"{format}, the largest seller's month", 5, largest(one)))
    return found


def show(figures: dict[str, Any]) -> None:
    title = f"Statements of {figures['sellers']:,} sellers from {figures['postings']:,} postings, ms"
    table = Table("what", title=title, title_justify="left")
    for heading in ("reads", "lines", "at most", "median", "p95", "p99"):
        table.add_column(heading, justify="right")
    for one in figures["reads"]:
        counts = (f"{one[name]:,}" for name in ("reads", "lines", "lines_max"))
        table.add_row(one["what"], *counts, *(f"{one[name]:,.0f}" for name in ("median", "p95", "p99")))
    console.print(table)
    proved = figures["proof_seconds"]
    told = "not asked for" if proved is None else f"{len(figures['findings'])} findings in {proved:g} s"
    if figures["load"] > (os.cpu_count() or 1):
        console.print(f"The machine was busy (load {figures['load']:g}): repeat this on a quiet one.", style="yellow")
    console.print(f"{figures['sales']:,} sales booked in {figures['filled_seconds']:g} s; proof: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postings", type=int, default=1_000_000)
    parser.add_argument("--sellers", type=int, default=1_000)
    parser.add_argument("--reads", type=int, default=500)
    parser.add_argument("--no-proof", action="store_true", help="do not replay the books after they are filled")
    asked = parser.parse_args()
    with Progress(console=console, transient=True) as progress:
        found = asyncio.run(
            run(asked.postings, asked.sellers, asked.reads, proven=not asked.no_proof, progress=progress)
        )
    show(found)
    reached = found["reads"][0]["p95"] < GOAL_MS and not found["findings"]
    save("statement", {**found, "goal_ms": GOAL_MS, "reached": reached})
    console.print(f"p95 under {GOAL_MS} ms: {'reached' if reached else 'not reached'}")
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
