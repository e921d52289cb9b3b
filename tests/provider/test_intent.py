"""Intents: claimed by one worker, ended once, under a key that changes only when it must."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from marketbill import clock
from marketbill.db import Database
from marketbill.errors import StateConflict
from marketbill.ids import PlatformId, new_id
from marketbill.paging import PageRequest
from marketbill.provider import claim as claims
from marketbill.provider import ending, intervention
from marketbill.provider import intent as intents
from marketbill.provider.intent import Intent, IntentDraft, KeyUse
from marketbill.provider.model import IntentStatus
from marketbill.provider.port import Declined, Failure, Refused, Unknown
from marketbill.provider.retry import FOR_WANT_OF_FUNDS, Action

KIND = "create_transfer"
NO_FUNDS = Refused(Failure(400, "balance_insufficient", "text"))
NO_CAPABILITY = Refused(Failure(400, "insufficient_capabilities_for_transfer", "text"))
NO_ANSWER = Unknown(Failure(500, None, "text"))


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=4)
    yield database
    await database.dispose()


@pytest.fixture
def platform() -> PlatformId:
    return PlatformId(uuid4())


async def opened(db: Database, platform: PlatformId, *, send_now: bool = False) -> Intent:
    async with db.write(platform) as scope:
        return await intents.open_intent(
            scope, kind=KIND, subject_id=new_id(), request={"amount": 7}, send_now=send_now
        )


async def claimed(db: Database, platform: PlatformId, *, later: timedelta = timedelta(0)) -> list[Intent]:
    async with db.write(platform) as scope:
        scope.now += later
        return await claims.claim_due(scope, [KIND], 100)


async def test_a_caller_who_asks_at_once_is_left_alone_for_a_while(db: Database, platform: PlatformId) -> None:
    mine = await opened(db, platform, send_now=True)
    assert mine.key.startswith("mb_int_")
    assert not mine.look_up_first
    assert await claimed(db, platform) == []
    # He died: whoever takes over must look it up first, under the same key.
    [taken] = await claimed(db, platform, later=intents.CALLER_LEASE)
    assert (taken.id, taken.key, taken.request) == (mine.id, mine.key, {"amount": 7})
    assert taken.look_up_first
    assert taken.key_use(taken.created_at + timedelta(hours=22)) is KeyUse.SAME
    assert taken.key_use(taken.created_at + timedelta(hours=24)) is KeyUse.NEW


async def test_two_workers_at_once_claim_different_intents(db: Database, platform: PlatformId) -> None:
    async with db.write(platform) as scope:
        drafts = [IntentDraft(KIND, new_id(), {}) for _ in range(5)]
        everything = await intents.open_intents(scope, drafts, send_now=False)
    async with db.write(platform) as one, db.write(platform) as two:
        first = await claims.claim_due(one, [KIND], 3)
        second = await claims.claim_due(two, [KIND], 100)
    assert len(first) == 3
    assert {intent.id for intent in first} | {intent.id for intent in second} == {intent.id for intent in everything}
    assert not any(intent.look_up_first for intent in first + second)
    assert await claimed(db, platform) == []


async def test_a_claim_that_was_not_ended_is_looked_up_by_the_next(db: Database, platform: PlatformId) -> None:
    await opened(db, platform)
    [first] = await claimed(db, platform)
    [second] = await claimed(db, platform, later=claims.CLAIM_LEASE)
    assert (first.look_up_first, second.look_up_first) == (False, True)
    assert first.key == second.key
    assert second.attempts == 2


async def test_the_end_of_an_intent_is_recorded_once(db: Database, platform: PlatformId) -> None:
    await opened(db, platform)
    [intent] = await claimed(db, platform)
    async with db.write(platform) as scope:
        assert await ending.record_success(scope, intent, "tr_1")
        assert not await ending.record_success(scope, intent, "tr_1")
        assert not await ending.record_refusal(scope, intent, NO_FUNDS)
        assert not await ending.postpone(scope, intent, NO_ANSWER, retry_at=scope.now)
        assert not await ending.postpone(scope, intent, NO_FUNDS, retry_at=scope.now)
        known = await intents.get(scope, intent.id)
    assert known is not None
    assert (known.status, known.provider_id, known.last_error) == ("SUCCEEDED", "tr_1", None)
    assert await claimed(db, platform, later=timedelta(days=400)) == []


async def test_many_ends_in_one_statement(db: Database, platform: PlatformId) -> None:
    for _ in range(3):
        await opened(db, platform)
    one, two, three = await claimed(db, platform)
    async with db.write(platform) as scope:
        await ending.record_refusal(scope, two, NO_FUNDS)
        recorded = await ending.record_successes(scope, [(one, "tr_1"), (two, "tr_2"), (three, "tr_3")])
        subjects = await intents.for_subjects(scope, KIND, [one.subject_id, three.subject_id])
    assert recorded == {one.id, three.id}
    assert {intent.provider_id for intent in subjects} == {"tr_1", "tr_3"}


async def test_a_refusal_for_want_of_funds_is_tried_later_under_a_new_key(db: Database, platform: PlatformId) -> None:
    await opened(db, platform)
    [first] = await claimed(db, platform)
    async with db.write(platform) as scope:
        decision = await ending.record_failure(scope, first, NO_FUNDS, jitter=0)
    assert decision is not None
    assert (decision.action, decision.after) == (Action.AGAIN, timedelta(minutes=30))
    assert await claimed(db, platform, later=timedelta(minutes=29)) == []
    [second] = await claimed(db, platform, later=timedelta(minutes=30))
    assert second.key == f"{first.key}-2"
    assert not second.look_up_first


async def test_no_answer_is_tried_soon_under_the_same_key_after_a_look_up(db: Database, platform: PlatformId) -> None:
    await opened(db, platform)
    [first] = await claimed(db, platform)
    async with db.write(platform) as scope:
        await ending.record_failure(scope, first, NO_ANSWER, jitter=0)
    [second] = await claimed(db, platform, later=timedelta(seconds=5))
    assert second.key == first.key
    assert second.look_up_first
    async with db.write(platform) as scope:
        renewed = await claims.renew_key(scope, second)
    assert renewed.key == f"{first.key}-2"


async def test_what_waits_for_an_account_goes_when_the_account_changes(db: Database, platform: PlatformId) -> None:
    await opened(db, platform)
    [first] = await claimed(db, platform)
    async with db.write(platform) as scope:
        decision = await ending.record_failure(scope, first, NO_CAPABILITY, jitter=0, held_for="acct_1")
    assert decision is not None
    assert decision.action is Action.HOLD
    assert await claimed(db, platform, later=timedelta(days=6)) == []
    async with db.write(platform) as scope:
        assert await claims.let_go(scope, "acct_2") == 0
        assert await claims.let_go(scope, "acct_1") == 1
    [second] = await claimed(db, platform)
    assert second.key == f"{first.key}-2"


async def test_what_nobody_lets_go_is_tried_after_a_week(db: Database, platform: PlatformId) -> None:
    await opened(db, platform)
    [first] = await claimed(db, platform)
    async with db.write(platform) as scope:
        await ending.record_failure(scope, first, NO_CAPABILITY, jitter=0, held_for="acct_1")
    assert len(await claimed(db, platform, later=timedelta(days=7))) == 1


async def test_what_seems_free_already_is_tried_in_a_minute(db: Database, platform: PlatformId) -> None:
    await opened(db, platform)
    [first] = await claimed(db, platform)
    async with db.write(platform) as scope:
        await ending.record_failure(scope, first, NO_CAPABILITY, jitter=0, held_for="acct_1", seems_free=True)
    assert await claimed(db, platform, later=timedelta(seconds=59)) == []
    assert len(await claimed(db, platform, later=timedelta(seconds=61))) == 1


async def test_a_decline_is_final_and_keeps_the_payment_of_the_provider(db: Database, platform: PlatformId) -> None:
    intent = await opened(db, platform, send_now=True)
    declined = Declined(Failure(402, "card_declined", "text", decline_code="lost_card", payment_id="pi_1"))
    async with db.write(platform) as scope:
        decision = await ending.record_failure(scope, intent, declined, jitter=random.random())
        known = await intents.get(scope, intent.id)
    assert decision is not None
    assert decision.action is Action.FINAL
    assert known is not None
    assert (known.status, known.provider_id) == ("REFUSED", "pi_1")
    assert known.last_error == declined.failure.as_json()


async def test_a_bug_of_ours_is_given_up_seen_and_revived(db: Database, platform: PlatformId) -> None:
    await opened(db, platform)
    [intent] = await claimed(db, platform)
    wrong = Refused(Failure(400, "parameter_unknown", "text", param="colour"))
    async with db.write(platform) as scope:
        decision = await ending.record_failure(scope, intent, wrong, jitter=0)
        [seen] = (await intents.page(scope, PageRequest(), status=[IntentStatus.GAVE_UP])).rows
    assert decision is not None
    assert decision.action is Action.GIVE_UP
    assert (seen.id, seen.status) == (intent.id, "GAVE_UP")
    assert await claimed(db, platform, later=timedelta(days=400)) == []
    async with db.write(platform) as scope:
        await intervention.retry(scope, intent.id, by="key_1")
    [again] = await claimed(db, platform)
    assert again.look_up_first
    assert (again.key, again.attempts, again.tries) == (f"{intent.key}-2", 2, 1)


async def test_a_worker_whose_lease_is_over_records_no_failure_but_success(db: Database, platform: PlatformId) -> None:
    await opened(db, platform)
    [late] = await claimed(db, platform)
    [current] = await claimed(db, platform, later=claims.CLAIM_LEASE)
    async with db.write(platform) as scope:
        assert not await ending.record_refusal(scope, late, NO_FUNDS)
        assert not await ending.give_up(scope, late, NO_FUNDS)
        assert not await ending.postpone(scope, late, NO_ANSWER, retry_at=scope.now)
        assert not await ending.postpone(scope, late, NO_FUNDS, retry_at=scope.now)
        for error in (NO_FUNDS, NO_CAPABILITY, NO_ANSWER):
            assert await ending.record_failure(scope, late, error, jitter=0) is None
        with pytest.raises(Unknown):
            await claims.renew_key(scope, late)
        known = await intents.get(scope, late.id)
        assert known is not None
        assert (known.status, known.attempts, known.key) == ("UNKNOWN", 2, current.key)
        assert known.last_error is None
        assert await ending.record_success(scope, late, "tr_1")


@pytest.mark.parametrize("many", [False, True])
async def test_a_success_ends_even_an_intent_that_was_given_up(db: Database, platform: PlatformId, many: bool) -> None:
    await opened(db, platform)
    [intent] = await claimed(db, platform)
    async with db.write(platform) as scope:
        assert await ending.give_up(scope, intent, NO_ANSWER)
        if many:
            assert await ending.record_successes(scope, [(intent, "tr_1")]) == {intent.id}
        else:
            assert await ending.record_success(scope, intent, "tr_1")


async def test_no_call_is_begun_that_the_lease_may_not_outlast(
    db: Database, platform: PlatformId, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = await opened(db, platform)
    claims.check_lease(mine)
    [taken] = await claimed(db, platform)
    claims.check_lease(taken)
    later = clock.now() + claims.CLAIM_LEASE - claims.CALL_LONGEST + timedelta(seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    with pytest.raises(claims.LeaseOver):
        claims.check_lease(taken)


async def test_what_ended_or_began_since_it_was_looked_up_is_not_abandoned(db: Database, platform: PlatformId) -> None:
    await opened(db, platform)
    [late] = await claimed(db, platform)
    hours = timedelta(hours=7)
    async with db.write(platform) as scope:
        scope.now += hours
        seen = await intervention.load(scope, late.id)
        intervention.check_abandonable(seen, scope.now)
    async with db.write(platform) as scope:  # a worker who stood still for all that time tells what came of it
        scope.now += hours
        await ending.record_failure(scope, late, NO_ANSWER, jitter=0)
    async with db.write(platform) as scope:
        scope.now += hours
        with pytest.raises(StateConflict):
            await intervention.abandon(scope, seen, by="key_1", reason="text")
        with pytest.raises(StateConflict, match="may still complete"):
            intervention.check_abandonable(await intervention.load(scope, late.id), scope.now)
    [again] = await claimed(db, platform, later=2 * hours)
    async with db.write(platform) as scope:
        scope.now += 2 * hours
        with pytest.raises(StateConflict, match="under way, until"):
            intervention.check_abandonable(await intervention.load(scope, again.id), scope.now)


async def test_what_waits_for_funds_goes_when_they_come(db: Database, platform: PlatformId) -> None:
    for _ in range(3):
        await opened(db, platform)
    short, held, under_way = await claimed(db, platform)
    async with db.write(platform) as scope:
        await ending.record_failure(scope, short, NO_FUNDS, jitter=0)
        await ending.record_failure(scope, held, NO_CAPABILITY, jitter=0, held_for="acct_1")
    async with db.write(platform) as scope:
        assert await claims.hurry(scope, "create_payout", FOR_WANT_OF_FUNDS) == 0
        assert await claims.hurry(scope, KIND, FOR_WANT_OF_FUNDS) == 1
    assert [one.id for one in await claimed(db, platform)] == [short.id]
    async with db.write(platform) as scope:
        assert await claims.hurry(scope, KIND, FOR_WANT_OF_FUNDS) == 0, "it is under way, as is the other"
    assert under_way.id != short.id


async def test_another_platform_sees_nothing(db: Database, platform: PlatformId) -> None:
    intent = await opened(db, platform)
    other = PlatformId(uuid4())
    assert await claimed(db, other) == []
    async with db.write(other) as scope:
        assert await intents.get(scope, intent.id) is None
        assert not await ending.record_success(scope, intent, "tr_1")
