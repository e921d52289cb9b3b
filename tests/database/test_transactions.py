"""Transactions: a connection is pooled only when its transaction has ended for certain, and no value is forgotten."""

import asyncio
import random

import asyncpg
import pytest
from sqlalchemy import bindparam, select, text

from marketbill.db import Database, TransactionFailed
from marketbill.errors import Unavailable
from marketbill.ids import PlatformId, new_id
from marketbill.platforms.model import platform as platforms
from marketbill.prepared import prepared

STATE = text("select current_setting('transaction_read_only'), current_setting('app.platform_id')")
BY_ID = prepared(select(platforms.c.name).where(platforms.c.platform_id == bindparam("platform")))


@pytest.fixture
def tenant() -> PlatformId:
    return PlatformId(new_id())


async def test_a_task_that_is_cancelled_anywhere_leaves_no_open_transaction(
    database_url: str, tenant: PlatformId
) -> None:
    db = Database(database_url, pool_size=2)
    other = PlatformId(new_id())
    chance = random.Random(7)

    async def reads() -> None:
        async with db.read(other) as scope:
            await scope.rows(STATE)

    try:
        for _ in range(150):
            task = asyncio.create_task(reads())
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with db.write(tenant) as scope:
                assert tuple((await scope.rows(STATE))[0]) == ("off", str(tenant))
    finally:
        await db.dispose()


async def test_a_swallowed_error_does_not_pass_for_a_commit(database_url: str, tenant: PlatformId) -> None:
    db = Database(database_url, pool_size=1)
    try:
        with pytest.raises(TransactionFailed):
            async with db.write(tenant) as scope:
                with pytest.raises(asyncpg.DivisionByZeroError):
                    await scope.rows(prepared(text("select 1 / 0")))
        async with db.write(tenant) as scope:
            assert await scope.scalar(text("select 1")) == 1
    finally:
        await db.dispose()


async def test_a_read_sees_one_state_throughout(database_url: str, tenant: PlatformId) -> None:
    db = Database(database_url, pool_size=2)
    count = text("select count(*) from idempotency_key")
    insert = text(
        "insert into idempotency_key (platform_id, actor, operation, key, body_hash, claimed_at)"
        " values (:platform, 'a', 'o', 'k', '', :now)"
    )
    try:
        async with db.read(tenant) as reading:
            before = await reading.scalar(count)
            async with db.write(tenant) as writing:
                await writing.run(insert, {"platform": tenant, "now": writing.now})
            assert await reading.scalar(count) == before == 0
        async with db.read(tenant) as reading:
            assert await reading.scalar(count) == 1
    finally:
        await db.dispose()


async def test_two_that_wait_for_each_other_are_told_to_try_again(database_url: str, tenant: PlatformId) -> None:
    db = Database(database_url, pool_size=2)
    lock = text("select pg_advisory_xact_lock(:number)")
    ready = asyncio.Barrier(2)

    async def holds(first: int, second: int) -> None:
        async with db.write(tenant) as scope:
            await scope.rows(lock, {"number": first})
            await ready.wait()
            await scope.rows(lock, {"number": second})

    try:
        ends = await asyncio.gather(holds(1, 2), holds(2, 1), return_exceptions=True)
    finally:
        await db.dispose()
    assert [type(end) for end in ends if end is not None] == [Unavailable]


async def test_a_forgotten_or_misspelt_value_is_no_null(database_url: str, tenant: PlatformId) -> None:
    db = Database(database_url, pool_size=1)
    try:
        async with db.read(tenant) as scope:
            with pytest.raises(KeyError):
                await scope.rows(BY_ID, {})
            with pytest.raises(TypeError, match="platfrom"):
                await scope.rows(BY_ID, {"platform": tenant, "platfrom": tenant})
            assert await scope.rows(BY_ID, {"platform": tenant}) == []
    finally:
        await db.dispose()
