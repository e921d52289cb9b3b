"""A database of its own for each test, and a platform that exists only as an id."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from marketbill.db import Database
from marketbill.ids import PlatformId


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=4)
    yield database
    await database.dispose()


@pytest.fixture
def platform() -> PlatformId:
    return PlatformId(uuid4())
