"""The schedule's slots: one taker each."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from marketbill.db import Database
from marketbill.events import schedule
from marketbill.events.schedule import claim_slot, slot


class Died(Exception):
    """What ends a transaction in the middle."""


DUE = datetime(2026, 11, 22, 12, 1, tzinfo=UTC)


def test_a_slot_is_the_start_of_its_period() -> None:
    at = datetime(2026, 11, 22, 12, 1, 59, 999_999, tzinfo=UTC)
    assert slot(at, timedelta(minutes=1)) == DUE
    assert slot(at, timedelta(hours=1)) == datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert slot(DUE, timedelta(minutes=1)) == DUE


async def test_a_slot_is_taken_once_however_many_ask_at_once(db: Database) -> None:
    async def ask() -> bool:
        async with db.system() as scope:
            return await claim_slot(scope, "sweep", DUE)

    assert sorted(await asyncio.gather(*(ask() for _ in range(6)))) == [False] * 5 + [True]
    async with db.system() as scope:
        assert not await claim_slot(scope, "sweep", DUE)
        assert await claim_slot(scope, "prune", DUE)
        assert await claim_slot(scope, "sweep", DUE + timedelta(minutes=1))


async def test_a_slot_whose_jobs_were_not_enqueued_is_free_again(db: Database) -> None:
    with pytest.raises(Died):
        async with db.system() as scope:
            assert await claim_slot(scope, "sweep", DUE)
            raise Died
    async with db.system() as scope:
        assert await claim_slot(scope, "sweep", DUE)


async def test_old_slots_are_forgotten(db: Database) -> None:
    async with db.system() as scope:
        await claim_slot(scope, "sweep", scope.now - timedelta(days=3))
        await claim_slot(scope, "sweep", scope.now)
        await schedule.forget_old_slots(scope)
        assert await scope.connection.scalar(text("select count(*) from job_run")) == 1
