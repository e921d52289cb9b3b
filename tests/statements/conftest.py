"""Books for the tests of statements: a database handle and a platform of the test's own."""

from collections.abc import AsyncIterator

import pytest
from tests.market.fixtures import machine, market

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id

__all__ = ["machine", "market"]


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=4)
    yield database
    await database.dispose()


@pytest.fixture
def platform() -> PlatformId:
    return PlatformId(new_id())
