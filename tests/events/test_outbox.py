"""The outbox: a job is owed exactly when its transaction was, and handed on at least once."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from marketbill.db import Database
from marketbill.events import outbox
from marketbill.events.outbox import Job
from marketbill.ids import PlatformId


class Died(Exception):
    """What ends a transaction in the middle."""


async def owe(db: Database, platform: PlatformId, *actors: str) -> None:
    async with db.write(platform) as scope:
        for actor in actors:
            await outbox.enqueue(scope, actor, str(platform))


async def taken(db: Database, limit: int = 100) -> list[str]:
    sent: list[Job] = []
    async with db.system() as scope:
        await outbox.relay(scope, sent.extend, limit)
    return [job.actor for job in sent]


async def test_a_job_is_handed_on_once_and_then_gone(db: Database, platform: PlatformId) -> None:
    sent: list[Job] = []
    await owe(db, platform, "execute_transfers")
    async with db.system() as scope:
        assert await outbox.relay(scope, sent.extend) == 1
    assert sent == [Job("execute_transfers", (str(platform),))]
    assert await taken(db) == []


async def test_a_transaction_that_failed_owes_nothing(db: Database, platform: PlatformId) -> None:
    with pytest.raises(Died):
        async with db.write(platform) as scope:
            await outbox.enqueue(scope, "execute_transfers", str(platform))
            raise Died
    assert await taken(db) == []


async def test_equal_jobs_are_sent_as_one(db: Database, platform: PlatformId) -> None:
    await owe(db, platform, "a", "b", "a", "a")
    sent: list[Job] = []
    async with db.system() as scope:
        assert await outbox.relay(scope, sent.extend) == 4
    assert [job.actor for job in sent] == ["a", "b"]


async def test_a_job_for_later_waits(db: Database, platform: PlatformId) -> None:
    async with db.write(platform) as scope:
        await outbox.enqueue(scope, "later", after=timedelta(minutes=5))
    assert await taken(db) == []
    sent: list[Job] = []
    async with db.system() as scope:
        scope.now += timedelta(minutes=5)
        await outbox.relay(scope, sent.extend)
    assert sent == [Job("later", ())]


async def test_when_the_broker_fails_nothing_is_lost(db: Database, platform: PlatformId) -> None:
    await owe(db, platform, "a")

    async def fail(jobs: Sequence[Job]) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        async with db.system() as scope:
            await outbox.relay(scope, fail)
    assert await taken(db) == ["a"]


async def test_two_relays_at_once_take_different_messages(db: Database, platform: PlatformId) -> None:
    await owe(db, platform, "a", "b", "c", "d")
    one: list[Job] = []
    two: list[Job] = []
    async with db.system() as first, db.system() as second:
        assert await outbox.relay(first, one.extend, 2) == 2
        assert await outbox.relay(second, two.extend, 100) == 2
    assert sorted(job.actor for job in one + two) == ["a", "b", "c", "d"]
    assert await taken(db) == []


async def test_a_limit_bounds_what_is_taken(db: Database, platform: PlatformId) -> None:
    await owe(db, platform, "a", "b", "c")
    assert await taken(db, 2) == ["a", "b"]
    assert await taken(db, 2) == ["c"]


async def test_a_platforms_jobs_are_handed_on_in_the_order_of_its_transactions(
    db: Database, platform: PlatformId
) -> None:
    actors = [f"job_{number}" for number in (3, 1, 2, 5, 4)]
    for actor in actors[:3]:
        await owe(db, platform, actor)
    await owe(db, platform, *actors[3:])  # at one instant: then in the order in which they were owed
    assert await taken(db, 2) + await taken(db) == actors


async def test_a_system_loop_owes_jobs_to_many_platforms(db: Database, platform: PlatformId) -> None:
    async with db.system() as scope:
        await outbox.enqueue_for(scope, [])
        await outbox.enqueue_for(scope, [(platform, "a", ("x",)), (platform, "b", ())])
    assert await taken(db) == ["a", "b"]
