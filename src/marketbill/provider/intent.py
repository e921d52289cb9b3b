"""Intents: what we are about to ask of the provider, committed before we ask.

The life of one: `open_intent` in the business transaction; the call, outside any transaction, under `intent.key`; then
one of the `record_*` functions. When a process dies in between, a sweeper claims the intent (`claim`). An intent that
may have been sent before (`look_up_first`) is looked up at the provider by its key or its transfer group before it is
tried again; that, the lease of a claim, and the provider's own idempotency make it happen once.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, Uuid, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Scope, WriteScope
from marketbill.ids import new_id, public_id
from marketbill.prepared import prepared
from marketbill.provider.model import provider_intent
from marketbill.provider.port import Declined, ProviderError, Refused, Unknown
from marketbill.provider.retry import Action, Decision, decide, held_for_at_most

T = TypeVar("T")
#: A caller that asks at once has this long before a sweeper takes over.
CALLER_LEASE = timedelta(seconds=90)
#: The provider may forget an idempotency key after 24 hours; an hour before that it is looked up and gets a new one.
KEY_LIFE = timedelta(hours=23)
LIST_LIMIT_MAX = 200


@dataclass(frozen=True, slots=True)
class Intent:
    """One request to the provider. `request` is what the caller stored; `key` its idempotency key at the provider.

    `attempts` is also its fencing token: who holds an older number may not record a failure any more. `sent_before` is
    when an earlier attempt may have reached the provider, or None if none did. `leased_until` is when the claim of this
    worker ends, by the clock of its machine; None without a claim.
    """

    id: UUID
    kind: str
    subject_id: UUID
    generation: int
    request: Mapping[str, Any]
    status: str
    attempts: int
    provider_id: str | None
    last_error: Mapping[str, Any] | None
    created_at: datetime
    sent_before: datetime | None
    leased_until: datetime | None = None

    @property
    def key(self) -> str:
        """The idempotency key: the same for every attempt, until an attempt was refused for certain."""
        return intent_key(self.id, self.generation)

    @property
    def look_up_first(self) -> bool:
        """True when an earlier attempt may have succeeded."""
        return self.sent_before is not None

    def key_expired(self, now: datetime) -> bool:
        """True when the provider may have forgotten the key: look up, then `renew_key`."""
        return self.sent_before is not None and now - self.sent_before > KEY_LIFE


@dataclass(frozen=True, slots=True)
class IntentDraft:
    """An intent to open; see `open_intents`."""

    kind: str
    subject_id: UUID
    request: Mapping[str, Any]


def intent_key(id: UUID, generation: int = 1) -> str:
    """`mb_int_…`, and `mb_int_…-2` after a definite refusal."""
    return f"mb_{public_id('provider intent', id)}" + (f"-{generation}" if generation > 1 else "")


_INSERT = prepared(
    text(
        """
        insert into provider_intent (platform_id, id, kind, subject_id, generation, request, status, attempts,
                                     created_at, updated_at, sent_at, next_attempt_at)
        select :platform, i.id, i.kind, i.subject_id, 1, i.request, 'OPEN', :attempts, :now, :now,
               cast(:sent_at as timestamptz), :due_at
        from jsonb_to_recordset(:intents) as i (id uuid, kind text, subject_id uuid, request jsonb)
        """
    ).bindparams(bindparam("intents", type_=JSONB))
)
_OPEN = (provider_intent.c.status == "OPEN") | (provider_intent.c.status == "UNKNOWN")
_THIS = (provider_intent.c.platform_id == bindparam("platform")) & (provider_intent.c.id == bindparam("intent"))
# Only the attempt that was claimed last records a failure: whoever took over decides for himself.
_MINE = _THIS & _OPEN & (provider_intent.c.attempts == bindparam("attempt"))
_BY_ID = select(provider_intent).where(_THIS)
_BY_SUBJECTS = (
    select(provider_intent)
    .where(
        provider_intent.c.platform_id == bindparam("platform"),
        provider_intent.c.kind == bindparam("kind"),
        provider_intent.c.subject_id == bindparam("subjects", type_=ARRAY(Uuid)).any_(),
    )
    .order_by(provider_intent.c.id)
    .limit(LIST_LIMIT_MAX * 5)
)
_TROUBLED = (
    select(provider_intent)
    .where(
        provider_intent.c.platform_id == bindparam("platform"),
        provider_intent.c.status.in_(("OPEN", "UNKNOWN", "ABANDONED")),
        provider_intent.c.last_error.is_not(None),
    )
    .order_by(provider_intent.c.id.desc())
    .limit(bindparam("limit"))
)
# A success is true whoever tells it, even of an intent that was given up.
_SUCCEED = prepared(
    update(provider_intent)
    .where(_THIS, _OPEN | (provider_intent.c.status == "ABANDONED"))
    .values(status="SUCCEEDED", provider_id=bindparam("provider_id"), next_attempt_at=None, updated_at=bindparam("now"))
)
_SUCCEED_MANY = prepared(
    text(
        """
    update provider_intent i
    set status = 'SUCCEEDED', provider_id = done.provider_id, next_attempt_at = null, updated_at = :now
    from unnest(cast(:ids as uuid[]), cast(:provider_ids as text[])) as done (id, provider_id)
    where i.platform_id = :platform and i.id = done.id and i.status in ('OPEN', 'UNKNOWN', 'ABANDONED')
    returning i.id
    """
    ).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("provider_ids", type_=ARRAY(Text)))
)
_END = (
    update(provider_intent)
    .where(_MINE)
    .values(
        status=bindparam("new_status"),
        provider_id=bindparam("new_provider_id"),
        last_error=bindparam("error", type_=JSONB),
        next_attempt_at=None,
        updated_at=bindparam("now"),
    )
)
_UNKNOWN = (
    update(provider_intent)
    .where(_MINE)
    .values(
        status="UNKNOWN",
        last_error=bindparam("error", type_=JSONB),
        next_attempt_at=bindparam("retry_at"),
        updated_at=bindparam("now"),
    )
)
_POSTPONE = (
    update(provider_intent)
    .where(_MINE)
    .values(
        status="OPEN",
        generation=bindparam("new_generation"),
        sent_at=None,
        last_error=bindparam("error", type_=JSONB),
        held_for=bindparam("hold"),
        next_attempt_at=bindparam("retry_at"),
        updated_at=bindparam("now"),
    )
)
_REVIVE = (
    update(provider_intent)
    .where(_THIS, provider_intent.c.status == "ABANDONED")
    .values(status="UNKNOWN", attempts=0, next_attempt_at=bindparam("now"), updated_at=bindparam("now"))
)


async def open_intent(
    scope: WriteScope, *, kind: str, subject_id: UUID, request: Mapping[str, Any], send_now: bool = True
) -> Intent:
    """Writes the intent down in the caller's transaction. `request` must be JSON.

    With `send_now` the caller asks the provider as soon as it has committed, and sweepers keep away for `CALLER_LEASE`;
    otherwise the intent is due at once, for `claim.claim_due`.
    """
    [intent] = await open_intents(scope, [IntentDraft(kind, subject_id, request)], send_now=send_now)
    return intent


async def open_intents(scope: WriteScope, drafts: Sequence[IntentDraft], *, send_now: bool) -> list[Intent]:
    """Many at once, in one statement; see `open_intent`."""
    if not drafts:
        return []
    opened = [(new_id(), draft) for draft in drafts]
    await scope.run(
        _INSERT,
        {
            "platform": scope.platform,
            "attempts": 1 if send_now else 0,
            "now": scope.now,
            "sent_at": scope.now if send_now else None,
            "due_at": scope.now + CALLER_LEASE if send_now else scope.now,
            "intents": [
                {"id": str(id), "kind": draft.kind, "subject_id": str(draft.subject_id), "request": draft.request}
                for id, draft in opened
            ],
        },
    )
    return [
        Intent(
            id=id,
            kind=draft.kind,
            subject_id=draft.subject_id,
            generation=1,
            request=draft.request,
            status="OPEN",
            attempts=1 if send_now else 0,
            provider_id=None,
            last_error=None,
            created_at=scope.now,
            sent_before=None,
        )
        for id, draft in opened
    ]


async def record_success(scope: WriteScope, intent: Intent, provider_id: str) -> bool:
    """It was done, as `provider_id`. False when another worker recorded its end first."""
    return await scope.run(_SUCCEED, {**_of(scope, intent), "provider_id": provider_id}) == 1


async def record_successes(scope: WriteScope, done: Sequence[tuple[Intent, str]]) -> set[UUID]:
    """Many at once; gives the ids of the intents whose end this call recorded."""
    values = {
        "platform": scope.platform,
        "now": scope.now,
        "ids": [intent.id for intent, _ in done],
        "provider_ids": [provider_id for _, provider_id in done],
    }
    return {row.id for row in await scope.rows(_SUCCEED_MANY, values)}


async def record_refusal(scope: WriteScope, intent: Intent, error: ProviderError) -> bool:
    """It was declined or refused for certain, and will not be tried again."""
    return await _end(scope, intent, error, "REFUSED")


async def abandon(scope: WriteScope, intent: Intent, error: ProviderError) -> bool:
    """We give up; an operator must look (`troubled`), and may `revive` it."""
    return await _end(scope, intent, error, "ABANDONED")


async def record_unknown(scope: WriteScope, intent: Intent, error: ProviderError, retry_at: datetime) -> bool:
    """No definite answer: from `retry_at` on a sweeper looks it up, and tries again under the same key."""
    values = {**_attempt_of(scope, intent), "error": error.failure.as_json(), "retry_at": retry_at}
    return await scope.run(_UNKNOWN, values) == 1


async def postpone(
    scope: WriteScope, intent: Intent, error: ProviderError, *, retry_at: datetime, held_for: str | None = None
) -> bool:
    """Refused, but it may succeed later: under a new key, from `retry_at` on, or when `let_go(held_for)` is called."""
    values = {
        **_attempt_of(scope, intent),
        "new_generation": intent.generation + 1,
        "error": error.failure.as_json(),
        "hold": held_for,
        "retry_at": retry_at,
    }
    return await scope.run(_POSTPONE, values) == 1


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

    Gives None, and records nothing, when the intent has ended or another worker has taken it over meanwhile.
    `held_for` names what a HOLD waits for (a gate of the seller's provider account); after a week the intent is tried
    anyway, and much sooner where that `seems_free` already: its news may have come before there was a HOLD to end.
    Where the caller undoes what the intent was for when we give up, the intent is not `revivable`.
    """
    decision = decide(error, attempts=intent.attempts, jitter=jitter)
    match decision:
        case Decision(action=Action.AGAIN, after=timedelta() as after, same_key=True):
            recorded = await record_unknown(scope, intent, error, scope.now + after)
        case Decision(action=Action.AGAIN, after=timedelta() as after):
            recorded = await postpone(scope, intent, error, retry_at=scope.now + after)
        case Decision(action=Action.HOLD):
            retry_at = scope.now + held_for_at_most(intent.attempts, seems_free=seems_free)
            recorded = await postpone(scope, intent, error, retry_at=retry_at, held_for=held_for)
        case Decision(action=Action.FINAL):
            recorded = await record_refusal(scope, intent, error)
        case _ if not revivable:
            recorded = await record_refusal(scope, intent, error)
        case _:
            recorded = await abandon(scope, intent, error)
    return decision if recorded else None


async def revive(scope: WriteScope, id: UUID) -> bool:
    """An operator's wish: an abandoned intent is looked up and tried again."""
    return await scope.run(_REVIVE, {"platform": scope.platform, "intent": id, "now": scope.now}) == 1


async def get(scope: Scope, id: UUID) -> Intent | None:
    row = await scope.first(_BY_ID, {"platform": scope.platform, "intent": id})
    return intent_of(row) if row else None


async def for_subjects(scope: Scope, kind: str, subject_ids: Sequence[UUID]) -> list[Intent]:
    """The intents of many subjects, oldest first (bounded)."""
    values = {"platform": scope.platform, "kind": kind, "subjects": list(subject_ids)}
    return [intent_of(row) for row in await scope.rows(_BY_SUBJECTS, values)]


async def troubled(scope: Scope, limit: int = 50) -> list[Intent]:
    """The intents that failed and are not ended, or were given up, newest first."""
    values = {"platform": scope.platform, "limit": min(limit, LIST_LIMIT_MAX)}
    return [intent_of(row) for row in await scope.rows(_TROUBLED, values)]


async def _end(scope: WriteScope, intent: Intent, error: ProviderError, status: str) -> bool:
    values = {
        **_attempt_of(scope, intent),
        "new_status": status,
        "new_provider_id": error.failure.payment_id,
        "error": error.failure.as_json(),
    }
    return await scope.run(_END, values) == 1


def explanation(intent: Intent, error: ProviderError, *, given_up: bool) -> str:
    """Why something is not done yet, in a sentence for a person; without a definite answer it may have been done."""
    message = error.failure.message[:400]
    if given_up and isinstance(error, Unknown):
        return f"No definite answer after {intent.attempts} attempts; an operator must look. The last one: {message}"
    return message


async def looked_up(found: Awaitable[T]) -> T:
    """The result of a look-up. One that was refused says nothing of what it looked for, so it becomes Unknown."""
    try:
        return await found
    except (Declined, Refused) as error:
        raise Unknown(error.failure) from error


def _of(scope: WriteScope, intent: Intent) -> dict[str, Any]:
    return {"platform": scope.platform, "intent": intent.id, "now": scope.now}


def _attempt_of(scope: WriteScope, intent: Intent) -> dict[str, Any]:
    return {**_of(scope, intent), "attempt": intent.attempts}


def intent_of(row: Row[Any], *, leased_until: datetime | None = None) -> Intent:
    """Reads a row of the table."""
    return Intent(
        id=row.id,
        kind=row.kind,
        subject_id=row.subject_id,
        generation=row.generation,
        request=row.request,
        status=row.status,
        attempts=row.attempts,
        provider_id=row.provider_id,
        last_error=row.last_error,
        created_at=row.created_at,
        sent_before=row.sent_at,
        leased_until=leased_until,
    )
