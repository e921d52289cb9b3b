"""What a new PostgreSQL server needs before migrations can run: the login role of the app, and a database."""

from __future__ import annotations

import asyncpg

#: The role the app logs in as. It owns nothing and cannot bypass row-level security.
LOGIN_ROLE = "marketbill_login"
#: Serialises provisioning by several processes; any number that nobody else uses.
_LOCK_KEY = 7_305_118_842


async def provision(*, server_url: str, database: str) -> None:
    """Create the login role and the database when they are missing. `server_url` is the superuser's, for asyncpg.

    Safe to run twice, and by two processes at once.
    """
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK_KEY)
        if not await connection.fetchval("select true from pg_roles where rolname = $1", LOGIN_ROLE):
            rights = "login noinherit nosuperuser nocreatedb nocreaterole nobypassrls"
            await connection.execute(f"create role {LOGIN_ROLE} {rights}")
        if not await connection.fetchval("select true from pg_database where datname = $1", database):
            await connection.execute(f'create database "{database}"')
    finally:
        await connection.close()
