"""Idempotency keys: one outcome for a request, however often and however concurrently it comes."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from marketbill.db import Database, WriteScope
from marketbill.errors import IdempotencyConflict, InvalidInput
from marketbill.idempotency import keys
from marketbill.ids import PlatformId


class Died(Exception):
    """What ends a transaction in the middle."""


BODY = {"amount": 100, "currency": "EUR"}


async def claim(
    scope: WriteScope,
    *,
    actor: str = "key_1",
    operation: str = "pay",
    key: str = "k",
    body: Mapping[str, Any] = BODY,
    begins: UUID | None = None,
) -> keys.Claim:
    return await keys.claim(scope, actor=actor, operation=operation, key=key, body=body, begins=begins)


async def test_the_outcome_is_replayed(db: Database, platform: PlatformId) -> None:
    async with db.write(platform) as scope:
        first = await claim(scope)
        assert (first.replay, first.taken_over) == (None, False)
        await keys.finish(scope, first, {"id": "pay_1"})
    async with db.write(platform) as scope:
        assert (await claim(scope)).replay == {"id": "pay_1"}
        # The order of the fields is not the request.
        assert (await claim(scope, body=dict(reversed(BODY.items())))).replay == {"id": "pay_1"}


async def test_another_body_under_the_same_key_is_a_conflict(db: Database, platform: PlatformId) -> None:
    async with db.write(platform) as scope:
        await keys.finish(scope, await claim(scope), {})
        with pytest.raises(IdempotencyConflict) as conflict:
            await claim(scope, body={**BODY, "amount": 101})
    assert not conflict.value.in_progress
    assert not conflict.value.retryable


async def test_keys_of_others_and_of_other_operations_are_other_keys(db: Database, platform: PlatformId) -> None:
    other = PlatformId(uuid4())
    async with db.write(platform) as scope:
        await keys.finish(scope, await claim(scope), {})
        assert (await claim(scope, actor="key_2")).replay is None
        assert (await claim(scope, operation="refund")).replay is None
        assert (await claim(scope, key="k2")).replay is None
    async with db.write(other) as scope:
        assert (await claim(scope)).replay is None


async def test_a_second_request_waits_for_the_first_and_gets_its_outcome(db: Database, platform: PlatformId) -> None:
    claimed, may_end = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with db.write(platform) as scope:
            mine = await claim(scope)
            claimed.set()
            await may_end.wait()
            await keys.finish(scope, mine, {"id": "pay_1"})

    async def second() -> keys.Claim:
        await claimed.wait()
        async with db.write(platform) as scope:
            asyncio.get_running_loop().call_later(0.1, may_end.set)
            return await claim(scope)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first())
        waiting = tasks.create_task(second())
    assert waiting.result().replay == {"id": "pay_1"}


async def test_a_failed_transaction_frees_its_key(db: Database, platform: PlatformId) -> None:
    with pytest.raises(Died):
        async with db.write(platform) as scope:
            await claim(scope)
            raise Died
    async with db.write(platform) as scope:
        assert (await claim(scope, body={"other": 1})).replay is None


async def test_a_committed_claim_is_under_way_until_its_lease_ends(db: Database, platform: PlatformId) -> None:
    subject = UUID(int=7)
    async with db.write(platform) as scope:
        assert (await claim(scope, begins=subject)).subject_id is None
    async with db.write(platform) as scope:
        with pytest.raises(IdempotencyConflict) as conflict:
            await claim(scope)
        assert conflict.value.in_progress
        assert conflict.value.retryable
        scope.now += keys.LEASE
        taken = await claim(scope, begins=uuid4())
        assert (taken.taken_over, taken.subject_id, taken.replay) == (True, subject, None)
        with pytest.raises(IdempotencyConflict):
            await claim(scope)


async def test_a_dead_claim_is_taken_over_once(db: Database, platform: PlatformId) -> None:
    async with db.write(platform) as scope:
        await claim(scope)

    async def later() -> bool:
        async with db.write(platform) as scope:
            scope.now += keys.LEASE
            try:
                return (await claim(scope)).taken_over
            except IdempotencyConflict:
                return False

    assert sorted(await asyncio.gather(later(), later(), later())) == [False, False, True]


async def test_a_released_key_may_be_taken_at_once_and_a_finished_one_replays(
    db: Database, platform: PlatformId
) -> None:
    async with db.write(platform) as scope:
        await keys.release(scope, await claim(scope))
        again = await claim(scope)
        assert again.taken_over
        await keys.finish(scope, again, {"id": "x"})
        await keys.release(scope, again)
        assert (await claim(scope)).replay == {"id": "x"}


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_a_length(db: Database, platform: PlatformId, key: str) -> None:
    async with db.write(platform) as scope:
        with pytest.raises(InvalidInput) as refusal:
            await claim(scope, key=key)
    assert refusal.value.path == ("idempotencyKey",)


async def test_old_keys_are_forgotten_a_few_at_a_time(db: Database, platform: PlatformId) -> None:
    async with db.write(platform) as scope:
        scope.now -= timedelta(hours=49)
        for number in range(3):
            await claim(scope, key=f"old {number}")
        scope.now += timedelta(hours=2)
        await claim(scope, key="young")
    async with db.system() as scope:
        assert [await keys.prune(scope, limit=2) for _ in range(3)] == [2, 1, 0]
    async with db.write(platform) as scope:
        scope.now -= timedelta(hours=47)
        with pytest.raises(IdempotencyConflict):
            await claim(scope, key="young")
