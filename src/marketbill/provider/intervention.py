"""Intervention: what an operator does to an intent that does not get on by itself: tries it again, or ends it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from marketbill.db import Scope, WriteScope
from marketbill.errors import NotFound, StateConflict
from marketbill.ids import public_id
from marketbill.provider import intent as intents
from marketbill.provider.claim import UNDER_WAY
from marketbill.provider.intent import ANSWER_STANDS, Intent
from marketbill.provider.model import IntentStatus

# What was certainly not done goes under a new key: under the old one the provider may only repeat its answer. It is
# looked up first in any case, and where that is not certain the key follows from the look-up (`Intent.key_use`). What
# still waits is due at once, and all else stays as it was.
_RETRY = text(
    f"""
    with mine as (
      select i.id, i.status in ('GAVE_UP', 'ABANDONED') as ended,
        i.status in ('GAVE_UP', 'ABANDONED') and not i.unsure as renewed
      from provider_intent i
      where i.platform_id = :platform and i.id = :intent
        and i.status in ('OPEN', 'UNKNOWN', 'GAVE_UP', 'ABANDONED') and not {UNDER_WAY}
      for update of i
    )
    update provider_intent i
    set status = case when mine.ended then 'UNKNOWN' else i.status end,
      unsure = i.unsure or mine.ended,
      forgiven = i.attempts,
      generation = i.generation + case when mine.renewed then 1 else 0 end,
      sent_at = case when mine.renewed then null else i.sent_at end,
      spent = i.spent and not mine.renewed,
      held_for = null, next_attempt_at = :now, updated_at = :now,
      decided_by = :by, decided_at = :now, decision_reason = null
    from mine where i.platform_id = :platform and i.id = mine.id
    """  # noqa: S608 (our own words alone)
)
_ABANDON = text(
    f"""
    update provider_intent i
    set status = 'ABANDONED', held_for = null, next_attempt_at = null, updated_at = :now,
      decided_by = :by, decided_at = :now, decision_reason = :reason
    where i.platform_id = :platform and i.id = :intent and i.status in ('OPEN', 'UNKNOWN', 'GAVE_UP')
      and i.attempts = :attempt and i.updated_at = :touched_at and not {UNDER_WAY}
    """  # noqa: S608 (our own words alone)
)
_ENDED = (IntentStatus.SUCCEEDED, IntentStatus.REFUSED, IntentStatus.ABANDONED)


async def retry(scope: WriteScope, id: UUID, *, by: str) -> None:
    """Makes an intent due at once that was given up, abandoned, or waits. `by` names the operator.

    Raises NotFound, and StateConflict when it has ended or an attempt at it is under way. Whoever calls this asks the
    saga first (`Saga.retried`).
    """
    values = {"platform": scope.platform, "intent": id, "now": scope.now, "by": by}
    if await scope.run(_RETRY, values) != 1:
        raise _not_now(await load(scope, id))


async def abandon(scope: WriteScope, intent: Intent, *, by: str, reason: str) -> None:
    """Ends an intent for good, after a look-up proved that the provider never did it.

    Raises StateConflict when it has ended or an attempt at it began or ended since `intent` was loaded.
    """
    values = {"platform": scope.platform, "intent": intent.id, "now": scope.now, "by": by, "reason": reason}
    values |= {"attempt": intent.attempts, "touched_at": intent.touched_at}
    if await scope.run(_ABANDON, values) != 1:
        raise _not_now(await load(scope, intent.id))


async def load(scope: Scope, id: UUID) -> Intent:
    """One intent. Raises NotFound."""
    intent = await intents.get(scope, id)
    if intent is None:
        raise NotFound("provider intent", public_id("provider intent", id), path=("id",))
    return intent


def check_abandonable(intent: Intent, now: datetime) -> None:
    """Raises StateConflict for an intent that has ended, whose attempt is under way, or that the provider may still
    complete: what a look-up does not find now proves nothing then."""
    if intent.status in _ENDED:
        raise _not_now(intent)
    if intent.reached_until is not None and intent.reached_until > now:
        raise StateConflict(
            f"An attempt at this request is under way, until {intent.reached_until:%Y-%m-%d %H:%M:%S} UTC at most.",
            current_state=intent.status,
            path=("id",),
        )
    if intent.reached_until is not None and intent.outstanding(now):
        at = intent.reached_until + ANSWER_STANDS
        raise StateConflict(
            f"The provider may still complete this request: it may be abandoned from {at:%Y-%m-%d %H:%M} UTC on.",
            current_state=intent.status,
            path=("id",),
        )


def _not_now(intent: Intent) -> StateConflict:
    if intent.status in _ENDED:
        return StateConflict("This request has ended.", current_state=intent.status, path=("id",))
    return StateConflict(
        "An attempt at this request is under way: look again in a few minutes.",
        current_state=intent.status,
        path=("id",),
    )
