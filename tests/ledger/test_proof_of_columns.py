"""Every column of every table of the books: a value that is flipped is found, and what it belongs to is named.

The columns come from the database's own catalogue, so that a new one cannot be forgotten.
"""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Table
from tests.ledger.long_story import close_period, write_after_close, write_long_story
from tests.ledger.worked_journal import START

from marketbill.db import Database
from marketbill.ids import PlatformId, public_id
from marketbill.ledger import model
from marketbill.ledger.proof import check

TABLES = sorted(table.name for table in vars(model).values() if isinstance(table, Table))

#: Columns of which any value is as good as another.
FREE = {("ledger_head", "revision"): "counts changes of accounts, to tell copies in memory that they are out of date"}

#: One bit, byte or step away, by type; `{c}` is the column.
FLIPS = {
    "uuid": ["md5({c}::text)::uuid"],
    "bigint": ["{c} + 1", "{c} + 1000003"],
    "integer": ["{c} + 1", "{c} - 1"],
    "smallint": ["{c} + 1", "{c} - 1"],
    "text": ["overlay({c} placing case left({c}, 1) when 'X' then 'Y' else 'X' end from 1 for 1)"],
    "character varying": ["overlay({c} placing case left({c}, 1) when 'X' then 'Y' else 'X' end from 1 for 1)"],
    "bytea": ["set_byte({c}, 0, get_byte({c}, 0) # 1)", "set_byte({c}, 31, get_byte({c}, 31) # 128)"],
    "boolean": ["not {c}"],
    "jsonb": ['{c} || \'{{"why": "another"}}\''],
    "timestamp with time zone": ["{c} + interval '1 microsecond'", "'infinity'"],
}
#: In place of none.
VALUES = {"uuid": "gen_random_uuid()", "bigint": "1", "text": "'X'", "timestamp with time zone": "now()"}


@pytest.fixture
async def admin(admin_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(admin_url)
    yield connection
    await connection.close()


@pytest.fixture
async def books(db: Database, admin: asyncpg.Connection, platform: PlatformId) -> PlatformId:
    await write_long_story(db, platform)
    await close_period(admin, platform, START + timedelta(hours=6))
    await write_after_close(db, platform)
    await close_period(admin, platform, START + timedelta(days=40))
    for table in TABLES:
        # Whoever can change rows can drop these.
        for [constraint] in await admin.fetch(
            "select conname from pg_constraint where conrelid = $1::regclass and contype = 'c'", table
        ):
            await admin.execute(f"alter table {table} drop constraint {constraint}")
    return platform


@pytest.mark.parametrize("table", TABLES)
async def test_a_flipped_value_is_found_and_named(
    db: Database, admin: asyncpg.Connection, books: PlatformId, table: str
) -> None:
    await admin.execute(f"create table kept as select * from {table}")
    columns = await admin.fetch(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = 'public' and table_name = $1",
        table,
    )
    assert columns
    for column, type in columns:
        if (table, column) in FREE:
            continue
        for row in await samples(admin, table, column):
            for value in flips(column, type, is_null=row[column] is None):
                try:
                    done = await admin.execute(
                        f"update {table} set {column} = {value} where {table}::text = $1", row["whole"]
                    )
                    assert done == "UPDATE 1"
                except asyncpg.UniqueViolationError:
                    continue
                async with db.read(books) as scope:
                    found = "\n".join(map(str, await check(scope)))
                assert re.search(name_of(table, row), found), f"{column} = {value}: {found}"
                await admin.execute(f"delete from {table}")
                await admin.execute(f"insert into {table} select * from kept")
    async with db.read(books) as scope:
        assert await check(scope) == []


async def samples(admin: asyncpg.Connection, table: str, column: str) -> list[asyncpg.Record]:
    """A row without a value, if there is one, and two with."""
    rows = await admin.fetch(f"select {table}::text as whole, * from {table}")
    empty = [row for row in rows if row[column] is None]
    filled = [row for row in rows if row[column] is not None]
    assert filled, f"no row has a {column}: the story must have one"
    return [*empty[:1], filled[0], filled[-1]]


def flips(column: str, type: str, *, is_null: bool) -> list[str]:
    return [VALUES[type]] if is_null else [flip.format(c=column) for flip in FLIPS[type]]


def name_of(table: str, row: asyncpg.Record) -> str:
    """What a finding must say: the entry's number, the account's code or id, the hold, the period, the head."""
    names: dict[str, Any] = {
        "journal_entry": lambda: rf"\bentry {row['number']}\b",
        "posting": lambda: rf"\b(entry {row['entry_number']}|posting {row['number']})\b",
        "ledger_account": lambda: f"{re.escape(row['code'])}|{public_id('ledger account', row['id'])}",
        "ledger_hold": lambda: public_id("journal entry", row["entry_id"]),
        "ledger_period": lambda: "PERIOD: |closed until",
        "ledger_head": lambda: "HEAD: |missing",
    }
    return names[table]()
