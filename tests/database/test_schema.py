"""The migrated schema is what the tables say, and every tenant's table stands behind its wall."""

import importlib
import pkgutil
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

import marketbill
from marketbill.db import async_url, metadata
from marketbill.embedded.provision import LOGIN_ROLE

#: Tables that belong to no tenant: Alembic's own, the sandbox's clock, the schedule, and public exchange rates.
NO_TENANT = {"alembic_version", "test_clock", "schedule", "exchange_rate"}
ROLES = ("marketbill_app", "marketbill_system", LOGIN_ROLE)


def import_all_models() -> None:
    for module in pkgutil.walk_packages(marketbill.__path__, "marketbill."):
        if module.name.endswith(".model"):
            importlib.import_module(module.name)


@pytest.fixture
async def admin(admin_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(admin_url)
    yield connection
    await connection.close()


async def tables(admin: asyncpg.Connection) -> list[str]:
    rows = await admin.fetch("select tablename from pg_tables where schemaname = 'public' order by 1")
    return [row["tablename"] for row in rows]


async def tenant_tables(admin: asyncpg.Connection) -> list[str]:
    return [table for table in await tables(admin) if table not in NO_TENANT]


async def test_the_migrations_build_exactly_the_tables(admin_url: str) -> None:
    import_all_models()

    def compare(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": False,
                "include_name": lambda name, type_, parents: not (type_ == "table" and name == "alembic_version"),
                "include_object": is_described,
            },
        )
        return compare_metadata(context, metadata)

    engine = create_async_engine(async_url(admin_url))
    async with engine.connect() as connection:
        differences = await connection.run_sync(compare)
    await engine.dispose()

    assert [str(one) for one in differences] == []


def is_described(thing: Any, name: str | None, type_: str, reflected: bool, compare_to: Any) -> bool:
    """Indexes, foreign keys and unique constraints are the migrations' own: the queries do not need their description.

    What is described in a model is compared all the same.
    """
    return not (reflected and compare_to is None and type_ in ("index", "foreign_key_constraint", "unique_constraint"))


async def test_every_column_is_as_nullable_and_as_keyed_as_described(admin: asyncpg.Connection) -> None:
    import_all_models()
    rows = await admin.fetch(
        """
        select c.table_name, c.column_name, c.is_nullable = 'YES' as nullable,
          exists (select from information_schema.key_column_usage k
                  join information_schema.table_constraints t using (constraint_schema, constraint_name)
                  where t.constraint_type = 'PRIMARY KEY' and k.table_name = c.table_name
                  and k.column_name = c.column_name) as keyed
        from information_schema.columns c where c.table_schema = 'public' and c.table_name <> 'alembic_version'
        """
    )
    found = {(row["table_name"], row["column_name"]): (row["nullable"], row["keyed"]) for row in rows}
    described = {
        (table.name, column.name): (bool(column.nullable), bool(column.primary_key))
        for table in metadata.tables.values()
        for column in table.columns
    }
    assert found == described


async def test_every_tenant_table_is_keyed_by_its_tenant_first(admin: asyncpg.Connection) -> None:
    rows = await admin.fetch(
        """
        select c.relname as table, con.contype::text as kind, con.conname as name,
          (select attname from pg_attribute where attrelid = c.oid and attnum = con.conkey[1]) as first_column
        from pg_constraint con join pg_class c on c.oid = con.conrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and con.contype in ('p', 'u', 'f')
        """
    )
    wanted = set(await tenant_tables(admin))
    found = [row for row in rows if row["table"] in wanted]
    assert {row["table"] for row in found if row["kind"] == "p"} == wanted
    assert [dict(row) for row in found if row["first_column"] != "platform_id"] == []


async def test_every_tenant_table_has_row_security_forced(admin: asyncpg.Connection) -> None:
    rows = await admin.fetch(
        """
        select c.relname, c.relrowsecurity and c.relforcerowsecurity as walled,
          exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant'
            and pg_get_expr(p.polqual, p.polrelid) like '%app.platform_id%'
            and pg_get_expr(p.polwithcheck, p.polrelid) like '%app.platform_id%') as has_policy
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind = 'r'
        """
    )
    walls = {row["relname"]: (row["walled"], row["has_policy"]) for row in rows}
    assert {table: walls[table] for table in await tenant_tables(admin)} == dict.fromkeys(
        await tenant_tables(admin), (True, True)
    )


async def test_the_apps_roles_own_nothing_and_bypass_nothing(admin: asyncpg.Connection) -> None:
    for role in ROLES:
        row = await admin.fetchrow(
            "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = $1", role
        )
        assert row is not None
        assert not any(row.values()), role
        owned = "select count(*) from pg_class where relowner = (select oid from pg_roles where rolname = $1)"
        assert await admin.fetchval(owned, role) == 0
        for table in await tables(admin):
            for right in ("truncate", "references", "trigger"):
                assert not await admin.fetchval("select has_table_privilege($1, $2, $3)", role, table, right)
        assert not await admin.fetchval("select has_schema_privilege($1, 'public', 'create')", role)


async def test_books_can_be_written_and_never_changed(admin: asyncpg.Connection) -> None:
    for table in (
        *("journal_entry", "posting", "ledger_period", "ledger_account_change", "ledger_correction_limit"),
        *("payment_line", "payment_share", "tax_line"),
    ):
        rights = [
            right
            for right in ("select", "insert", "update", "delete")
            if await admin.fetchval("select has_table_privilege('marketbill_app', $1, $2)", table, right)
        ]
        assert rights == ["select", "insert"], table


async def test_nothing_that_a_tenant_owns_can_be_deleted_but_what_is_passing(admin: asyncpg.Connection) -> None:
    deletable = [
        table
        for table in await tables(admin)
        if await admin.fetchval("select has_table_privilege('marketbill_app', $1, 'delete')", table)
    ]
    assert set(deletable) <= {"idempotency_key", "outbox_message", "inbox_event", "ledger_hold", "fee_schedule"}
