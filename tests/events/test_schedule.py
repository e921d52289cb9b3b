"""The schedule: each slot has one taker, and what was missed is made up for once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from marketbill.db import Database
from marketbill.events import schedule
from marketbill.events.schedule import Recurring, Slot, claim, coalesced, due, ensure, scheduled, slot

MINUTE = timedelta(minutes=1)
SWEEP = Recurring("sweep", MINUTE)
DUE = datetime(2026, 11, 22, 12, 1, tzinfo=UTC)


class Died(Exception):
    """What ends a transaction in the middle."""


def test_a_slot_is_the_start_of_its_period() -> None:
    at = datetime(2026, 11, 22, 12, 1, 59, 999_999, tzinfo=UTC)
    assert slot(at, MINUTE) == DUE
    assert slot(at, timedelta(hours=1)) == datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert slot(DUE, MINUTE) == DUE


@pytest.mark.parametrize(
    ("seconds", "due_at", "missed"), [(0, 0, 0), (59, 0, 0), (60, 60, 1), (3 * 3600 + 5, 3 * 3600, 180)]
)
def test_slots_that_were_missed_are_one(seconds: int, due_at: int, missed: int) -> None:
    assert coalesced(DUE, DUE + timedelta(seconds=seconds), MINUTE) == Slot(DUE + timedelta(seconds=due_at), missed)


def test_a_slot_of_an_odd_beginning_is_not_taken_before_it_began() -> None:
    assert coalesced(DUE + timedelta(seconds=7), DUE + timedelta(seconds=20), MINUTE).due_at == DUE + timedelta(
        seconds=7
    )


async def take(db: Database, job: str, *, later: timedelta = timedelta(0)) -> Slot | None:
    async with db.system() as scope:
        scope.now += later
        return await claim(scope, job)


async def known(db: Database, *recurring: Recurring) -> None:
    async with db.system() as scope:
        await ensure(scope, recurring)


async def test_a_new_job_is_due_at_once_and_then_in_its_next_period(db: Database) -> None:
    await known(db, SWEEP)
    assert await take(db, "sweep") is not None
    assert await take(db, "sweep") is None
    next_one = await take(db, "sweep", later=MINUTE)
    assert next_one is not None
    assert next_one.missed == 0
    assert await take(db, "unknown") is None


async def test_a_slot_is_taken_once_however_many_ask_at_once(db: Database) -> None:
    await known(db, SWEEP, Recurring("prune", timedelta(hours=1)))
    taken = await asyncio.gather(*(take(db, "sweep") for _ in range(6)))
    assert sum(one is not None for one in taken) == 1
    assert await take(db, "prune") is not None


async def test_while_one_instance_is_at_a_slot_another_passes_it_over_and_does_not_wait(db: Database) -> None:
    await known(db, SWEEP)
    async with db.system() as one, db.system() as other:
        assert await due(other, ["sweep"]) == {"sweep"}
        assert await claim(one, "sweep") is not None
        assert await claim(other, "sweep") is None


async def test_a_slot_whose_work_was_not_committed_is_due_still(db: Database) -> None:
    await known(db, SWEEP)
    with pytest.raises(Died):
        async with db.system() as scope:
            assert await claim(scope, "sweep") is not None
            raise Died
    assert await take(db, "sweep") is not None


async def test_after_a_downtime_one_run_makes_up_for_all(db: Database) -> None:
    await known(db, SWEEP)
    await take(db, "sweep")
    made_up = await take(db, "sweep", later=timedelta(hours=2))
    assert made_up is not None
    assert made_up.missed == 119
    assert await take(db, "sweep", later=timedelta(hours=2)) is None
    async with db.system() as scope:
        [row] = await scheduled(scope)
    assert (row.job, row.missed) == ("sweep", 119)


async def test_a_clock_that_was_set_back_stops_no_job(db: Database) -> None:
    await known(db, SWEEP)
    await take(db, "sweep", later=timedelta(days=3))
    assert await take(db, "sweep") is None
    await known(db, SWEEP)
    assert await take(db, "sweep", later=2 * MINUTE) is not None


async def test_a_period_that_changed_counts_from_the_next_slot_on(db: Database) -> None:
    await known(db, Recurring("sweep", timedelta(hours=1)))
    await take(db, "sweep")
    await known(db, SWEEP)
    assert await take(db, "sweep", later=2 * MINUTE) is not None


async def test_jobs_that_nobody_runs_any_more_are_forgotten(db: Database) -> None:
    await known(db, SWEEP)
    async with db.system() as scope:
        await schedule.forget_old_jobs(scope)
        assert [one.job for one in await scheduled(scope)] == ["sweep"]
        scope.now += timedelta(days=8)
        await schedule.forget_old_jobs(scope)
        assert await scheduled(scope) == []
