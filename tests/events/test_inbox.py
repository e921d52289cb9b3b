"""The inbox: each event once, oldest first, to one worker at a time, again after a failure."""

from datetime import UTC, datetime, timedelta

import pytest

from marketbill.db import Database
from marketbill.events import inbox
from marketbill.ids import PlatformId
from marketbill.provider.objects import ProviderEvent


class Died(Exception):
    """What ends a transaction in the middle."""


OCCURRED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def event(id: str, *, seconds: int = 0) -> ProviderEvent:
    return ProviderEvent(
        id=id,
        type="charge.updated",
        account=None,
        created=OCCURRED + timedelta(seconds=seconds),
        livemode=False,
        object={"id": "ch_1"},
        previous=None,
    )


async def store(db: Database, platform: PlatformId, *events: ProviderEvent) -> list[bool]:
    async with db.write(platform) as scope:
        stored = [await inbox.store(scope, [(item, item.id.encode())]) for item in events]
    return [item.id in kept for item, kept in zip(events, stored, strict=True)]


async def test_an_event_is_kept_once(db: Database, platform: PlatformId) -> None:
    assert await store(db, platform, event("evt_1"), event("evt_1")) == [True, False]
    assert await store(db, platform, event("evt_1")) == [False]


async def test_the_same_id_at_another_platform_is_another_event(db: Database, platform: PlatformId) -> None:
    other = PlatformId(type(platform)(int=platform.int ^ 1))
    assert await store(db, platform, event("evt_1")) == [True]
    assert await store(db, other, event("evt_1")) == [True]


async def test_waiting_events_come_oldest_first_with_their_bodies(db: Database, platform: PlatformId) -> None:
    await store(db, platform, event("evt_new", seconds=9), event("evt_b"), event("evt_a"))
    async with db.write(platform) as scope:
        claimed = await inbox.claim(scope, 10)
    assert [item.id for item in claimed] == ["evt_a", "evt_b", "evt_new"]
    assert [item.raw for item in claimed] == [b"evt_a", b"evt_b", b"evt_new"]
    assert {item.attempts for item in claimed} == {1}


async def test_two_workers_at_once_get_different_events(db: Database, platform: PlatformId) -> None:
    await store(db, platform, *(event(f"evt_{number}", seconds=number) for number in range(6)))
    async with db.write(platform) as one, db.write(platform) as two:
        first = await inbox.claim(one, 4)
        second = await inbox.claim(two, 4)  # does not wait for the first transaction
    assert [item.id for item in first] == ["evt_0", "evt_1", "evt_2", "evt_3"]
    assert [item.id for item in second] == ["evt_4", "evt_5"]


async def test_a_claimed_event_comes_back_when_its_lease_is_over(db: Database, platform: PlatformId) -> None:
    await store(db, platform, event("evt_1"))
    async with db.write(platform) as scope:
        assert len(await inbox.claim(scope, 10)) == 1
    async with db.write(platform) as scope:
        assert await inbox.claim(scope, 10) == []
        scope.now += inbox.CLAIM_LEASE
        [again] = await inbox.claim(scope, 10)
    assert again.attempts == 2


async def test_a_worker_that_dies_in_its_transaction_leaves_the_event(db: Database, platform: PlatformId) -> None:
    await store(db, platform, event("evt_1"))
    with pytest.raises(Died):
        async with db.write(platform) as scope:
            await inbox.claim(scope, 10)
            raise Died
    async with db.write(platform) as scope:
        [again] = await inbox.claim(scope, 10)
    assert again.attempts == 1


async def test_a_handled_event_does_not_come_back(db: Database, platform: PlatformId) -> None:
    await store(db, platform, event("evt_1"), event("evt_2"))
    async with db.write(platform) as scope:
        await inbox.mark_handled(scope, ["evt_1"])
        assert [item.id for item in await inbox.claim(scope, 10)] == ["evt_2"]
        await inbox.mark_failed(scope, "evt_1", "too late", scope.now)
        assert await inbox.troubled(scope) == []


async def test_a_failed_event_is_tried_again_and_seen_until_an_operator_revives_it(
    db: Database, platform: PlatformId
) -> None:
    await store(db, platform, event("evt_1"))
    async with db.write(platform) as scope:
        await inbox.claim(scope, 10)
        await inbox.mark_failed(scope, "evt_1", "no such payment", scope.now + timedelta(seconds=4))
        assert await inbox.claim(scope, 10) == []
        scope.now += timedelta(seconds=4)
        assert len(await inbox.claim(scope, 10)) == 1
        await inbox.mark_failed(scope, "evt_1", "no such payment", None)
        scope.now += timedelta(days=30)
        assert await inbox.claim(scope, 10) == []
        [row] = await inbox.troubled(scope)
        assert (row.id, row.error, row.attempts) == ("evt_1", "no such payment", 2)
        assert await inbox.revive(scope, "evt_1")
        assert len(await inbox.claim(scope, 10)) == 1


async def test_an_event_that_ends_every_worker_is_parked_and_says_so(db: Database, platform: PlatformId) -> None:
    await store(db, platform, event("evt_1"))
    async with db.write(platform) as scope:
        for number in range(inbox.ATTEMPTS_MAX):
            [claimed] = await inbox.claim(scope, 10)
            assert claimed.untold == number
            scope.now += inbox.CLAIM_LEASE
        assert await inbox.claim(scope, 10) == []
        [row] = await inbox.troubled(scope)
        assert (row.next_attempt_at, row.attempts) == (None, inbox.ATTEMPTS_MAX)
        assert "without an end" in row.error
        assert await inbox.revive(scope, "evt_1")
        assert len(await inbox.claim(scope, 10)) == 1


async def test_an_event_that_said_what_is_wrong_and_then_ends_its_worker_is_parked_too(
    db: Database, platform: PlatformId
) -> None:
    await store(db, platform, event("evt_1"))
    async with db.write(platform) as scope:
        await inbox.claim(scope, 10)
        await inbox.mark_failed(scope, "evt_1", "no such payment", scope.now)
        [claimed] = await inbox.claim(scope, 10)
        assert claimed.untold == 0
        for _ in range(inbox.ATTEMPTS_MAX - 2):
            scope.now += inbox.CLAIM_LEASE
            assert len(await inbox.claim(scope, 10)) == 1
        scope.now += inbox.CLAIM_LEASE
        assert await inbox.claim(scope, 10) == []
        [row] = await inbox.troubled(scope)
        assert (row.next_attempt_at, row.error) == (None, "no such payment")


async def test_an_event_that_waited_out_an_outage_is_not_parked_for_the_next_lost_worker(
    db: Database, platform: PlatformId
) -> None:
    await store(db, platform, event("evt_1"))
    async with db.write(platform) as scope:
        for _ in range(2 * inbox.ATTEMPTS_MAX):
            assert len(await inbox.claim(scope, 10)) == 1
            await inbox.mark_failed(scope, "evt_1", "no answer", scope.now, attempts_most=inbox.ATTEMPTS_AWAY)
        for _ in range(inbox.ATTEMPTS_MAX - inbox.ATTEMPTS_AWAY):
            assert len(await inbox.claim(scope, 10)) == 1
            scope.now += inbox.CLAIM_LEASE
        assert await inbox.claim(scope, 10) == []


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 4), (2, 8), (10, 2048), (11, 3600), (19, 3600)])
def test_tries_become_rarer(attempts: int, seconds: int) -> None:
    assert inbox.retry_at(OCCURRED, attempts) == OCCURRED + timedelta(seconds=seconds)


def test_tries_end() -> None:
    assert inbox.retry_at(OCCURRED, inbox.ATTEMPTS_MAX) is None


async def test_a_parked_event_is_kept_with_its_reason_and_waits_for_an_operator(
    db: Database, platform: PlatformId
) -> None:
    async with db.write(platform) as scope:
        events = [(event("evt_1"), b"{}"), (event("evt_2"), b"{}")]
        assert await inbox.store(scope, events, parked={"evt_2": "another version"}) == {"evt_1", "evt_2"}
        assert [item.id for item in await inbox.claim(scope, 10)] == ["evt_1"]
        [row] = await inbox.troubled(scope)
        assert (row.id, row.error, row.next_attempt_at) == ("evt_2", "another version", None)
        assert await inbox.revive(scope, "evt_2")
        assert [item.id for item in await inbox.claim(scope, 10)] == ["evt_2"]


async def test_events_handled_long_ago_are_forgotten_and_no_others(db: Database, platform: PlatformId) -> None:
    await store(db, platform, *(event(f"evt_{number}") for number in range(4)))
    async with db.write(platform) as scope:
        await inbox.mark_handled(scope, ["evt_0", "evt_1", "evt_2"])
    async with db.system() as scope:
        scope.now += inbox.KEPT - timedelta(minutes=1)
        assert await inbox.prune(scope) == 0
        scope.now += timedelta(minutes=2)
        assert await inbox.prune(scope, limit=2) == 2
        assert await inbox.prune(scope, limit=2) == 1
        assert await inbox.prune(scope, limit=2) == 0
    async with db.write(platform) as scope:
        assert await inbox.known(scope, ["evt_0", "evt_3"]) == {"evt_3"}
