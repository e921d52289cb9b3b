"""The walls around what operators do: each platform's own, kept as it was done, and hardly seen from outside."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.ledger.till import EUR, MAY, Till

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger import hold
from marketbill.ledger.operations import account_terms, correction, correction_limit, period

TABLES = ("ledger_account_change", "ledger_correction", "ledger_correction_limit", "ledger_hold", "ledger_period")


@pytest.fixture
async def two(till: Till, db: Database) -> tuple[Till, Till]:
    """Two tenants, each with a row in every table."""
    other = Till(db, PlatformId(new_id()))
    for one in (till, other):
        [wrong, _] = await one.post(one.charge(200_000), one.release(1_000))
        who = {"by": "key_anna", "reason": "a story"}
        await one.do(correction.request, wrong, **who)
        await one.do(correction_limit.set_limit, currency=EUR, amount=5, **who)
        await one.do(account_terms.freeze, (await one.account(one.psp)).id, **who)
        await one.do(hold.place, one.set_aside(10))
        await one.do(period.close, until=MAY + timedelta(days=31), by="key_anna")
    return till, other


@pytest.fixture
async def system(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url, server_settings={"role": "marketbill_system"})
    yield connection
    await connection.close()


@pytest.mark.parametrize("table", TABLES)
async def test_a_tenant_sees_and_writes_its_own_rows_only(two: tuple[Till, Till], table: str) -> None:
    one, other = two
    for till in two:
        async with till.db.read(till.platform) as scope:
            assert await scope.scalar(text(f"select array_agg(distinct platform_id) from {table}")) == [till.platform]
    async with one.db.write(PlatformId(new_id())) as scope:
        assert await scope.scalar(text(f"select count(*) from {table}")) == 0
    with pytest.raises(DBAPIError, match="row-level security"):
        async with one.db.write(one.platform) as scope:
            await scope.run(
                text(
                    f"insert into {table} select (jsonb_populate_record(t, jsonb_build_object('platform_id',"
                    f" cast(:other as text)))).* from {table} t"
                ),
                {"other": str(other.platform)},
            )


@pytest.mark.parametrize("table", ["ledger_account_change", "ledger_correction_limit", "ledger_period"])
@pytest.mark.parametrize("statement", ["update {} set platform_id = platform_id", "delete from {}", "truncate {}"])
async def test_what_was_done_stands(two: tuple[Till, Till], table: str, statement: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with two[0].db.write(two[0].platform) as scope:
            await scope.run(text(statement.format(table)))


@pytest.mark.parametrize("statement", ["delete from ledger_correction", "truncate ledger_correction"])
async def test_a_correction_cannot_be_removed(two: tuple[Till, Till], statement: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with two[0].db.write(two[0].platform) as scope:
            await scope.run(text(statement))


async def test_background_loops_see_what_waits_and_nothing_else(
    two: tuple[Till, Till], system: asyncpg.Connection, subtests: pytest.Subtests
) -> None:
    platforms = {till.platform for till in two}
    for shown in ("platform_id, expires_at from ledger_hold", "platform_id, requested_at from ledger_correction"):
        assert {row["platform_id"] for row in await system.fetch(f"select {shown}")} == platforms
    for hidden in (
        *("amounts from ledger_correction", "reason from ledger_correction", "entry_id from ledger_correction"),
        *("* from ledger_account_change", "* from ledger_correction_limit", "* from ledger_period"),
    ):
        with subtests.test(hidden=hidden), pytest.raises(asyncpg.InsufficientPrivilegeError):
            await system.fetch(f"select {hidden}")
    for written in ("ledger_hold", "ledger_correction"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await system.execute(f"delete from {written}")
