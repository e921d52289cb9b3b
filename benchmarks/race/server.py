"""A PostgreSQL of the race's own, as `marketbill up` starts it, durable, in a folder that is thrown away."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from marketbill import migrate
from marketbill.embedded.postgres import EmbeddedPostgres
from marketbill.embedded.provision import LOGIN_ROLE, provision

DATABASE = "marketbill"
PEER_DATABASE = "peer"
SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "autovacuum",
)
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Server:
    """The server with the product's schema in `DATABASE` and an empty `PEER_DATABASE`."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres

    async def prepare(self) -> None:
        for database in (DATABASE, PEER_DATABASE):
            await provision(server_url=self.admin_url("postgres"), database=database)
        await migrate.upgrade(self._postgres.url(database=DATABASE))

    def admin_url(self, database: str) -> str:
        """The superuser's address of a database, for asyncpg."""
        return self._postgres.url(database=database, driver="postgresql")

    def app_url(self) -> str:
        """The product's database through the login role, which cannot bypass row-level security."""
        return self._postgres.url(database=DATABASE, user=LOGIN_ROLE)

    async def admin(self, database: str = DATABASE) -> asyncpg.Connection:
        return await asyncpg.connect(self.admin_url(database))

    def cpu_seconds(self) -> float:
        """Processor time of this server since its start: the postmaster, its children, and those that have ended."""
        postmaster = self._postgres.process.pid
        spent = 0
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue
                if int(entry.name) == postmaster:
                    spent += sum(map(int, fields[11:15]))  # its own and that of the children it has seen end
                elif int(fields[1]) == postmaster:
                    spent += int(fields[11]) + int(fields[12])
        return spent / _TICKS_PER_S


def machine_cpu_seconds() -> float:
    """Processor time that the whole machine has spent on anything, what was stolen from it included."""
    user, nice, system, _, _, irq, softirq, stolen = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + stolen) / _TICKS_PER_S


@contextmanager
def server() -> Iterator[Server]:
    with (
        tempfile.TemporaryDirectory(prefix="marketbill-race-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as postgres,
    ):
        yield Server(postgres)


async def settings(connection: asyncpg.Connection) -> dict[str, str]:
    """What durability and speed depend on, as the server has it."""
    rows = await connection.fetch("select name, current_setting(name) from unnest($1::text[]) as name", SETTINGS)
    return {row[0]: row[1] for row in rows}


async def wal_bytes(connection: asyncpg.Connection) -> int:
    """The place in the write-ahead log, in bytes since its beginning."""
    [row] = await connection.fetch("select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
    return row[0]


async def table_bytes(connection: asyncpg.Connection, tables: Sequence[str]) -> int:
    """Bytes of these tables with their indexes."""
    [row] = await connection.fetch(
        "select sum(pg_total_relation_size(name::regclass))::bigint from unnest($1::text[]) as name", tables
    )
    return row[0]
