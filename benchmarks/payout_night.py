"""Payout night: one date of a schedule, everybody is paid, through the whole product and the sandbox over HTTP.

    .venv/bin/python benchmarks/payout_night.py --sellers 100000

The sellers, their accounts at the sandbox, their bank accounts and their money are put there first, which is not
measured. Then the date comes: the run claims the lines and the money, the workers ask the provider for each payout. The
sandbox counts Stripe's limits (100 requests a second, 25 at one endpoint, of the account that is acted for) and refuses
what is beyond. With `--kill` the workers are killed in the middle, as by a crash of the machine: nobody is paid twice.
"""

import argparse
import asyncio
import os
import re
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
from machine import admin, console, resident_mib, save

from marketbill.db import Database
from marketbill.demo.api import Api
from marketbill.demo.market import Market, open_market
from marketbill.demo.sandbox import SandboxControl
from marketbill.embedded.stack import Stack
from marketbill.ids import PlatformId, SellerId, new_id, parse_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payouts import items
from marketbill.payouts.items import Item

#: What every seller has, in cents, less than what the next one has by one.
LEAST = 10_000
CURRENCY = "EUR"
LIMITS = {"requests_per_second": 100, "endpoint_per_second": 25}
_BATCH = 1_000
_LOOK_S = 0.5
_TELL_S = 10.0


@dataclass(frozen=True, slots=True)
class Night:
    """What was measured; times in seconds."""

    sellers: int
    killed: bool
    claimed_s: float
    sent_s: float
    payouts_per_s: float
    paid_twice: int
    cents: int
    lines_differ: int
    refused_by_limits: int
    memory_mib: float


async def prepare(stack: Stack) -> Market:
    """The demo market, whose seller A all others are like."""
    async with Api(stack.api_url, stack.bootstrap_key) as api, SandboxControl(stack.sandbox_url or "") as sandbox:
        return await open_market(api, sandbox)


def clone_accounts(state: Path, prototype: str, accounts: list[str]) -> None:
    """Writes accounts like the prototype's into the sandbox's state: account, bank account, balance."""
    with sqlite3.connect(state) as store:
        rows = store.execute(
            "select id, kind, account, created, a, b, c, d, e, doc from objects where id = ? or account = ?",
            (prototype, prototype),
        ).fetchall()
        banks = [row[0] for row in rows if row[1] == "bank_account"]
        for place, account in enumerate(accounts):
            for id, kind, owner, created, *columns, doc in rows:
                words = {bank: f"ba_1night{place:08d}{index}" for index, bank in enumerate(banks)}
                words[prototype] = account
                pattern = re.compile("|".join(map(re.escape, words)))

                def renamed(text: str, pattern: re.Pattern[str] = pattern, words: dict[str, str] = words) -> str:
                    return pattern.sub(lambda found: words[found.group()], text)

                body = renamed(doc.decode() if isinstance(doc, bytes) else doc).encode()
                store.execute(
                    "insert into objects (id, kind, account, created, a, b, c, d, e, doc) values (?,?,?,?,?,?,?,?,?,?)",
                    (renamed(id), kind, renamed(owner), created, *columns, body),
                )
            store.execute(
                "insert into balances (account, currency, available, pending) values (?, ?, ?, 0)",
                (account, CURRENCY.lower(), LEAST + place),
            )


async def clone_sellers(
    db: Database, owner: asyncpg.Connection, platform: PlatformId, like: UUID, accounts: list[str]
) -> None:
    """Writes sellers like the prototype, and books what they have: entries, and the items that payouts are made of."""
    ids = [new_id() for _ in accounts]
    columns = [row["column_name"] for row in await owner.fetch(_COLUMNS)]
    changed = {"id": "n.id", "provider_account": "n.account", "name": "n.account", "external_ref": "null"}
    wanted = ", ".join(changed.get(name, f"s.{name}") for name in columns)
    await owner.execute(
        f"insert into seller ({', '.join(columns)}) select {wanted} from seller s,"
        " unnest($3::uuid[], $4::text[]) as n (id, account) where s.platform_id = $1 and s.id = $2",
        platform,
        like,
        ids,
        accounts,
    )
    for start in range(0, len(ids), _BATCH):
        batch = [(SellerId(id), LEAST + start + place) for place, id in enumerate(ids[start : start + _BATCH])]
        async with db.write(platform) as scope:
            await items.add(scope, [Item(id, CURRENCY, Source("seller", id), amount) for id, amount in batch])
            await journal.post_all(scope, [_came_in(id, amount, scope.now) for id, amount in batch])


def _came_in(id: SellerId, amount: int, at: Any) -> JournalEntry:
    available, owed = chart.custody_available(id, CURRENCY), chart.custody_owed(id, CURRENCY)
    return JournalEntry(
        key=f"night:{id}",
        kind="custody",
        source=Source("seller", id),
        postings=(Posting(available, owed, amount),),
        effective_at=at,
        description="What the night begins with",
        reason={},
    )


_COLUMNS = "select column_name from information_schema.columns where table_name = 'seller' order by ordinal_position"
_STATE = """
    select (select count(*) from payout) as claimed,
      (select count(*) from payout where provider_payout is not null) as sent,
      (select bool_and(finished_at is not null) from payout_run) as finished
"""
_DIFFER = """
    select count(*) from payout p where p.amount is distinct from
      (select sum(l.amount) from payout_line l where l.platform_id = p.platform_id and l.payout_id = p.id)
"""


async def night(stack: Stack, owner: asyncpg.Connection, platform: PlatformId, *, sellers: int, kill: bool) -> Night:
    """The date comes; until all is sent."""
    await owner.execute("update payout_schedule set next_at = now(), next_on = current_date")
    await owner.execute(
        "insert into outbox_message (platform_id, id, actor, arguments, available_at, created_at)"
        " values ($1, $2, 'run_payouts', $3, now(), now())",
        platform,
        new_id(),
        f'["{platform}"]',
    )
    begun = time.perf_counter()
    told, claimed_s, killed = 0.0, 0.0, False
    while True:
        await asyncio.sleep(_LOOK_S)
        state, elapsed = await owner.fetchrow(_STATE), time.perf_counter() - begun
        assert state is not None
        if not claimed_s and state["finished"]:
            claimed_s = elapsed
        if state["finished"] and state["sent"] >= sellers:
            break
        if elapsed - told >= _TELL_S:
            told = elapsed
            console.print(f"{elapsed:7.1f} s  {state['claimed']:>8} claimed  {state['sent']:>8} sent")
        if kill and not killed and state["sent"] >= sellers // 3:
            killed = True
            _kill_workers(stack)
    sent_s = time.perf_counter() - begun
    by_account = await _at_provider(stack.data / "sandbox.db")
    return Night(
        sellers=sellers,
        killed=killed,
        claimed_s=round(claimed_s, 2),
        sent_s=round(sent_s, 2),
        payouts_per_s=round(sellers / sent_s, 1),
        paid_twice=sum(1 for number, _ in by_account.values() if number > 1),
        cents=sum(amount for _, amount in by_account.values()),
        lines_differ=await owner.fetchval(_DIFFER) or 0,
        refused_by_limits=await owner.fetchval("select count(*) from provider_attempt where code = 'rate_limit'") or 0,
        memory_mib=round(resident_mib([os.getpid()])),
    )


def _kill_workers(stack: Stack) -> None:
    """Every worker process of this machine: they work in its folder, and are no one else's."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                folder = os.readlink(entry / "cwd")
            except OSError:
                continue
            if b"worker" in words and Path(folder).is_relative_to(stack.data):
                console.print(f"          the workers are killed (process {entry.name})")
                os.kill(int(entry.name), signal.SIGKILL)


async def _at_provider(state: Path) -> dict[str, tuple[int, int]]:
    """Payouts by account, number and cents, as the sandbox itself keeps them."""
    with sqlite3.connect(f"file:{state}?mode=ro", uri=True) as store:
        rows = store.execute(
            "select account, count(*), sum(json_extract(cast(doc as text), '$.amount')) from objects"
            " where kind = 'payout' group by account"
        )
        return {account: (number, amount) for account, number, amount in rows}


@contextmanager
def running(folder: Path) -> Iterator[Stack]:
    """The machine of this folder, ended afterwards."""
    with Stack(folder, api_port=0, sandbox_port=0, report=lambda _: None) as stack:
        yield stack


async def go_through(folder: Path, *, sellers: int, kill: bool) -> Night:
    with running(folder) as stack:
        market = await prepare(stack)
        owner = await admin(stack)
        platform, like = parse_id("platform", market.platform), parse_id("seller", market.sellers["A"])
        prototype = str(await owner.fetchval("select provider_account from seller where id = $1", like))
        await owner.close()
    accounts = [f"acct_1night{place:012d}" for place in range(sellers)]
    clone_accounts(folder / "sandbox.db", prototype, accounts)
    with running(folder) as stack:
        owner = await admin(stack)
        db = Database(stack.environment["DATABASE_URL"])
        await clone_sellers(db, owner, PlatformId(platform), like, accounts)
        await db.dispose()
        await owner.execute("analyze")
        async with Api(stack.api_url, market.operator_key) as api:
            await api.do("payoutScheduleSet", idempotencyKey="night", interval="DAILY")
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{stack.sandbox_url}/_sandbox/limits", json=LIMITS) as set_,
        ):
            assert set_.status == 200, await set_.text()
        console.print(f"{sellers} sellers with an account and money; the date comes")
        try:
            return await night(stack, owner, PlatformId(platform), sellers=sellers, kill=kill)
        finally:
            await owner.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sellers", type=int, default=5_000)
    parser.add_argument("--kill", action="store_true", help="kill the workers in the middle")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="marketbill-night-") as folder:
        figures = asyncio.run(go_through(Path(folder) / "data", sellers=given.sellers, kill=given.kill))
    console.print(
        f"{figures.sellers} payouts: claimed after {figures.claimed_s:.1f} s, sent after {figures.sent_s:.1f} s,"
        f" {figures.payouts_per_s:.0f} a second; {figures.cents / 100:,.2f} {CURRENCY} at the provider;"
        f" paid twice: {figures.paid_twice}; lines that differ: {figures.lines_differ};"
        f" refused by its limits: {figures.refused_by_limits}; {figures.memory_mib:.0f} MiB"
    )
    expected = sum(LEAST + place for place in range(given.sellers))
    assert (figures.paid_twice, figures.lines_differ, figures.cents) == (0, 0, expected), figures
    save("payout_night", asdict(figures))


if __name__ == "__main__":
    main()
