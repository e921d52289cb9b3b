"""The one form of every call to the provider that must happen once: a saga.

Its intent is committed with the business transaction that wants it. Then, outside any transaction: an intent that may
have been done before is looked up; only where that finds nothing it is sent, under its key. What came of it is one of
three, and is recorded with what follows from it in one transaction: done (`Saga.succeeded`), refused for certain, or
without a definite answer (both `Saga.failed`, after the retry table has spoken).

A new saga is a declaration (see `payouts.transfer` for a whole one). A worker claims what is due and calls `run`; a
caller who asks at once calls `ask` and records the answer himself, with what else belongs in that transaction.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

import structlog

from marketbill.db import Database, WriteScope
from marketbill.errors import Unavailable, told
from marketbill.ids import PlatformId
from marketbill.provider import claim as claims
from marketbill.provider import ending
from marketbill.provider.claim import LeaseOver
from marketbill.provider.intent import DAY_LONG, Intent, KeyMemory, KeyUse
from marketbill.provider.port import PROVIDER_ERRORS, Failure, Provider, ProviderError, Refused, Unknown
from marketbill.provider.retry import ANSWER_AWAITED, Action

T = TypeVar("T")
#: Intents claimed in one round: as many as can be asked for within the lease, even by a slow provider.
BATCH_MAX = 24
#: Calls to the provider under way at once from one worker.
CALLS_MAX = 8
log = structlog.get_logger("marketbill.provider")


class Refusal(Enum):
    """What a refusal means that is definite for the whole intent (`ending.certain`). WAITS: an operator, when the retry
    table gives up; what the intent is for stands. RETURNS: then it is over instead, and `failed` undoes what the intent
    was for. ENDS: it is over at once, whatever the table says, because somebody waits for the answer."""

    WAITS = auto()
    RETURNS = auto()
    ENDS = auto()


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The provider did it, now or before; `made` is what it says of it."""

    intent: Intent
    made: T


@dataclass(frozen=True, slots=True)
class Failed:
    """It was declined, refused, or there was no definite answer."""

    intent: Intent
    error: ProviderError


@dataclass(frozen=True, slots=True)
class Setback:
    """A failure that was recorded. `ended`: it is not tried again by itself. `refused`: it was certainly not done, by
    this attempt or an earlier one. `held`: the account does not allow it (`retry.Action.HOLD`)."""

    intent: Intent
    error: ProviderError
    ended: bool
    held: bool = False

    @property
    def refused(self) -> bool:
        return self.ended and not isinstance(ending.certain(self.intent, self.error), Unknown)

    @property
    def reason(self) -> str:
        """Why, in a sentence for a person."""
        return ending.explanation(self.intent, self.error, given_up=self.ended)


async def _no_gates(scope: WriteScope, intents: Sequence[Intent]) -> Collection[str]:
    return ()


async def _nothing(scope: WriteScope, intent: Intent) -> None:
    return None


async def _left_as_it_is(scope: WriteScope, intent: Intent, reason: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Saga(Generic[T]):
    """One kind of request to the provider that happens once.

    `kind`            the intents it is for.
    `look_up`         what an earlier attempt of the intent made at the provider, by our metadata or the transfer group;
                      None proves that there is nothing. Errors of the look-up prove nothing.
    `send`            asks the provider under `intent.key`.
    `provider_id`     the provider's name of what was made.
    `mismatch`        what is wrong with it, in a sentence, or None when it is what was asked for. A mismatch is never
                      booked and never sent again: an operator must look.
    `succeeded`       records and books, of those whose end this worker records (never called for one twice).
    `failed`          records why it is not done, after the intent's own row says what happens next.
    `together`        the ends of a round are recorded in one transaction, otherwise each as soon as it is known.
    `refusal`         what a definite refusal means.
    `gate`            what a refusal waits for that the retry table calls a HOLD.
    `open_gates`      those gates of some intents that seem to be open already (and locks them).
    `memory`          how long the provider remembers its keys.
    `too_late`        why a worker does not send it any more, where nothing was found; None while it still should. It is
                      over then, though not before a server error has been waited out (decision record 0008).
    `retried`         an operator wants an intent that was given up tried again; raises StateConflict when what it was
                      for is over.
    `abandoned`       an operator gave it up for good, after a look-up proved that it was not done: what becomes of
                      what it was for.
    """

    kind: str
    look_up: Callable[[Provider, Intent], Awaitable[T | None]]
    send: Callable[[Provider, Intent], Awaitable[T]]
    provider_id: Callable[[T], str]
    succeeded: Callable[[WriteScope, Sequence[Done[T]]], Awaitable[None]]
    failed: Callable[[WriteScope, Setback], Awaitable[None]]
    mismatch: Callable[[Intent, T], str | None] = lambda intent, made: None
    together: bool = False
    refusal: Refusal = Refusal.WAITS
    gate: Callable[[Intent], str | None] = lambda intent: None
    open_gates: Callable[[WriteScope, Sequence[Intent]], Awaitable[Collection[str]]] = _no_gates
    memory: KeyMemory = DAY_LONG
    too_late: Callable[[Intent], Refused | None] = lambda intent: None
    retried: Callable[[WriteScope, Intent], Awaitable[None]] = _nothing
    abandoned: Callable[[WriteScope, Intent, str], Awaitable[None]] = _left_as_it_is


async def ask(
    db: Database, platform: PlatformId, provider: Provider, saga: Saga[T], intent: Intent, *, waited_for: bool = True
) -> Done[T] | Failed:
    """Makes it happen, outside any transaction: what an earlier attempt made, or a new one under the intent's key.

    `waited_for`: by a caller, for whom it is never too late. Otherwise raises LeaseOver; nothing of the provider.
    """
    try:
        claims.check_lease(intent)
        now = intent.touched_at
        if intent.look_up_first or intent.key_use(now, saga.memory) is not KeyUse.SAME:
            found = await ending.looked_up(saga.look_up(provider, intent))
            if found is not None:
                return fitting(saga, intent, found)
            late = None if waited_for else saga.too_late(intent)
            if late is not None:
                return _awaited(intent) if intent.spent and intent.outstanding(now) else Failed(intent, late)
            match intent.key_use(now, saga.memory):
                case KeyUse.AWAIT:
                    return _awaited(intent)
                case KeyUse.NEW:
                    async with db.write(platform) as scope:
                        intent = await claims.renew_key(scope, intent)
                case KeyUse.SAME:
                    pass
            claims.check_lease(intent)
        async with asyncio.timeout(claims.CALL_LONGEST.total_seconds()):
            made = await saga.send(provider, intent)
        return fitting(saga, intent, made)
    except LeaseOver:
        if not waited_for:
            raise
        slow = Failure(None, "too_slow", "There was no time left to ask the provider.")
        return Failed(intent, Unknown(slow, untouched=True))
    except TimeoutError:
        return Failed(intent, Unknown(Failure(None, "no_answer", "The provider did not answer in time.")))
    except PROVIDER_ERRORS as error:
        return Failed(intent, ending.certain(intent, error))


async def run(db: Database, platform: PlatformId, provider: Provider, saga: Saga[T], claimed: Sequence[Intent]) -> None:
    """Asks for every intent that this worker has claimed, and records what came of each.

    All of them end before a defect of ours in one of them is raised; that one is recorded as unknown and comes again at
    growing distances, until it is given up. Raises Unavailable when the database is away.
    """
    gate, defects = asyncio.Semaphore(CALLS_MAX), _Defects()

    async def one(intent: Intent) -> Done[T] | Failed | None:
        async with gate:
            try:
                outcome = await ask(db, platform, provider, saga, intent, waited_for=False)
            except LeaseOver:
                return None  # it is due again, for whoever claims it next
            except Unavailable:
                raise
            except Exception as defect:
                outcome = defects.note(intent, defect)
            if not saga.together:
                await _record(db, platform, saga, [outcome], defects)
            return outcome

    ended = await asyncio.gather(*(one(intent) for intent in claimed), return_exceptions=True)
    outcomes = [outcome for outcome in ended if isinstance(outcome, Done | Failed)]
    if saga.together and outcomes:
        await _record(db, platform, saga, outcomes, defects)
    for outcome in ended:
        if isinstance(outcome, BaseException):
            raise outcome
    defects.end()


async def settle(scope: WriteScope, saga: Saga[T], outcomes: Sequence[Done[T] | Failed]) -> None:
    """Records the ends of intents and what follows from them, within a transaction.

    Failures first: they lock sellers, and whoever books holds the lock of the books and may lock no row after that.
    """
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    open_now = await saga.open_gates(scope, [failure.intent for failure in failures]) if failures else ()
    for failure in failures:
        setback = await _set_back(scope, saga, failure, open_now)
        if setback is not None:
            await saga.failed(scope, setback)
    done = [outcome for outcome in outcomes if isinstance(outcome, Done)]
    if done:
        ends = [(one.intent, saga.provider_id(one.made)) for one in done]
        mine = await ending.record_successes(scope, ends)
        first = [one for one in done if one.intent.id in mine]
        if first:
            await saga.succeeded(scope, first)


async def _set_back(scope: WriteScope, saga: Saga[T], failure: Failed, open_now: Collection[str]) -> Setback | None:
    """None when the intent went on without this attempt: then nothing follows from how it ended."""
    intent, error = failure.intent, ending.certain(failure.intent, failure.error)
    definite = not isinstance(error, Unknown)
    if definite and saga.refusal is Refusal.ENDS:
        return Setback(intent, error, ended=True) if await ending.record_refusal(scope, intent, error) else None
    gate = saga.gate(intent)
    decision = await ending.record_failure(
        scope,
        intent,
        error,
        jitter=random.random(),
        held_for=gate,
        seems_free=gate in open_now,
        revivable=not (definite and saga.refusal is Refusal.RETURNS),
    )
    if decision is None:
        return None
    action = decision.action
    return Setback(intent, error, ended=action in (Action.GIVE_UP, Action.FINAL), held=action is Action.HOLD)


async def _record(
    db: Database,
    platform: PlatformId,
    saga: Saga[T],
    outcomes: Sequence[Done[T] | Failed],
    defects: "_Defects",
) -> None:
    """In one transaction. Where one of them cannot be recorded, each has one of its own, so that it waits alone."""
    try:
        async with db.write(platform) as scope:
            await settle(scope, saga, outcomes)
    except Unavailable:
        raise
    except Exception as defect:
        if len(outcomes) > 1:
            for outcome in outcomes:
                await _record(db, platform, saga, [outcome], defects)
            return
        [outcome] = outcomes
        failed = defects.note(outcome.intent, defect)
        async with db.write(platform) as scope:
            await ending.record_failure(scope, failed.intent, failed.error, jitter=random.random())


def fitting(saga: Saga[T], intent: Intent, made: T) -> Done[T]:
    """What was made for an intent, if it is what was asked for. Raises Unknown (`answer_mismatch`)."""
    wrong = saga.mismatch(intent, made)
    if wrong is not None:
        raise Unknown(Failure(200, "answer_mismatch", wrong))
    return Done(intent, made)


def _awaited(intent: Intent) -> Failed:
    why = "The provider gave no definite answer and may still complete this request: it is only looked up meanwhile."
    return Failed(intent, Unknown(Failure(None, ANSWER_AWAITED, why), untouched=True))


class _Defects:
    """What went wrong on our own side in one run: noted, so that the others go on, and raised in the end."""

    def __init__(self) -> None:
        self._first: Exception | None = None

    def note(self, intent: Intent, defect: Exception) -> Failed:
        log.error("request to the provider met a defect", intent=intent.public_id, kind=intent.kind, error=told(defect))
        self._first = self._first or defect
        return Failed(intent, Unknown(Failure(None, "defect", told(defect)[:500])))

    def end(self) -> None:
        if self._first is not None:
            raise self._first
