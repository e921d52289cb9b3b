"""Claiming: one worker at a time holds an intent, by a lease, and asks the provider only while the lease is his.

A worker that was held up (a stalled machine, a slow provider) finds its lease over: it asks for nothing more
(`check_lease`), and a failure it records does not count (`attempts` is the fencing token). Success counts from anybody.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import ARRAY, Text, bindparam, text, update

from marketbill import clock
from marketbill.db import WriteScope
from marketbill.prepared import prepared
from marketbill.provider.intent import Intent, intent_of
from marketbill.provider.model import provider_intent
from marketbill.provider.port import Failure, Unknown

#: A sweeper that claimed an intent has this long.
CLAIM_LEASE = timedelta(minutes=3)
#: What one call to the provider may take with the repetitions of its client.
CALL_LONGEST = timedelta(seconds=100)
CLAIM_LIMIT_MAX = 500


class LeaseOver(Exception):
    """The claim ends too soon for another call to the provider; whoever claims the intent next goes on."""


_CLAIM = prepared(
    text(
        """
    with due as (
      select id, sent_at from provider_intent
      where platform_id = :platform and kind = any(:kinds) and next_attempt_at <= :now
      order by next_attempt_at limit :limit
      for update skip locked
    )
    update provider_intent i
    set attempts = attempts + 1, status = 'UNKNOWN', sent_at = coalesce(i.sent_at, :now), held_for = null,
        next_attempt_at = :lease_until, updated_at = :now
    from due where i.platform_id = :platform and i.id = due.id
    returning i.id, i.kind, i.subject_id, i.generation, i.request, i.status, i.attempts, i.provider_id, i.last_error,
      i.created_at, due.sent_at
    """
    ).bindparams(bindparam("kinds", type_=ARRAY(Text)))
)
_RENEW = (
    update(provider_intent)
    .where(
        provider_intent.c.platform_id == bindparam("platform"),
        provider_intent.c.id == bindparam("intent"),
        provider_intent.c.status.in_(("OPEN", "UNKNOWN")),
        provider_intent.c.attempts == bindparam("attempt"),
    )
    .values(generation=provider_intent.c.generation + 1, sent_at=bindparam("now"), updated_at=bindparam("now"))
    .returning(provider_intent.c.generation)
)
_LET_GO = (
    update(provider_intent)
    .where(
        provider_intent.c.platform_id == bindparam("platform"),
        provider_intent.c.held_for == bindparam("hold"),
        provider_intent.c.status == "OPEN",
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


def check_lease(intent: Intent) -> None:
    """Before each call for a claimed intent. Raises LeaseOver."""
    if intent.leased_until is not None and clock.now() + CALL_LONGEST > intent.leased_until:
        raise LeaseOver


async def renew_key(scope: WriteScope, intent: Intent) -> Intent:
    """A new key for an intent whose old one the provider may have forgotten, after a look-up found nothing.

    Raises Unknown when another worker has taken the intent over or ended it.
    """
    values = {"platform": scope.platform, "intent": intent.id, "now": scope.now, "attempt": intent.attempts}
    row = await scope.first(_RENEW, values)
    if row is None:
        raise Unknown(Failure(None, "taken_over", "Another worker has taken this request over."))
    return replace(intent, generation=row.generation, sent_before=scope.now)


async def let_go(scope: WriteScope, held_for: str) -> int:
    """Makes the intents that were held for something due now; gives their number."""
    return await scope.run(_LET_GO, {"platform": scope.platform, "hold": held_for, "now": scope.now})
