"""Claiming: one worker at a time holds an intent, by a lease, and asks the provider only while the lease is his.

One sending takes at most `CALL_LONGEST`, which is shorter than the lease of a caller (`intent.CALLER_LEASE`) and of a
worker (`CLAIM_LEASE`), and none is begun that the lease may not outlast: nobody sends what another has taken over. A
worker that was held up (a stalled machine, a slow provider) finds its lease over: it asks for nothing more
(`check_lease`), and a failure it records does not count (`attempts` is the fencing token). Success counts from anybody.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, text, update

from marketbill import clock
from marketbill.db import WriteScope
from marketbill.prepared import prepared
from marketbill.provider.intent import Intent, intent_of
from marketbill.provider.model import provider_intent
from marketbill.provider.port import SEND_LONGEST, Failure, Unknown

#: What one sending may take: the saga ends it after that, whatever its client still wanted to repeat.
CALL_LONGEST = SEND_LONGEST
#: A sweeper that claimed an intent has this long: for a look-up and a sending, one as slow as the other.
CLAIM_LEASE = 2 * CALL_LONGEST + timedelta(seconds=30)
CLAIM_LIMIT_MAX = 500


class LeaseOver(Exception):
    """The claim ends too soon for another call to the provider; whoever claims the intent next goes on."""


#: SQL: whether somebody's attempt at the intent `i` is under way, as far as its lease goes.
UNDER_WAY = """(
  i.next_attempt_at > :now and exists (
    select from provider_attempt a where a.platform_id = i.platform_id and a.intent_id = i.id
      and a.number = i.attempts and a.ended_at is null
  )
)"""
# What follows the choice of the intents that are `due`: their next attempt begins. One that nobody ended was
# interrupted. What was sent before is told as it was, for that is what the new attempt has to mind; of its own request
# nobody knows when it arrives, but it does so within the lease.
_BEGIN = """
    claimed as (
      update provider_intent i
      set attempts = attempts + 1, status = 'UNKNOWN', unsure = true, sent_at = coalesce(i.sent_at, :now),
          reached_until = :lease_until, held_for = null, next_attempt_at = :lease_until, updated_at = :now
      from due where i.platform_id = :platform and i.id = due.id
      returning i.id, i.kind, i.subject_id, i.generation, i.request, i.status, i.attempts, i.forgiven, i.provider_id,
        i.last_error, i.created_at, i.updated_at, i.spent, due.unsure, due.sent_at, due.reached_until
    ), interrupted as (
      update provider_attempt a set ended_at = :now, outcome = 'INTERRUPTED' from claimed c
      where a.platform_id = :platform and a.intent_id = c.id and a.number = c.attempts - 1 and a.ended_at is null
    ), begun as (
      insert into provider_attempt (platform_id, intent_id, number, generation, looked_up, started_at)
      select :platform, c.id, c.attempts, c.generation, c.unsure, :now from claimed c
    )
    select * from claimed
"""
_CLAIM = prepared(
    text(
        f"""
    with due as (
      select id, unsure, sent_at, reached_until from provider_intent
      where platform_id = :platform and kind = any(:kinds) and next_attempt_at <= :now
      order by next_attempt_at limit :limit
      for update skip locked
    ), {_BEGIN}
    """  # noqa: S608 (our own words alone)
    ).bindparams(bindparam("kinds", type_=ARRAY(Text)))
)
_TAKE = text(
    f"""
    with due as (
      select i.id, i.unsure, i.sent_at, i.reached_until from provider_intent i
      where i.platform_id = :platform and i.id = :intent and i.status in ('OPEN', 'UNKNOWN') and not {UNDER_WAY}
        and not (:repeats and i.spent and i.next_attempt_at > :now)
      for update of i skip locked
    ), {_BEGIN}
    """  # noqa: S608 (our own words alone)
)
_RENEW = text(
    """
    with renewed as (
      update provider_intent set generation = generation + 1, sent_at = :now, spent = false, updated_at = :now
      where platform_id = :platform and id = :intent and status in ('OPEN', 'UNKNOWN') and attempts = :attempt
      returning id, generation, attempts
    ), told as (
      update provider_attempt a set generation = r.generation from renewed r
      where a.platform_id = :platform and a.intent_id = r.id and a.number = r.attempts
    )
    select generation from renewed
    """
)
# One that is claimed is UNKNOWN meanwhile.
_HURRY = text(
    """
    update provider_intent i set next_attempt_at = :now, updated_at = :now
    where i.platform_id = :platform and i.kind = :kind and i.status = 'OPEN' and i.next_attempt_at > :now
      and i.last_error ->> 'code' = any(:codes)
    """
).bindparams(bindparam("codes", type_=ARRAY(Text)))
# Whoever is at one of them holds its row, or has made it UNKNOWN.
_WITHDRAW = text(
    """
    with mine as (
      select i.id from provider_intent i
      where i.platform_id = :platform and i.id = any(:intents) and i.status = 'OPEN' and not i.unsure
      order by i.id for update skip locked
    )
    update provider_intent i
    set status = 'ABANDONED', held_for = null, next_attempt_at = null, updated_at = :now,
      decided_by = 'marketbill', decided_at = :now, decision_reason = :reason
    from mine where i.platform_id = :platform and i.id = mine.id
    returning i.id
    """
).bindparams(bindparam("intents", type_=ARRAY(Uuid)))
_LET_GO = (
    update(provider_intent)
    .where(
        provider_intent.c.platform_id == bindparam("platform"),
        provider_intent.c.held_for == bindparam("hold"),
    )
    .values(held_for=None, next_attempt_at=bindparam("now"), updated_at=bindparam("now"))
)


async def claim_due(
    scope: WriteScope, kinds: Collection[str], limit: int, *, lease: timedelta = CLAIM_LEASE
) -> list[Intent]:
    """Takes up to `limit` due intents for this worker alone, until `lease` is over. Commit, then ask the provider."""
    values = {
        "platform": scope.platform,
        "kinds": list(kinds),
        "now": scope.now,
        "lease_until": scope.now + lease,
        "limit": min(limit, CLAIM_LIMIT_MAX),
    }
    leased_until = clock.now() + lease
    return [intent_of(row, leased_until=leased_until) for row in await scope.rows(_CLAIM, values)]


async def take(scope: WriteScope, intent_id: UUID, *, repeats: bool = True, lease: timedelta = CLAIM_LEASE) -> Intent:
    """Takes this intent at once, due or not, for a caller who comes back to it. Commit, then ask the provider.

    `repeats`: the provider only repeats a kept answer under its key. Then a spent key is not asked before its time: it
    tells nothing new, and an impatient caller would use up all attempts.

    Raises Unknown then, while somebody else's attempt at it is under way, and when it has ended.
    """
    leased_until = clock.now() + lease
    values = {
        "platform": scope.platform,
        "intent": intent_id,
        "repeats": repeats,
        "now": scope.now,
        "lease_until": scope.now + lease,
    }
    row = await scope.first(_TAKE, values)
    if row is None:
        raise taken_over()
    return intent_of(row, leased_until=leased_until)


def check_lease(intent: Intent) -> None:
    """Before each call for a claimed intent. Raises LeaseOver."""
    if intent.leased_until is not None and clock.now() + CALL_LONGEST > intent.leased_until:
        raise LeaseOver


async def renew_key(scope: WriteScope, intent: Intent) -> Intent:
    """A new key for an intent whose old one is of no more use (`Intent.key_use`), after a look-up found nothing: that
    settles whatever was sent under the old one.

    Raises Unknown when another worker has taken the intent over or ended it.
    """
    values = {"platform": scope.platform, "intent": intent.id, "now": scope.now, "attempt": intent.attempts}
    row = await scope.first(_RENEW, values)
    if row is None:
        raise taken_over()
    return replace(intent, generation=row.generation, sent_before=scope.now, reached_until=None, spent=False)


def taken_over() -> Unknown:
    """Somebody else is at it, or has ended it."""
    return Unknown(Failure(None, "taken_over", "Another worker has taken this request over."))


async def hurry(scope: WriteScope, kind: str, codes: Collection[str]) -> int:
    """Makes the intents of a kind due now that wait because they were last refused for one of these; their number."""
    values = {"platform": scope.platform, "kind": kind, "codes": list(codes), "now": scope.now}
    return await scope.run(_HURRY, values)


async def withdraw(scope: WriteScope, intents: Collection[UUID], *, reason: str) -> set[UUID]:
    """Ends those of these intents that were certainly never done and that nobody is at now: they are sent no more."""
    if not intents:
        return set()
    values = {"platform": scope.platform, "intents": list(intents), "now": scope.now, "reason": reason}
    return {row.id for row in await scope.rows(_WITHDRAW, values)}


async def let_go(scope: WriteScope, held_for: str) -> int:
    """Makes the intents that were held for something due now; gives their number."""
    return await scope.run(_LET_GO, {"platform": scope.platform, "hold": held_for, "now": scope.now})
