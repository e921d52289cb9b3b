"""Fixtures of every test: one embedded PostgreSQL for the whole run, a fresh database for each test that asks.

With pytest-xdist the controlling process owns the server, because it outlives every worker; otherwise the session does.
A template database is migrated once; a test's database is a copy of its files, made in some ten milliseconds.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import uuid
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis
import pytest
from tests import wire
from tests.wire_children import Children

from marketbill import migrate
from marketbill.embedded.postgres import EmbeddedPostgres
from marketbill.embedded.provision import LOGIN_ROLE, provision
from marketbill.embedded.valkey import EmbeddedValkey

TEMPLATE = "marketbill_template"
#: Serialises the making of the template by the workers of one run.
_TEMPLATE_LOCK_KEY = 7_305_118_843
_SERVER = pytest.StashKey["SharedServer"]()
_CHILDREN = pytest.StashKey[Children]()

# An example may be slow because the machine is busy; that is no failure.
hypothesis.settings.register_profile("marketbill", deadline=None)
hypothesis.settings.load_profile("marketbill")


class SharedServer:
    """The run's PostgreSQL in a temporary folder."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="marketbill-tests-"))
        self._postgres = EmbeddedPostgres(self._folder / "postgres", durable=False)
        self._postgres.start()
        self.address = self._postgres.url(driver="postgresql", database="{database}", user="{user}")

    def stop(self) -> None:
        self._postgres.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


class PostgresServer:
    """The run's server as a test sees it. `run` awaits a coroutine from a test that is not async, or is."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connection: asyncpg.Connection = self.run(asyncpg.connect(self.url()))

    def url(self, *, database: str = "postgres", user: str = "postgres") -> str:
        return self._address.format(database=database, user=user)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def execute(self, statement: str) -> None:
        """Run one statement as the superuser in the maintenance database."""
        self.run(self._connection.execute(statement))

    def close(self) -> None:
        self.run(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def pytest_configure(config: pytest.Config) -> None:
    folder = wire.folder_at_hand()
    runs_workers = getattr(config.option, "dist", "no") != "no" and not hasattr(config, "workerinput")
    if folder is not None and not runs_workers:
        wire.watch_sandboxes()
        config.stash[_CHILDREN] = Children(folder)


@pytest.fixture(scope="session")
def wire_children(request: pytest.FixtureRequest) -> Children | None:
    """The programs that tests start, where the specification is at hand."""
    return request.config.stash.get(_CHILDREN, None)


@pytest.fixture(autouse=True)
def published_wire(wire_children: Children | None) -> Iterator[None]:
    """Every exchange with a sandbox, in any test, is as the provider published it; a finding fails the test.

    That of a program which the test started counts too.
    """

    def taken() -> list[str]:
        return wire.findings_taken() + (wire_children.findings_taken() if wire_children is not None else [])

    taken()
    yield
    assert taken() == []


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by pytest-xdist in the controlling process for each worker it starts."""
    if _SERVER not in node.config.stash:
        node.config.stash[_SERVER] = SharedServer()
    node.workerinput["postgres_address"] = node.config.stash[_SERVER].address


def pytest_unconfigure(config: pytest.Config) -> None:
    server = config.stash.get(_SERVER, None)
    if server is not None:
        server.stop()
    children = config.stash.get(_CHILDREN, None)
    if children is not None:
        children.close()


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """The run's PostgreSQL, without durability."""
    worker_input = getattr(request.config, "workerinput", None)
    if worker_input is None:
        request.config.stash[_SERVER] = SharedServer()
    server = PostgresServer(worker_input["postgres_address"] if worker_input else request.config.stash[_SERVER].address)
    yield server
    server.close()


@pytest.fixture(scope="session")
def template_database(postgres_server: PostgresServer) -> str:
    """The name of a database that every migration ran on; do not write to it."""
    postgres_server.run(_make_template(postgres_server))
    return TEMPLATE


@pytest.fixture
def database_name(postgres_server: PostgresServer, template_database: str) -> Iterator[str]:
    """A fresh copy of the template for this test alone."""
    name = f"test_{uuid.uuid4().hex}"
    postgres_server.execute(f"create database {name} template {template_database} strategy file_copy")
    yield name
    postgres_server.execute(f"drop database {name} with (force)")


@pytest.fixture
def database_url(postgres_server: PostgresServer, database_name: str) -> str:
    """This test's database as the app sees it: through the login role, which cannot bypass row-level security."""
    return postgres_server.url(database=database_name, user=LOGIN_ROLE)


@pytest.fixture
def admin_url(postgres_server: PostgresServer, database_name: str) -> str:
    """This test's database (the same as `database_url`) as its owner."""
    return postgres_server.url(database=database_name)


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """One Valkey for each worker, without durability."""
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey"), durable=False) as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: EmbeddedValkey) -> str:
    """An empty broker for this test."""
    valkey_server.flush()
    return valkey_server.url()


async def _make_template(server: PostgresServer) -> None:
    # The template must not be connected to while it is copied, so everybody waits here until it is complete.
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute("select pg_advisory_lock($1)", _TEMPLATE_LOCK_KEY)
        if not await connection.fetchval("select true from pg_database where datname = $1 and datistemplate", TEMPLATE):
            await provision(server_url=server.url(), database=TEMPLATE)
            await migrate.upgrade(server.url(database=TEMPLATE))
            await connection.execute(f"alter database {TEMPLATE} is_template true")
    finally:
        await connection.close()
