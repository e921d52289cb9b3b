"""The saga: every outcome of every step as a table; one call however many ask; every attempt a row that can be read."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from sqlalchemy import Row

from marketbill import clock
from marketbill.db import Database, WriteScope
from marketbill.ids import PlatformId, new_id
from marketbill.provider import claim as claims
from marketbill.provider import intent as intents
from marketbill.provider import saga as sagas
from marketbill.provider.claim import LeaseOver
from marketbill.provider.intent import MONTH_LONG, Intent
from marketbill.provider.port import Declined, Failure, Provider, Refused, Unknown
from marketbill.provider.saga import Done, Refusal, Saga, Setback

KIND = "create_thing"
DECLINED = Declined(Failure(402, "card_declined", "no money", decline_code="lost_card"))
REFUSED = Refused(Failure(400, "parameter_unknown", "no such colour", request_id="req_1"))
NO_FUNDS = Refused(Failure(400, "balance_insufficient", "later"))
NOT_YET = Refused(Failure(400, "insufficient_capabilities_for_transfer", "not yet"))
NO_ANSWER = Unknown(Failure(503, None, "gateway"))
KEPT = Unknown(Failure(500, None, "an error on our end"))
REPLAYED = Unknown(Failure(500, None, "an error on our end", replayed=True))
NO_ACCESS = Refused(Failure(403, "account_invalid", "revoked"))
BAD_KEY = Refused(Failure(401, "authentication", "no such key"))
NOTHING = cast(Provider, None)


@dataclass
class Things:
    """A provider of things: what it answers, what was asked of it, and what the saga was told."""

    answer: str | Exception = "thing_1"
    made_before: str | Exception | None = None
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    spoiled: bool = False

    async def look_up(self, provider: Provider, intent: Intent) -> str | None:
        self.asked.append("look up")
        if isinstance(self.made_before, Exception):
            raise self.made_before
        return self.made_before

    async def send(self, provider: Provider, intent: Intent) -> str:
        self.asked.append(intent.key)
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def succeeded(self, scope: WriteScope, done: Sequence[Done[str]]) -> None:
        if self.spoiled and any(one.made == "thing_1" for one in done):
            raise RuntimeError("a defect")
        self.told += [f"done {one.made}" for one in done]

    async def failed(self, scope: WriteScope, setback: Setback) -> None:
        self.told.append("refused" if setback.refused else "given up" if setback.ended else "again")

    def saga(self, **how: Any) -> Saga[str]:
        return Saga(
            kind=KIND,
            look_up=self.look_up,
            send=self.send,
            provider_id=lambda made: made,
            succeeded=self.succeeded,
            failed=self.failed,
            **how,
        )


class Later(Database):
    """A database whose platforms' time is later than the machine's."""

    later = timedelta(0)

    @asynccontextmanager
    async def write(self, platform: PlatformId) -> AsyncGenerator[WriteScope]:
        async with super().write(platform) as scope:
            scope.now += self.later
            yield scope


@dataclass
class Office:
    """A platform's intents, and the work on them."""

    db: Later
    platform: PlatformId

    @property
    def later(self) -> timedelta:
        return self.db.later

    @later.setter
    def later(self, later: timedelta) -> None:
        self.db.later = later

    async def open(self, number: int = 1) -> list[Intent]:
        async with self.db.write(self.platform) as scope:
            drafts = [intents.IntentDraft(KIND, new_id(), {"number": index}) for index in range(number)]
            return await intents.open_intents(scope, drafts, send_now=False)

    async def claim(self, db: Database | None = None) -> list[Intent]:
        async with (db or self.db).write(self.platform) as scope:
            return await claims.claim_due(scope, [KIND], 100)

    async def run(self, saga: Saga[str], db: Database | None = None) -> list[Intent]:
        claimed = await self.claim(db)
        await sagas.run(db or self.db, self.platform, NOTHING, saga, claimed)
        return claimed

    async def lose_a_worker(self) -> None:
        """One claims and is never heard of again; his lease ends."""
        await self.claim()
        self.later += claims.CLAIM_LEASE

    async def known(self, id: Any) -> Intent:
        async with self.db.read(self.platform) as scope:
            found = await intents.get(scope, id)
            assert found is not None
            return found

    async def attempts(self, id: Any) -> list[Row[Any]]:
        """Oldest first."""
        async with self.db.read(self.platform) as scope:
            return (await intents.attempts_of(scope, [id]))[id][::-1]


@pytest.fixture
async def office(database_url: str) -> AsyncIterator[Office]:
    db = Later(database_url, pool_size=4)
    yield Office(db, PlatformId(uuid4()))
    await db.dispose()


@pytest.mark.parametrize(
    ("answer", "refusal", "status", "told", "outcome"),
    [
        ("thing_1", Refusal.WAITS, "SUCCEEDED", "done thing_1", "SUCCEEDED"),
        (DECLINED, Refusal.WAITS, "REFUSED", "refused", "DECLINED"),
        (DECLINED, Refusal.ENDS, "REFUSED", "refused", "DECLINED"),
        (REFUSED, Refusal.WAITS, "GAVE_UP", "refused", "REFUSED"),
        (REFUSED, Refusal.RETURNS, "REFUSED", "refused", "REFUSED"),
        (REFUSED, Refusal.ENDS, "REFUSED", "refused", "REFUSED"),
        (NO_FUNDS, Refusal.WAITS, "OPEN", "again", "REFUSED"),
        (NO_FUNDS, Refusal.RETURNS, "OPEN", "again", "REFUSED"),
        (NO_FUNDS, Refusal.ENDS, "REFUSED", "refused", "REFUSED"),
        (NOT_YET, Refusal.WAITS, "OPEN", "again", "REFUSED"),
        (NOT_YET, Refusal.RETURNS, "OPEN", "again", "REFUSED"),
        (NOT_YET, Refusal.ENDS, "REFUSED", "refused", "REFUSED"),
        *((NO_ANSWER, refusal, "UNKNOWN", "again", "UNKNOWN") for refusal in Refusal),
        *((KEPT, refusal, "UNKNOWN", "again", "UNKNOWN") for refusal in Refusal),
    ],
)
@pytest.mark.parametrize("together", [False, True])
async def test_every_answer_to_a_first_attempt(
    office: Office, answer: str | Exception, refusal: Refusal, status: str, told: str, outcome: str, together: bool
) -> None:
    things = Things(answer)
    [opened] = await office.open()
    await office.run(things.saga(refusal=refusal, together=together))

    known = await office.known(opened.id)
    assert (known.status, known.provider_id) == (status, "thing_1" if status == "SUCCEEDED" else None)
    assert (things.asked, things.told) == ([opened.key], [told])
    [attempt] = await office.attempts(opened.id)
    assert (attempt.number, attempt.outcome, attempt.looked_up) == (1, outcome, False)
    assert attempt.ended_at is not None
    failure = answer.failure if isinstance(answer, Declined | Refused | Unknown) else Failure(None, None, "")
    assert (attempt.http_status, attempt.code, attempt.message or "") == (failure.status, failure.code, failure.message)
    assert attempt.request_id == failure.request_id


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    ("made_before", "answer", "asked", "status", "told"),
    [
        ("thing_0", "thing_1", ["look up"], "SUCCEEDED", ["done thing_0"]),
        (None, "thing_1", ["look up", "key"], "SUCCEEDED", ["done thing_1"]),
        (NO_ANSWER, "thing_1", ["look up"], "UNKNOWN", ["again"]),
        # A look-up that is refused says nothing of what it looked for.
        (REFUSED, "thing_1", ["look up"], "UNKNOWN", ["again"]),
        (DECLINED, "thing_1", ["look up"], "UNKNOWN", ["again"]),
        (None, REFUSED, ["look up", "key"], "GAVE_UP", ["refused"]),
        (None, NO_ANSWER, ["look up", "key"], "UNKNOWN", ["again"]),
    ],
)
async def test_every_answer_after_a_worker_was_lost(
    office: Office,
    made_before: str | Exception | None,
    answer: str | Exception,
    asked: list[str],
    status: str,
    told: list[str],
    together: bool,
) -> None:
    things = Things(answer, made_before)
    [opened] = await office.open()
    await office.lose_a_worker()
    await office.run(things.saga(together=together))

    assert things.asked == [opened.key if one == "key" else one for one in asked]
    assert (things.told, (await office.known(opened.id)).status) == (told, status)
    lost, second = await office.attempts(opened.id)
    assert (lost.outcome, second.looked_up, second.number) == ("INTERRUPTED", True, 2)


async def test_two_workers_with_one_intent_make_one_call(office: Office, database_url: str) -> None:
    others = [Database(database_url, pool_size=2) for _ in range(2)]
    things = Things()
    [opened] = await office.open()
    try:
        claimed = await asyncio.gather(*(office.run(things.saga(), db) for db in others))
    finally:
        for db in others:
            await db.dispose()
    assert sorted(len(one) for one in claimed) == [0, 1]
    assert (things.asked, things.told) == ([opened.key], ["done thing_1"])
    assert len(await office.attempts(opened.id)) == 1


async def test_a_caller_and_a_worker_with_one_intent_make_one_call(office: Office) -> None:
    things = Things()
    async with office.db.write(office.platform) as scope:
        opened = await intents.open_intent(scope, kind=KIND, subject_id=new_id(), request={})
    assert await office.run(things.saga()) == [], "the caller's lease holds"
    async with office.db.write(office.platform) as scope:
        with pytest.raises(Unknown):
            await claims.take(scope, opened.id)
    outcome = await sagas.ask(office.db, office.platform, NOTHING, things.saga(), opened)
    assert isinstance(outcome, Done)
    assert things.asked == [opened.key]


async def test_a_caller_comes_back_to_what_had_no_answer_at_once_and_nobody_else_meanwhile(office: Office) -> None:
    things = Things(NO_ANSWER)
    [opened] = await office.open()
    await office.run(things.saga())
    async with office.db.write(office.platform) as scope:
        mine = await claims.take(scope, opened.id)
        assert (mine.attempts, mine.look_up_first) == (2, True)
    async with office.db.write(office.platform) as scope:
        with pytest.raises(Unknown):
            await claims.take(scope, opened.id)
    office.later = timedelta(seconds=30)
    assert await office.claim() == []


async def test_both_find_out_and_one_records_it(office: Office) -> None:
    """A worker that was overtaken succeeds all the same: what follows does so once, and both attempts say so."""
    things = Things(made_before="thing_1")
    [opened] = await office.open()
    [late] = await office.claim()
    office.later = claims.CLAIM_LEASE
    await office.run(things.saga())
    async with office.db.write(office.platform) as scope:
        await sagas.settle(scope, things.saga(), [Done(late, "thing_1")])
    assert things.told == ["done thing_1"]
    assert [one.outcome for one in await office.attempts(opened.id)] == ["SUCCEEDED", "SUCCEEDED"]


async def test_an_overtaken_workers_failure_changes_nothing_but_is_told(office: Office) -> None:
    things = Things()
    [opened] = await office.open()
    [late] = await office.claim()
    office.later = claims.CLAIM_LEASE
    await office.run(things.saga())
    async with office.db.write(office.platform) as scope:
        await sagas.settle(scope, things.saga(), [sagas.Failed(late, REFUSED)])
    assert things.told == ["done thing_1"]
    assert (await office.known(opened.id)).status == "SUCCEEDED"
    assert [one.outcome for one in await office.attempts(opened.id)] == ["REFUSED", "SUCCEEDED"]


async def test_a_server_error_that_is_kept_with_its_key_gets_a_new_key_once_it_is_sure(office: Office) -> None:
    things = Things(KEPT)
    [opened] = await office.open()
    for hours in (0, 1, 5):
        office.later = timedelta(hours=hours)
        await office.run(things.saga())
        things.answer = REPLAYED
    assert things.asked == [opened.key, "look up", opened.key, "look up", opened.key]

    things.answer = "thing_1"
    office.later = timedelta(hours=8)
    await office.run(things.saga())
    assert things.asked[-2:] == ["look up", f"{opened.key}-2"]
    assert [one.generation for one in await office.attempts(opened.id)] == [1, 1, 1, 2]
    assert (await office.known(opened.id)).status == "SUCCEEDED"


async def test_the_time_of_a_late_first_answer_counts_not_that_of_the_first_claim(office: Office) -> None:
    """A worker dies before it sends; the next comes seven hours later, and what it sends meets a server error."""
    things = Things(KEPT)
    [opened] = await office.open()
    await office.lose_a_worker()
    office.later = timedelta(hours=7)
    await office.run(things.saga())
    assert things.asked == ["look up", opened.key]

    things.answer = REPLAYED
    for later in (timedelta(seconds=10), timedelta(hours=1), timedelta(hours=5)):
        office.later = timedelta(hours=7) + later
        await office.run(things.saga())
    assert set(things.asked) == {"look up", opened.key}

    things.answer, office.later = "thing_1", timedelta(hours=14)
    await office.run(things.saga())
    assert things.asked[-2:] == ["look up", f"{opened.key}-2"]


async def test_a_server_error_that_is_not_a_repeated_one_begins_the_wait_anew(office: Office) -> None:
    things = Things(KEPT)
    [opened] = await office.open()
    for hours in (0, 5, 8):
        office.later = timedelta(hours=hours)
        await office.run(things.saga())
    assert [one for one in things.asked if one != "look up"] == [opened.key] * 3


@pytest.mark.parametrize("refusal", list(Refusal))
@pytest.mark.parametrize("answer", [NO_ACCESS, BAD_KEY])
async def test_what_is_refused_in_front_of_the_keys_says_nothing_of_an_earlier_attempt(
    office: Office, answer: Refused, refusal: Refusal
) -> None:
    things = Things(NO_ANSWER)
    [opened] = await office.open()
    await office.run(things.saga(refusal=refusal))
    sent_at = (await office.known(opened.id)).sent_before

    things.answer, office.later = answer, timedelta(hours=1)
    await office.run(things.saga(refusal=refusal))
    known = await office.known(opened.id)
    assert (known.status, known.unsure, known.key, known.sent_before) == ("UNKNOWN", True, opened.key, sent_at)
    assert things.told == ["again", "again"]
    office.later = timedelta(days=8)
    [late] = await office.claim()
    async with office.db.write(office.platform) as scope:
        await sagas.settle(scope, things.saga(refusal=refusal), [sagas.Failed(late, answer)])
    assert things.told == ["again"] * 3

    things.answer, office.later = "thing_1", timedelta(days=16)
    await office.run(things.saga(refusal=refusal))
    assert things.asked == [opened.key, "look up", opened.key, "look up", f"{opened.key}-2"]


@pytest.mark.parametrize("answer", [NO_ACCESS, BAD_KEY])
async def test_what_is_refused_in_front_of_the_keys_keeps_its_key(office: Office, answer: Refused) -> None:
    things = Things(answer)
    [opened] = await office.open()
    await office.run(things.saga())
    known = await office.known(opened.id)
    assert (known.status, known.unsure, known.key) == ("OPEN", False, opened.key)
    assert known.reached_until is None
    things.answer, office.later = "thing_1", timedelta(days=8)
    await office.run(things.saga())
    assert things.asked == [opened.key, "look up", f"{opened.key}-2"], "nobody knows it any more after a day"


async def test_a_refusal_under_the_same_key_after_no_answer_gets_a_new_key_only_by_a_look_up(office: Office) -> None:
    things = Things(NO_ANSWER)
    [opened] = await office.open()
    await office.run(things.saga())
    things.answer, office.later = NO_FUNDS, timedelta(minutes=1)
    await office.run(things.saga())
    known = await office.known(opened.id)
    assert (known.status, known.key, known.unsure, known.reached_until) == ("OPEN", opened.key, True, None)
    things.answer, office.later = "thing_1", timedelta(hours=2)
    await office.run(things.saga())
    assert things.asked == [opened.key, "look up", opened.key, "look up", f"{opened.key}-2"]


async def test_a_caller_who_stood_still_sends_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    things = Things()
    async with office.db.write(office.platform) as scope:
        opened = await intents.open_intent(scope, kind=KIND, subject_id=new_id(), request={})
    later = clock.now() + intents.CALLER_BEGINS_WITHIN + timedelta(seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    outcome = await sagas.ask(office.db, office.platform, NOTHING, things.saga(), opened)
    assert isinstance(outcome, sagas.Failed)
    assert isinstance(outcome.error, Unknown)
    assert (outcome.error.failure.code, things.asked) == ("too_slow", [])


async def test_a_sending_that_takes_too_long_is_ended(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    assert min(intents.CALLER_LEASE, claims.CLAIM_LEASE) > claims.CALL_LONGEST
    things = Things()
    [opened] = await office.open()

    async def send(provider: Provider, intent: Intent) -> str:
        await asyncio.Event().wait()
        return "thing_1"

    monkeypatch.setattr(claims, "CALL_LONGEST", timedelta(milliseconds=20))
    await office.run(replace(things.saga(), send=send))
    known = await office.known(opened.id)
    assert (known.status, things.told) == ("UNKNOWN", ["again"])
    assert known.last_error is not None
    assert known.last_error["code"] == "no_answer"


async def test_a_server_error_whose_thing_is_there_after_all_gets_no_new_key(office: Office) -> None:
    things = Things(KEPT)
    [opened] = await office.open()
    await office.run(things.saga())
    things.made_before, office.later = "thing_0", timedelta(hours=8)
    await office.run(things.saga())
    assert things.asked == [opened.key, "look up"]
    assert things.told == ["again", "done thing_0"]


async def test_no_answer_keeps_its_key_for_a_day_and_gets_a_new_one_after_a_look_up(office: Office) -> None:
    things = Things(NO_ANSWER)
    [opened] = await office.open()
    for hours in (0, 8, 22, 24):
        office.later = timedelta(hours=hours)
        await office.run(things.saga())
    # The old key may be forgotten by now, and what was sent two hours ago may still be done: neither key is sent.
    assert [one for one in things.asked if one != "look up"] == [opened.key] * 3
    assert (await office.attempts(opened.id))[-1].code == "answer_awaited"
    office.later = timedelta(hours=29)
    await office.run(things.saga())
    assert [one for one in things.asked if one != "look up"] == [opened.key] * 3 + [f"{opened.key}-2"]


async def test_a_key_that_the_provider_remembers_for_a_month_stays(office: Office) -> None:
    things = Things(KEPT)
    [opened] = await office.open()
    for days in (0, 2, 28, 30):
        office.later = timedelta(days=days)
        await office.run(things.saga(memory=MONTH_LONG))
        things.answer = REPLAYED
    assert [one for one in things.asked if one != "look up"] == [opened.key] * 3 + [f"{opened.key}-2"]


async def test_a_refusal_does_not_make_sure_what_an_earlier_attempt_did(office: Office) -> None:
    """No answer first, then refused for certain: the first may still have been done, so it is looked up for ever."""
    things = Things(NO_ANSWER)
    await office.open()
    await office.run(things.saga())
    things.answer, office.later = NO_FUNDS, timedelta(hours=1)
    await office.run(things.saga())
    things.asked, office.later = [], timedelta(days=1)
    await office.run(things.saga())
    assert things.asked[0] == "look up"


async def test_what_is_not_what_was_asked_for_is_never_booked_and_never_sent_again(office: Office) -> None:
    things = Things()
    [opened] = await office.open()
    await office.run(things.saga(mismatch=lambda intent, made: f"{made} is too small"))
    known = await office.known(opened.id)
    assert (known.status, known.last_error and known.last_error["code"]) == ("GAVE_UP", "answer_mismatch")
    assert things.told == ["given up"]
    [attempt] = await office.attempts(opened.id)
    assert (attempt.outcome, attempt.message) == ("UNKNOWN", "thing_1 is too small")


async def test_what_is_too_late_is_not_sent_but_what_was_made_counts(office: Office) -> None:
    late = Refused(Failure(None, "too_late", "nobody waits"))
    for made_before, told in ((None, "refused"), ("thing_0", "done thing_0")):
        things = Things(made_before=made_before)
        await office.open()
        await office.lose_a_worker()
        await office.run(things.saga(too_late=lambda intent: late, refusal=Refusal.ENDS))
        assert (things.asked, things.told) == (["look up"], [told])


@pytest.mark.parametrize("together", [False, True])
async def test_a_defect_stays_with_its_intent_and_is_told(office: Office, together: bool) -> None:
    things = Things()
    first, second = await office.open(2)

    async def send(provider: Provider, intent: Intent) -> str:
        if intent.id == first.id:
            raise RuntimeError("a defect")
        return "thing_2"

    with pytest.raises(RuntimeError, match="a defect"):
        await office.run(replace(things.saga(together=together), send=send))
    assert sorted(things.told) == ["again", "done thing_2"]
    broken = await office.known(first.id)
    assert (broken.status, broken.last_error) == ("UNKNOWN", {"code": "defect", "message": "RuntimeError"})
    assert (await office.known(second.id)).status == "SUCCEEDED"


async def test_what_cannot_be_recorded_does_not_keep_the_others_from_it(office: Office) -> None:
    things = Things(spoiled=True)
    first, second = await office.open(2)

    async def send(provider: Provider, intent: Intent) -> str:
        return "thing_1" if intent.id == first.id else "thing_2"

    with pytest.raises(RuntimeError, match="a defect"):
        await office.run(replace(things.saga(together=True), send=send))
    assert things.told == ["done thing_2"]
    assert [(await office.known(one.id)).status for one in (first, second)] == ["UNKNOWN", "SUCCEEDED"]

    things.spoiled, things.made_before, office.later = False, "thing_1", timedelta(minutes=1)
    await office.run(things.saga(together=True))
    assert (things.asked, things.told) == (["look up"], ["done thing_2", "done thing_1"])


async def test_a_worker_whose_lease_runs_out_asks_for_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    things = Things()
    [opened] = await office.open()
    [claimed] = await office.claim()
    later = clock.now() + claims.CLAIM_LEASE
    with monkeypatch.context() as slow:
        slow.setattr(clock, "now", lambda: later)
        with pytest.raises(LeaseOver):
            await sagas.ask(office.db, office.platform, NOTHING, things.saga(), claimed, waited_for=False)
        told = await sagas.ask(office.db, office.platform, NOTHING, things.saga(), claimed)
        assert isinstance(told, sagas.Failed), "whoever waits for it is told so"
        assert isinstance(told.error, Unknown)
        await sagas.run(office.db, office.platform, NOTHING, things.saga(), [claimed])
    assert (things.asked, things.told) == ([], [])
    [attempt] = await office.attempts(opened.id)
    assert attempt.outcome is None


async def test_only_so_many_calls_are_under_way_at_once(office: Office) -> None:
    most = running = 0
    things = Things()

    async def send(provider: Provider, intent: Intent) -> str:
        nonlocal most, running
        running += 1
        most = max(most, running)
        for _ in range(3):
            await asyncio.sleep(0)
        running -= 1
        return "thing"

    await office.open(20)
    await office.run(replace(things.saga(together=True), send=send))
    assert most == sagas.CALLS_MAX
    assert len(things.told) == 20
