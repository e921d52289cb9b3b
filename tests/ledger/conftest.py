"""Books for the ledger's tests: a database handle and a platform of the test's own."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import event
from tests.ledger.moves import Operator
from tests.ledger.till import Till

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger.group_commit import GroupCommit


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=4)
    yield database
    await database.dispose()


@pytest.fixture
def platform() -> PlatformId:
    return PlatformId(new_id())


@pytest.fixture
async def operator(admin_url: str) -> AsyncIterator[Operator]:
    async with Operator.of(admin_url) as one:
        yield one


@pytest.fixture
async def books(db: Database) -> AsyncIterator[GroupCommit]:
    async with GroupCommit(db) as one:
        yield one


@pytest.fixture
async def other_process(database_url: str) -> AsyncIterator[GroupCommit]:
    """A second process's books, over connections of its own."""
    db = Database(database_url)
    async with GroupCommit(db) as one:
        yield one
    await db.dispose()


@pytest.fixture
def statements(db: Database) -> list[str]:
    """What goes over the lanes, a round trip each."""
    seen: list[str] = []

    def watch(connection: Any, _: object) -> None:
        connection.driver_connection.add_query_logger(lambda query: seen.append(query.query))

    event.listen(db.lanes.sync_engine, "connect", watch)
    return seen


@pytest.fixture
def till(db: Database, platform: PlatformId) -> Till:
    return Till(db, platform)
