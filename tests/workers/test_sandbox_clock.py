"""The platforms' time follows the sandbox's, also when it is moved by somebody else than the command."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import aiohttp
import pytest
from tests.market.serving import address, free_socket, serving

from marketbill.db import Database
from marketbill.sandbox.app import create_app
from marketbill_workers import sandbox_clock
from marketbill_workers.sandbox_clock import SandboxAway


@pytest.fixture
async def sandbox() -> AsyncIterator[str]:
    listening = free_socket()
    async with serving(create_app(None, base_url=address(listening)), listening):
        yield address(listening)


async def moved(sandbox: str, **by: int) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{sandbox}/_sandbox/clock", json={"advance_seconds": int(timedelta(**by).total_seconds())}
        ) as answer,
    ):
        assert answer.status == 200


async def now(db: Database) -> datetime:
    async with db.system() as scope:
        return scope.now


async def test_time_is_moved_forward_once_and_never_back(db: Database, sandbox: str) -> None:
    before = await now(db)
    assert not await sandbox_clock.follow(db, sandbox)
    await moved(sandbox, days=3)
    assert await sandbox_clock.follow(db, sandbox)
    assert not await sandbox_clock.follow(db, sandbox)
    assert timedelta(days=3) <= await now(db) - before < timedelta(days=3, minutes=5)

    elsewhere = free_socket()
    async with serving(create_app(None, base_url=address(elsewhere)), elsewhere):
        await moved(address(elsewhere), days=1)
        assert not await sandbox_clock.follow(db, address(elsewhere))
    assert await now(db) - before >= timedelta(days=3)


async def test_a_sandbox_that_is_away_moves_nothing(db: Database) -> None:
    listening = free_socket()
    url = address(listening)
    listening.close()
    with pytest.raises(SandboxAway):
        await sandbox_clock.follow(db, url)
