"""Ending: what came of an attempt, recorded with its intent: success, refusal, no definite answer, given up."""

from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import ARRAY, Integer, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import WriteScope
from marketbill.prepared import prepared
from marketbill.provider.intent import Intent
from marketbill.provider.model import AttemptOutcome, IntentStatus
from marketbill.provider.port import PROVIDER_ERRORS, Declined, ProviderError, Refused, Unknown
from marketbill.provider.retry import Action, Decision, answer_is_kept, decide, held_for_at_most, proves

T = TypeVar("T")
log = structlog.get_logger("marketbill.provider")

# Each statement locks the intents first, in the order of their ids, and their attempts only after that. An attempt
# tells its end though the intent went on without it, for so it was; the intent's own end is recorded once.
_TOLD = "(a.ended_at is null or a.outcome = 'INTERRUPTED')"
# A success is true whoever tells it, even of an intent that was given up.
_SUCCEED = prepared(
    text(
        f"""
    with mine as (
      select i.id, done.provider_id, done.number
      from unnest(cast(:ids as uuid[]), cast(:provider_ids as text[]), cast(:numbers as integer[]))
        as done (id, provider_id, number)
      join provider_intent i on i.platform_id = :platform and i.id = done.id
      order by i.id for update of i
    ), told as (
      update provider_attempt a set ended_at = :now, outcome = 'SUCCEEDED' from mine
      where a.platform_id = :platform and a.intent_id = mine.id and a.number = mine.number and {_TOLD}
    )
    update provider_intent i
    set status = 'SUCCEEDED', provider_id = mine.provider_id, held_for = null, next_attempt_at = null, updated_at = :now
    from mine
    where i.platform_id = :platform and i.id = mine.id and i.status in ('OPEN', 'UNKNOWN', 'GAVE_UP', 'ABANDONED')
    returning i.id
    """  # noqa: S608 (our own words alone)
    ).bindparams(
        bindparam("ids", type_=ARRAY(Uuid)),
        bindparam("provider_ids", type_=ARRAY(Text)),
        bindparam("numbers", type_=ARRAY(Integer)),
    )
)
# Told by an event or a look-up outside of any attempt; it ends even what was taken for refused.
_NEWS = text(
    """
    with mine as (
      select i.id, i.attempts, told.provider_id
      from unnest(cast(:subjects as uuid[]), cast(:provider_ids as text[])) as told (subject_id, provider_id)
      join provider_intent i on i.platform_id = :platform and i.kind = :kind and i.subject_id = told.subject_id
      where i.status <> 'SUCCEEDED' and (cast(:by as uuid) is null or i.id = :by)
      order by i.id for update of i
    ), attempt as (
      update provider_attempt a set ended_at = :now, outcome = 'INTERRUPTED' from mine
      where a.platform_id = :platform and a.intent_id = mine.id and a.number = mine.attempts and a.ended_at is null
    )
    update provider_intent i
    set status = 'SUCCEEDED', provider_id = mine.provider_id, held_for = null, next_attempt_at = null, updated_at = :now
    from mine where i.platform_id = :platform and i.id = mine.id
    """
).bindparams(bindparam("subjects", type_=ARRAY(Uuid)), bindparam("provider_ids", type_=ARRAY(Text)))
# Only the attempt that was claimed last records a failure: whoever took over decides for himself. After a refusal for
# certain it is as sure as before this attempt whether an earlier one was done; and only where that was sure a new key
# follows at once, otherwise after a look-up (`Intent.key_use`).
_FAIL = text(
    f"""
    with mine as (
      select i.id from provider_intent i where i.platform_id = :platform and i.id = :intent for update
    ), told as (
      update provider_attempt a
      set ended_at = :now, outcome = :outcome, http_status = :http_status, code = :code, message = :message,
        request_id = :request_id
      from mine
      where a.platform_id = :platform and a.intent_id = mine.id and a.number = :attempt and {_TOLD}
    )
    update provider_intent i
    set status = :status, provider_id = coalesce(cast(:provider_id as text), i.provider_id), last_error = :error,
      held_for = :held_for, next_attempt_at = :retry_at, updated_at = :now,
      generation = i.generation + case when :new_key then 1 else 0 end,
      sent_at = case when :new_key then null else i.sent_at end,
      spent = not :new_key and (i.spent or :spent),
      reached_until = cast(:reached_until as timestamptz),
      unsure = case when :certain then :unsure else i.unsure end
    from mine
    where i.platform_id = :platform and i.id = mine.id and i.status in ('OPEN', 'UNKNOWN') and i.attempts = :attempt
    """  # noqa: S608 (our own words alone)
).bindparams(bindparam("error", type_=JSONB))


async def record_success(scope: WriteScope, intent: Intent, provider_id: str) -> bool:
    """It was done, as `provider_id`. False when its end was recorded before."""
    return intent.id in await record_successes(scope, [(intent, provider_id)])


async def record_successes(scope: WriteScope, done: Sequence[tuple[Intent, str]]) -> set[UUID]:
    """Many at once; gives the ids of the intents whose end this call recorded."""
    values = {
        "platform": scope.platform,
        "now": scope.now,
        "ids": [intent.id for intent, _ in done],
        "provider_ids": [provider_id for _, provider_id in done],
        "numbers": [intent.attempts for intent, _ in done],
    }
    return {row.id for row in await scope.rows(_SUCCEED, values)}


async def record_news(
    scope: WriteScope, kind: str, made: Sequence[tuple[UUID, str]], *, by: UUID | None = None
) -> None:
    """What was made of these subjects, with the provider's ids, as an event told: ends whatever is not ended so.

    `by` is the one intent that made it, for subjects that are asked for more than once.
    """
    values = {
        "platform": scope.platform,
        "now": scope.now,
        "kind": kind,
        "subjects": [subject for subject, _ in made],
        "provider_ids": [provider_id for _, provider_id in made],
        "by": by,
    }
    await scope.run(_NEWS, values)


async def record_refusal(scope: WriteScope, intent: Intent, error: ProviderError) -> bool:
    """It was declined or refused for certain, and will not be tried again."""
    return await _fail(scope, intent, error, IntentStatus.REFUSED)


async def give_up(scope: WriteScope, intent: Intent, error: ProviderError) -> bool:
    """An operator must look (`health` alarms him); he retries or abandons it (`intervention`)."""
    if not await _fail(scope, intent, error, IntentStatus.GAVE_UP):
        return False
    log.error(
        "request to the provider given up",
        intent=intent.public_id,
        kind=intent.kind,
        attempts=intent.attempts,
        code=error.failure.code,
        reason=error.failure.message,
    )
    return True


async def postpone(
    scope: WriteScope, intent: Intent, error: ProviderError, *, retry_at: datetime, held_for: str | None = None
) -> bool:
    """Not done now, but it may succeed later: from `retry_at` on, or when `claim.let_go` is called. Under a new key,
    where the provider keeps its refusal with the old one and no earlier attempt may have been done."""
    sure = not isinstance(error, Unknown) and (proves(error) or not intent.unsure)
    return await _fail(
        scope,
        intent,
        error,
        IntentStatus.OPEN if sure else IntentStatus.UNKNOWN,
        retry_at=retry_at,
        held_for=held_for,
        new_key=proves(error) and not intent.unsure,
    )


async def record_failure(
    scope: WriteScope,
    intent: Intent,
    error: ProviderError,
    *,
    jitter: float,
    held_for: str | None = None,
    seems_free: bool = False,
    revivable: bool = True,
) -> Decision | None:
    """Records what the retry table says about `error` and gives the decision.

    Gives None, and records nothing of the intent, when it has ended or another worker has taken it over meanwhile.
    `held_for` names what a HOLD waits for (a gate of the seller's provider account); after a week the intent is tried
    anyway, and much sooner where that `seems_free` already: its news may have come before there was a HOLD to end.
    Where the caller undoes what the intent was for when we give up, the intent is not `revivable`.
    """
    decision = decide(error, attempts=intent.tries, jitter=jitter)
    match decision:
        case Decision(action=Action.AGAIN, after=timedelta() as after):
            recorded = await postpone(scope, intent, error, retry_at=scope.now + after)
        case Decision(action=Action.HOLD):
            retry_at = scope.now + held_for_at_most(intent.tries, seems_free=seems_free)
            recorded = await postpone(scope, intent, error, retry_at=retry_at, held_for=held_for)
        case Decision(action=Action.FINAL):
            recorded = await record_refusal(scope, intent, error)
        case _ if not revivable:
            recorded = await record_refusal(scope, intent, error)
        case _:
            recorded = await give_up(scope, intent, error)
    return decision if recorded else None


def explanation(intent: Intent, error: ProviderError, *, given_up: bool) -> str:
    """Why something is not done yet, in a sentence for a person; without a definite answer it may have been done."""
    message = error.failure.message[:400]
    if given_up and isinstance(error, Unknown):
        return f"No definite answer after {intent.tries} attempts; an operator must look. The last one: {message}"
    return message


async def looked_up(found: Awaitable[T]) -> T:
    """The result of a look-up. One that failed says nothing of what it looked for, and sent nothing: always Unknown."""
    try:
        return await found
    except PROVIDER_ERRORS as error:
        raise Unknown(error.failure, untouched=True) from error


def certain(intent: Intent, error: ProviderError) -> ProviderError:
    """The error as it is for the whole intent: a refusal of one attempt that leaves open what an earlier one did (see
    `retry.proves`) is no definite answer."""
    if isinstance(error, Unknown) or proves(error) or not intent.unsure:
        return error
    return Unknown(error.failure, untouched=True)


async def _fail(
    scope: WriteScope,
    intent: Intent,
    error: ProviderError,
    status: IntentStatus,
    *,
    retry_at: datetime | None = None,
    held_for: str | None = None,
    new_key: bool = False,
) -> bool:
    failure = error.failure
    values: dict[str, Any] = {
        "platform": scope.platform,
        "intent": intent.id,
        "now": scope.now,
        "attempt": intent.attempts,
        "outcome": _outcome(error).value,
        "http_status": failure.status,
        "code": failure.code,
        "message": failure.message[:500],
        "request_id": failure.request_id,
        "status": status.value,
        "provider_id": failure.payment_id if status is IntentStatus.REFUSED else None,
        "error": failure.as_json(),
        "held_for": held_for,
        "retry_at": retry_at,
        "new_key": new_key,
        "spent": proves(error) or answer_is_kept(failure.as_json()),
        "reached_until": _reached_until(intent, error, scope.now),
        "certain": not isinstance(error, Unknown),
        "unsure": intent.unsure,
    }
    return await scope.run(_FAIL, values) == 1


def _reached_until(intent: Intent, error: ProviderError, now: datetime) -> datetime | None:
    """The latest instant at which the provider can have received what it may still complete, after this attempt."""
    if proves(error):
        return None
    failure = error.failure
    if isinstance(error, Unknown) and not error.untouched:
        # A first answer may be repeated within one call of ours; one that was kept before this attempt did nothing now.
        repeated = bool(failure.replayed) and intent.spent
        other_request = failure.type == "idempotency_error" and answer_is_kept(failure.as_json())
        return intent.reached_until if repeated or other_request else now
    return intent.reached_until


def _outcome(error: ProviderError) -> AttemptOutcome:
    match error:
        case Declined():
            return AttemptOutcome.DECLINED
        case Refused():
            return AttemptOutcome.REFUSED
        case Unknown():
            return AttemptOutcome.UNKNOWN
