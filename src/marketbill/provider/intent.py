"""Intents: what we are about to ask of the provider, committed before we ask.

The life of one: `open_intent` in the business transaction; the call, outside any transaction, under `intent.key`
(`saga`); then its end is recorded (`ending`). When a process dies in between, a sweeper claims the intent (`claim`). An
intent that may have been sent before (`look_up_first`) is looked up at the provider by its key or its transfer group
before it is tried again; that, the lease of a claim, and the provider's own idempotency make it happen once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, or_, select, text
from sqlalchemy.dialects.postgresql import JSONB

from marketbill import clock
from marketbill.db import Scope, WriteScope
from marketbill.errors import NotFound
from marketbill.ids import new_id, parse_id, public_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.prepared import prepared
from marketbill.provider.model import IntentStatus, provider_attempt, provider_intent
from marketbill.provider.port import SEND_LONGEST

#: What a caller has, besides the call itself, to commit what he opened and to begin to ask.
CALLER_BEGINS_WITHIN = timedelta(seconds=15)
#: A caller that asks at once has this long before a sweeper takes over.
CALLER_LEASE = SEND_LONGEST + CALLER_BEGINS_WITHIN
#: What the provider received and gave no definite answer to, it has undone or completed after this long.
ANSWER_STANDS = timedelta(hours=6)
LIST_LIMIT_MAX = 200


@dataclass(frozen=True, slots=True)
class KeyMemory:
    """How long an idempotency key is of use: `life` after it was first sent the provider may forget it, and one whose
    answer it only repeats stays until `kept` after the last attempt that could have done anything. After that a request
    is looked up and gets a new key."""

    life: timedelta
    kept: timedelta


class KeyUse(Enum):
    """The key under which a request may be sent, after a look-up found nothing. AWAIT: under none, for what an earlier
    attempt began may still be completed, and the old key may be forgotten."""

    SAME = auto()
    NEW = auto()
    AWAIT = auto()


#: A key may be forgotten after 24 hours, and a server error stays with it.
DAY_LONG = KeyMemory(timedelta(hours=23), ANSWER_STANDS)
#: Keys of the provider's newer API: remembered for 30 days, and what failed is executed again under them.
MONTH_LONG = KeyMemory(timedelta(days=29), timedelta(days=29))


@dataclass(frozen=True, slots=True)
class Intent:
    """One request to the provider. `request` is what the caller stored; `key` its idempotency key at the provider.

    `attempts` is also its fencing token, and never goes back: who holds an older number may not record a failure any
    more. `tries` counts only those since an operator last wanted it tried again. `unsure` tells that an earlier attempt
    may have been done; `sent_before` is when one first used the present key, or None. `reached_until` is the latest
    instant at which the provider can have received what it may still complete, None when nothing is outstanding;
    `spent` tells that under the present key it only repeats an answer. All are as they were before it was claimed.
    `touched_at` is the platform's time when it was last changed, for a claimed intent when it was claimed.
    `leased_until` is when the claim of this worker ends, by the clock of its machine; None without a claim.
    """

    id: UUID
    kind: str
    subject_id: UUID
    generation: int
    request: Mapping[str, Any]
    status: str
    attempts: int
    forgiven: int
    provider_id: str | None
    last_error: Mapping[str, Any] | None
    created_at: datetime
    touched_at: datetime
    unsure: bool
    sent_before: datetime | None
    reached_until: datetime | None = None
    spent: bool = False
    leased_until: datetime | None = None

    @property
    def key(self) -> str:
        """The idempotency key: the same for every attempt, until one was refused for certain."""
        return intent_key(self.id, self.generation)

    @property
    def public_id(self) -> str:
        """`int_…`, which is also in the metadata of what the provider made of it."""
        return public_id("provider intent", self.id)

    @property
    def tries(self) -> int:
        return self.attempts - self.forgiven

    @property
    def look_up_first(self) -> bool:
        """True when an earlier attempt may have succeeded."""
        return self.unsure

    def key_use(self, now: datetime, memory: KeyMemory = DAY_LONG) -> KeyUse:
        """Under which key it may be sent once a look-up found nothing: a new one (`claim.renew_key`) when the provider
        may have forgotten the old one, or only ever repeats its answer, and nothing is outstanding any more (decision
        record 0008)."""
        if self.sent_before is None:
            return KeyUse.SAME
        if now - self.sent_before > memory.life:
            return KeyUse.AWAIT if self.outstanding(now) else KeyUse.NEW
        return KeyUse.NEW if self.spent and not self.outstanding(now, memory.kept) else KeyUse.SAME

    def outstanding(self, now: datetime, stands: timedelta = ANSWER_STANDS) -> bool:
        """True while the provider may still complete what it received: what a look-up does not find proves nothing."""
        return self.reached_until is not None and now - self.reached_until <= stands

    @property
    def look_up_until(self) -> datetime | None:
        """What was made for it was made before this; None when there is no such bound."""
        return None if self.reached_until is None else self.reached_until + ANSWER_STANDS


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
        with drafted as (
          select * from jsonb_to_recordset(:intents) as i (id uuid, kind text, subject_id uuid, request jsonb)
        ), opened as (
          insert into provider_intent (platform_id, id, kind, subject_id, generation, request, status, attempts,
                                       unsure, created_at, updated_at, sent_at, reached_until, next_attempt_at)
          select :platform, i.id, i.kind, i.subject_id, 1, i.request, 'OPEN', cast(:attempts as integer),
                 :unsure, :now, :now, cast(:sent_at as timestamptz), cast(:reached_until as timestamptz), :due_at
          from drafted i
        )
        insert into provider_attempt (platform_id, intent_id, number, generation, looked_up, started_at)
        select :platform, i.id, 1, 1, :looked_up, :now from drafted i where cast(:attempts as integer) > 0
        """
    ).bindparams(bindparam("intents", type_=JSONB))
)
_THIS = (provider_intent.c.platform_id == bindparam("platform")) & (provider_intent.c.id == bindparam("intent"))
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
# What is not ended always waits for something, and the index on that is a small one.
_WAITS = provider_intent.c.next_attempt_at.is_not(None)
_FAILED = provider_intent.c.status.in_(("REFUSED", "GAVE_UP", "ABANDONED"))
#: The newest attempts of an intent that are told.
ATTEMPTS_MAX = 50
_ATTEMPTS = (
    text(
        """
        select a.* from unnest(cast(:intents as uuid[])) as wanted (id)
        cross join lateral (
          select * from provider_attempt a where a.platform_id = :platform and a.intent_id = wanted.id
          order by a.number desc limit :limit
        ) a
        """
    )
    .bindparams(bindparam("intents", type_=ARRAY(Uuid)))
    .columns(*provider_attempt.c)
)


async def open_intent(
    scope: WriteScope,
    *,
    kind: str,
    subject_id: UUID,
    request: Mapping[str, Any],
    send_now: bool = True,
    unsure: bool = False,
) -> Intent:
    """Writes the intent down in the caller's transaction. `request` must be JSON.

    With `send_now` the caller asks the provider as soon as it has committed, and sweepers keep away for `CALLER_LEASE`;
    otherwise the intent is due at once, for `claim.claim_due`. `unsure`: what it asks for may have been made already,
    for an earlier intent that was given up, so it is looked up first.
    """
    drafts = [IntentDraft(kind, subject_id, request)]
    [intent] = await open_intents(scope, drafts, send_now=send_now, unsure=unsure)
    return intent


async def open_intents(
    scope: WriteScope, drafts: Sequence[IntentDraft], *, send_now: bool, unsure: bool = False
) -> list[Intent]:
    """Many at once, in one statement; see `open_intent`."""
    if not drafts:
        return []
    opened = [(new_id(), draft) for draft in drafts]
    leased_until = clock.now() + CALLER_LEASE if send_now else None
    await scope.run(
        _INSERT,
        {
            "platform": scope.platform,
            "attempts": 1 if send_now else 0,
            "unsure": send_now or unsure,
            "looked_up": unsure,
            "now": scope.now,
            "sent_at": scope.now if send_now else None,
            "reached_until": scope.now + CALLER_LEASE if send_now else None,
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
            status=IntentStatus.OPEN,
            attempts=1 if send_now else 0,
            forgiven=0,
            provider_id=None,
            last_error=None,
            created_at=scope.now,
            touched_at=scope.now,
            unsure=unsure,
            sent_before=None,
            leased_until=leased_until,
        )
        for id, draft in opened
    ]


async def get(scope: Scope, id: UUID) -> Intent | None:
    row = await scope.first(_BY_ID, {"platform": scope.platform, "intent": id})
    return intent_of(row) if row else None


async def for_subjects(scope: Scope, kind: str, subject_ids: Sequence[UUID]) -> list[Intent]:
    """The intents of many subjects, oldest first (bounded)."""
    values = {"platform": scope.platform, "kind": kind, "subjects": list(subject_ids)}
    return [intent_of(row) for row in await scope.rows(_BY_SUBJECTS, values)]


async def page(scope: Scope, request: PageRequest, *, status: Sequence[IntentStatus] | None = None) -> Page:
    """The rows of a platform's intents, newest first; `status` chooses any of these."""
    statement = select(provider_intent).where(provider_intent.c.platform_id == scope.platform)
    if status is not None:
        statement = statement.where(provider_intent.c.status.in_([one.value for one in status]))
        if IntentStatus.SUCCEEDED not in status:  # all others are few, and each has its index
            statement = statement.where(or_(_WAITS, _FAILED))
    return await newest_first(scope, statement, provider_intent.c.id, request)


async def row_by_id(scope: Scope, id: str) -> Row[Any]:
    """One intent's row. Raises NotFound."""
    found = {"platform": scope.platform, "intent": parse_id("provider intent", id, path=("id",))}
    row = await scope.first(_BY_ID, found)
    if row is None:
        raise NotFound("provider intent", id, path=("id",))
    return row


async def attempts_of(scope: Scope, intent_ids: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The rows of the newest attempts of many intents (`ATTEMPTS_MAX` of each), newest first, in one statement."""
    values = {"platform": scope.platform, "intents": list(intent_ids), "limit": ATTEMPTS_MAX}
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in intent_ids}
    for row in await scope.rows(_ATTEMPTS, values):
        found[row.intent_id].append(row)
    return found


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
        forgiven=row.forgiven,
        provider_id=row.provider_id,
        last_error=row.last_error,
        created_at=row.created_at,
        touched_at=row.updated_at,
        unsure=row.unsure,
        sent_before=row.sent_at,
        reached_until=row.reached_until,
        spent=row.spent,
        leased_until=leased_until,
    )
