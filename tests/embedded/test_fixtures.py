"""The fixtures that every other test stands on."""

from __future__ import annotations

import asyncpg
import pytest

from marketbill.embedded.provision import LOGIN_ROLE


@pytest.mark.parametrize("round_number", range(2))
async def test_each_test_gets_an_empty_migrated_database(database_url: str, admin_url: str, round_number: int) -> None:
    owner = await asyncpg.connect(admin_url)
    app = await asyncpg.connect(database_url)
    try:
        assert await owner.fetchval("select current_database()") == await app.fetchval("select current_database()")
        assert await owner.fetchval("select count(*) from alembic_version") == 1
        await owner.execute("create table left_behind (round integer)")
        row = await app.fetchrow(
            "select current_user, rolsuper, rolbypassrls from pg_roles where rolname = current_user"
        )
        assert row is not None
        assert tuple(row) == (LOGIN_ROLE, False, False)
    finally:
        await app.close()
        await owner.close()


def test_the_broker_answers_and_is_empty(valkey_url: str) -> None:
    import redis

    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_the_broker_is_empty_again(valkey_url: str) -> None:
    import redis

    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")
