"""A database of its own for each test, and a platform that exists only as an id."""

import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from tests.brokers.fixtures import queue
from tests.brokers.queues import Queue

from marketbill.db import Database
from marketbill.ids import PlatformId

__all__ = ["queue"]


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=4)
    yield database
    await database.dispose()


@pytest.fixture
def platform() -> PlatformId:
    return PlatformId(uuid4())


@pytest.fixture
def environment(database_url: str, queue: Queue, valkey_url: str) -> dict[str, str]:
    """The settings of a worker or relay process of this test, over each broker; its signs of life go to `SIGNS_URL`."""
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "BROKER_URL": queue.url,
        "TEST_QUEUE": queue.name,
        "SIGNS_URL": valkey_url,
        "MARKETBILL_SECRET_KEY": "a secret of the tests, 32 letters or more",
        "WORKER_PROCESSES": "1",
        "WORKER_THREADS": "2",
    }
