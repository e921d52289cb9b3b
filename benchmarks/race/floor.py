"""The machine's floor: what it costs to put bare posting rows on disk, with nothing of a ledger around them."""

import asyncio
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import asyncpg

from marketbill.ids import new_id
from race.market import CURRENCY, POSTINGS

BATCH = 2_500
_SELLERS = 200
_COMMITS = 200
_COLUMNS = {
    "platform_id": "uuid",
    "number": "bigint",
    "entry_number": "bigint",
    "debit_account_id": "uuid",
    "credit_account_id": "uuid",
    "amount": "bigint",
    "effective_at": "timestamptz",
    "debit_balance_after": "bigint",
    "credit_balance_after": "bigint",
    "currency": "varchar",
    "debit_lag": "smallint",
    "credit_lag": "smallint",
    "held": "boolean",
}
_CREATE = f"""
create table floor (
  {", ".join(f"{name} {type} not null" for name, type in _COLUMNS.items())}, primary key (platform_id, number)
);
create index on floor (debit_account_id, effective_at, number);
create index on floor (credit_account_id, effective_at, number);
"""
_INSERT = "insert into floor select * from unnest({})".format(
    ", ".join(f"${place}::{type}[]" for place, type in enumerate(_COLUMNS.values(), start=1))
)


async def figures(url: str, *, seconds: float) -> dict[str, float]:
    """Rows per second through one connection and through one for each core, and a small commit in milliseconds."""
    cores = os.cpu_count() or 1
    return {
        "one_connection": await rows_per_second(url, seconds=seconds, connections=1),
        "all_cores": await rows_per_second(url, seconds=seconds, connections=cores),
        "commit_ms": await commit_ms(url),
    }


async def rows_per_second(url: str, *, seconds: float, connections: int) -> float:
    """`INSERT ... SELECT unnest` of rows as wide as ours with three indexes, without row-level security.

    A batch is a transaction of one platform, as a ledger's is; its arrays are made beforehand. `url` is the owner's.
    """
    inserting = [await asyncpg.connect(url) for _ in range(connections)]
    try:
        await inserting[0].execute(_CREATE)
        statements = [await connection.prepare(_INSERT) for connection in inserting]
        batches = [_batch(seed) for seed in range(connections)]
        written = 0
        begun = time.perf_counter()

        async def insert(place: int) -> None:
            nonlocal written
            first = 1
            while time.perf_counter() - begun < seconds:
                batches[place][1] = list(range(first, first + BATCH))
                await statements[place].fetch(*batches[place])
                first += BATCH
                written += BATCH

        await asyncio.gather(*(insert(place) for place in range(connections)))
        return written / (time.perf_counter() - begun)
    finally:
        await inserting[0].execute("drop table if exists floor")
        for connection in inserting:
            await connection.close()


async def commit_ms(url: str) -> float:
    """The median time of a transaction of one small row: a round trip and a write to disk."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create table floor_commit (n integer)")
        statement = await connection.prepare("insert into floor_commit values (1)")
        waited = []
        for _ in range(_COMMITS):
            asked = time.perf_counter()
            await statement.fetch()
            waited.append((time.perf_counter() - asked) * 1000)
        return sorted(waited)[_COMMITS // 2]
    finally:
        await connection.execute("drop table if exists floor_commit")
        await connection.close()


def _batch(seed: int) -> list[Sequence[Any]]:
    random = Random(seed)
    psp_pending, psp_fee, platform_fee, tax = (new_id() for _ in range(4))
    sellers = [(new_id(), new_id()) for _ in range(_SELLERS)]
    debits, credits = [], []
    for _ in range(BATCH // POSTINGS):
        pending, payable = random.choice(sellers)
        debits += [psp_pending, pending, pending, psp_fee, pending]
        credits += [pending, platform_fee, tax, psp_pending, payable]
    return [
        [new_id()] * BATCH,
        [],
        [1 + place // POSTINGS for place in range(BATCH)],
        debits,
        credits,
        [random.randint(1, 50_000) for _ in range(BATCH)],
        [datetime.now(UTC)] * BATCH,
        list(range(BATCH)),
        list(range(BATCH)),
        [CURRENCY] * BATCH,
        *([0] * BATCH for _ in range(2)),
        [False] * BATCH,
    ]
