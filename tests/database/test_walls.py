"""The second wall: raw SQL as the app's own roles sees one tenant, or the few tables it was shown, and nothing else."""

import socket
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.db import Database
from marketbill.errors import Unavailable
from marketbill.ids import PlatformId, new_id

TENANT_TABLES = (
    "platform",
    "api_key",
    "provider_credential",
    "fee_schedule",
    "idempotency_key",
    "seller",
    "payment",
    "payment_line",
    "payment_share",
    "provider_intent",
    "provider_attempt",
    "ledger_account",
    "journal_entry",
    "posting",
)


@pytest.fixture
async def two(machine: Machine) -> tuple[Market, Market]:
    """Two tenants with a booked sale each."""
    one, other = await machine.platform(name="One"), await machine.platform(name="Other")
    for market in (one, other):
        await market.seller("A", onboard=None)
        await market.sale(market.line("A", 5000))
    return one, other


@pytest.fixture
async def app(two: tuple[Market, Market], database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A raw connection as the app's role, as an injected statement would have it."""
    connection = await asyncpg.connect(database_url, server_settings={"role": "marketbill_app"})
    yield connection
    await connection.close()


async def name_tenant(connection: asyncpg.Connection, platform: PlatformId | str) -> None:
    await connection.execute("select set_config('app.platform_id', $1, false)", str(platform))


async def owners(connection: asyncpg.Connection, table: str) -> set[UUID]:
    return {row["platform_id"] for row in await connection.fetch(f"select distinct platform_id from {table}")}


async def test_a_tenant_sees_its_own_rows_only(two: tuple[Market, Market], app: asyncpg.Connection) -> None:
    for market in two:
        await name_tenant(app, market.platform)
        for table in TENANT_TABLES:
            assert await owners(app, table) == {market.platform}, table


async def test_without_a_tenant_there_is_nothing(app: asyncpg.Connection) -> None:
    for table in TENANT_TABLES:
        assert await owners(app, table) == set(), table
    for nobody in ("", str(new_id())):
        await name_tenant(app, nobody)
        for table in TENANT_TABLES:
            assert await owners(app, table) == set(), table
    await name_tenant(app, "' or true --")
    with pytest.raises(asyncpg.DataError):
        await owners(app, "payment")


async def test_another_tenants_rows_cannot_be_written(two: tuple[Market, Market], app: asyncpg.Connection) -> None:
    one, other = two
    await name_tenant(app, one.platform)
    untouched = await app.execute("update payment set gross = 1 where platform_id = $1", other.platform)
    assert untouched == "UPDATE 0"
    assert await app.execute("delete from idempotency_key where platform_id = $1", other.platform) == "DELETE 0"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute(
            "insert into buyer (platform_id, id, name, created_at, updated_at) values ($1, $2, 'x', now(), now())",
            other.platform,
            new_id(),
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("update payment set platform_id = $1", other.platform)


async def test_the_wall_cannot_be_taken_down(
    two: tuple[Market, Market], app: asyncpg.Connection, subtests: pytest.Subtests
) -> None:
    for statement in [
        "set row_security = off; select * from payment",
        "set role postgres",
        "set session authorization postgres",
        "alter table payment no force row level security",
        "alter table payment disable row level security",
        "drop policy tenant on payment",
        "create policy all_of_it on payment using (true)",
        "truncate payment",
        "delete from posting",
        "update posting set amount = 1",
        "delete from provider_attempt",
        "update provider_attempt set started_at = now()",
        "alter role marketbill_app bypassrls",
        "create table public.mine (id int)",
        "update test_clock set shift_seconds = 1",
    ]:
        with subtests.test(statement=statement):
            await name_tenant(app, two[0].platform)
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidAuthorizationSpecificationError)):
                await app.execute(statement)


async def test_the_system_role_sees_only_what_it_was_shown(
    two: tuple[Market, Market], database_url: str, subtests: pytest.Subtests
) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"role": "marketbill_system"})
    try:
        platforms = {market.platform for market in two}
        for table in ("platform", "payment", "provider_intent", "inbox_event"):
            assert await owners(connection, table) == platforms, table
        for hidden in (
            *("* from api_key", "* from provider_credential", "* from buyer", "* from payment_line"),
            *("* from posting", "* from journal_entry", "amount from payout", "country from platform"),
            *("name from seller", "gross from payment", "client_secret from payment", "amount from transfer"),
            *("request from provider_intent", "message from provider_attempt"),
            *("raw from inbox_event", "outcome from idempotency_key"),
        ):
            with subtests.test(hidden=hidden), pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select {hidden}")
        for written in ("payment", "platform", "transfer", "payout"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"update {written} set platform_id = platform_id")
    finally:
        await connection.close()


async def test_the_login_role_alone_sees_nothing(two: tuple[Market, Market], database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await name_tenant(connection, two[0].platform)
        for table in TENANT_TABLES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select * from {table}")
    finally:
        await connection.close()


async def test_a_read_scope_cannot_write(market: Market) -> None:
    with pytest.raises(Exception, match="read-only"):
        async with market.machine.services.db.read(market.platform) as scope:
            await scope.connection.exec_driver_sql("update platform set name = 'x'")


async def test_a_dead_database_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    database = Database(f"postgresql://nobody@127.0.0.1:{port}/nothing")
    try:
        for scope in (database.read(PlatformId(new_id())), database.write(PlatformId(new_id())), database.system()):
            with pytest.raises(Unavailable) as refused:
                async with scope:
                    pass
            assert refused.value.retryable
    finally:
        await database.dispose()


async def test_a_connection_that_dies_is_unavailable_and_the_next_one_works(market: Market, admin_url: str) -> None:
    database = market.machine.services.db
    with pytest.raises(Unavailable):
        await die_within(database, market.platform, admin_url)
    async with database.read(market.platform) as scope:
        assert await scope.scalar(text("select 1")) == 1


async def die_within(database: Database, platform: PlatformId, admin_url: str) -> None:
    """A transaction whose connection the server ends; it returns from `pg_terminate_backend` when that has happened."""
    admin = await asyncpg.connect(admin_url)
    try:
        async with database.read(platform) as scope:
            pid = await scope.scalar(text("select pg_backend_pid()"))
            assert await admin.fetchval("select pg_terminate_backend($1, 10000)", pid)
            await scope.scalar(text("select 1"))
    finally:
        await admin.close()
