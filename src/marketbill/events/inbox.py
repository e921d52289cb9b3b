"""The inbox: provider events, stored raw before anything is done about them, once by their id, handled in any order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, Row, Text, bindparam, func, select, text, update

from marketbill.db import Scope, SystemScope, WriteScope
from marketbill.events.model import inbox_event
from marketbill.prepared import prepared
from marketbill.provider.objects import ProviderEvent

CLAIM_LIMIT_MAX = 500
LIST_LIMIT_MAX = 200
ERROR_LENGTH_MAX = 500
#: A worker that claimed events without staying in its transaction has this long.
CLAIM_LEASE = timedelta(minutes=2)
#: After so many failed tries an event waits for an operator.
ATTEMPTS_MAX = 20
#: Handled events are forgotten after this; the provider lists its own for 30 days, and what it lists must be known.
KEPT = timedelta(days=35)
PRUNE_LIMIT = 5_000
#: While it is the provider that does not answer, an event is counted as tried no more often than this: it is never
#: parked for it, and may end a worker a few times more before it is.
ATTEMPTS_AWAY = ATTEMPTS_MAX - 5
_NO_END = "Claimed too often without an end: its worker may have died of it each time."
_RETRY_FIRST = timedelta(seconds=2)
_RETRY_LONGEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that waits; `raw` is the body as it was signed.

    `untold` claims of it came to no end: whoever had it neither handled it nor said why not.
    """

    id: str
    type: str
    account: str | None
    object_id: str
    raw: bytes
    occurred_at: datetime
    attempts: int
    untold: int = 0


_STORE = prepared(
    text(
        """
    insert into inbox_event
      (platform_id, id, type, account, object_id, raw, occurred_at, error, received_at, attempts, next_attempt_at)
    select :platform, event.*, :now, 0, case when event.error is null then cast(:now as timestamptz) end
    from unnest(cast(:ids as text[]), cast(:types as text[]), cast(:accounts as text[]), cast(:object_ids as text[]),
                cast(:raws as bytea[]), cast(:occurred_ats as timestamptz[]), cast(:errors as text[]))
      as event (id, type, account, object_id, raw, occurred_at, error)
    on conflict do nothing
    returning id
    """
    )
)
_CLAIM = prepared(
    text(
        """
    with spent as (
      select id from inbox_event
      where platform_id = :platform and next_attempt_at <= :now and attempts >= :most
      order by occurred_at, id limit :limit
      for update skip locked
    ), parked as (
      update inbox_event e set next_attempt_at = null, error = coalesce(e.error, :no_end)
      from spent where e.platform_id = :platform and e.id = spent.id
    ), due as (
      select id from inbox_event
      where platform_id = :platform and next_attempt_at <= :now and attempts < :most
      order by occurred_at, id limit :limit
      for update skip locked
    )
    update inbox_event e set attempts = attempts + 1, next_attempt_at = :lease_until
    from due where e.platform_id = :platform and e.id = due.id
    returning e.id, e.type, e.account, e.object_id, e.raw, e.occurred_at, e.attempts, e.error is null as untold
    """
    )
)
_HANDLED = prepared(
    update(inbox_event)
    .where(
        inbox_event.c.platform_id == bindparam("platform"),
        inbox_event.c.id == bindparam("ids", type_=ARRAY(Text)).any_(),
        inbox_event.c.handled_at.is_(None),
    )
    .values(handled_at=bindparam("now"), next_attempt_at=None, error=None)
)
_FAILED = (
    update(inbox_event)
    .where(
        inbox_event.c.platform_id == bindparam("platform"),
        inbox_event.c.id == bindparam("event"),
        inbox_event.c.handled_at.is_(None),
    )
    .values(
        error=bindparam("problem"),
        next_attempt_at=bindparam("retry_at"),
        attempts=func.least(inbox_event.c.attempts, bindparam("attempts")),
    )
)
_TROUBLED = (
    select(inbox_event)
    .where(
        inbox_event.c.platform_id == bindparam("platform"),
        inbox_event.c.handled_at.is_(None),
        inbox_event.c.error.is_not(None),
    )
    .order_by(inbox_event.c.received_at.desc())
    .limit(bindparam("limit"))
)
_REVIVE = (
    update(inbox_event)
    .where(
        inbox_event.c.platform_id == bindparam("platform"),
        inbox_event.c.id == bindparam("event"),
        inbox_event.c.handled_at.is_(None),
    )
    .values(attempts=0, next_attempt_at=bindparam("now"))
)
_DISMISS = (
    update(inbox_event)
    .where(
        inbox_event.c.platform_id == bindparam("platform"),
        inbox_event.c.id == bindparam("event"),
        inbox_event.c.handled_at.is_(None),
        inbox_event.c.error.is_not(None),
    )
    .values(
        handled_at=bindparam("now"),
        next_attempt_at=None,
        dismissed_by=bindparam("operator"),
        dismiss_reason=bindparam("reason"),
    )
)
_STORED = text("select id from inbox_event where platform_id = :platform and id = any(:ids)")
_PRUNE = text(
    """
    delete from inbox_event e using (
      select platform_id, id from inbox_event where received_at < :before and handled_at is not null limit :limit
    ) old
    where e.platform_id = old.platform_id and e.id = old.id
    """
)


async def store(
    scope: WriteScope, events: Sequence[tuple[ProviderEvent, bytes]], *, parked: Mapping[str, str] | None = None
) -> set[str]:
    """Keeps events with their raw bodies; gives the ids of those that were not there yet.

    The provider delivers at least once, and may do so twice within one call. `parked` says by id why an event is not to
    be handled before an operator says so (`revive`).
    """
    reasons = parked or {}
    # In one order, so that two processes that write the same events do not wait for each other in a circle.
    distinct = dict(sorted((event.id, (event, raw)) for event, raw in events))
    values = {
        "platform": scope.platform,
        "ids": list(distinct),
        "types": [event.type for event, _ in distinct.values()],
        "accounts": [event.account for event, _ in distinct.values()],
        "object_ids": [event.object_id for event, _ in distinct.values()],
        "raws": [raw for _, raw in distinct.values()],
        "occurred_ats": [event.created for event, _ in distinct.values()],
        "errors": [reasons.get(id) for id in distinct],
        "now": scope.now,
    }
    return {row.id for row in await scope.rows(_STORE, values)}


async def claim(scope: WriteScope, limit: int, *, lease: timedelta = CLAIM_LEASE) -> list[StoredEvent]:
    """Takes up to `limit` waiting events, oldest first, which no other worker gets before `lease` is over.

    The caller may handle them in this transaction, or commit, ask the provider, and handle them in another. An event
    whose last try came to no end is parked: it may be what ends its worker.
    """
    values = {
        "platform": scope.platform,
        "now": scope.now,
        "limit": min(limit, CLAIM_LIMIT_MAX),
        "lease_until": scope.now + lease,
        "most": ATTEMPTS_MAX,
        "no_end": _NO_END,
    }
    events = [_event(row) for row in await scope.rows(_CLAIM, values)]
    return sorted(events, key=lambda event: (event.occurred_at, event.id))


async def mark_handled(scope: WriteScope, ids: Sequence[str]) -> None:
    """In the transaction of the effects, so that an event is handled exactly when its effects are there."""
    await scope.run(_HANDLED, {"platform": scope.platform, "ids": list(ids), "now": scope.now})


async def mark_failed(
    scope: WriteScope, id: str, error: str, retry_at: datetime | None, *, attempts_most: int = ATTEMPTS_MAX
) -> None:
    """Not handled: again from `retry_at`, or never by itself (None). `error` must hold no personal data.

    It counts as tried `attempts_most` times at most.
    """
    values = {"problem": error[:ERROR_LENGTH_MAX], "retry_at": retry_at, "attempts": attempts_most}
    await scope.run(_FAILED, {"platform": scope.platform, "event": id, **values})


def retry_at(now: datetime, attempts: int) -> datetime | None:
    """When to try an event again after its `attempts`-th failure: doubling from 2 s to an hour; None after 20 times."""
    if attempts >= ATTEMPTS_MAX:
        return None
    return now + min(_RETRY_FIRST * 2 ** min(attempts, 30), _RETRY_LONGEST)


async def troubled(scope: Scope, limit: int = 50) -> Sequence[Row[Any]]:
    """The events that failed and are not handled, newest first."""
    return await scope.rows(_TROUBLED, {"platform": scope.platform, "limit": min(limit, LIST_LIMIT_MAX)})


async def revive(scope: WriteScope, id: str) -> bool:
    """An operator's wish: try an unhandled event again, now."""
    return await scope.run(_REVIVE, {"platform": scope.platform, "event": id, "now": scope.now}) == 1


async def dismiss(scope: WriteScope, id: str, *, by: str, reason: str) -> bool:
    """An operator's wish: never handle an event that failed or is parked. It counts as handled, and keeps its error."""
    values = {"platform": scope.platform, "event": id, "now": scope.now, "operator": by, "reason": reason}
    return await scope.run(_DISMISS, values) == 1


async def known(scope: Scope, ids: Sequence[str]) -> set[str]:
    """Those of these events that are in the inbox."""
    return {row.id for row in await scope.rows(_STORED, {"platform": scope.platform, "ids": list(ids)})}


async def prune(scope: SystemScope, *, older_than: timedelta = KEPT, limit: int = PRUNE_LIMIT) -> int:
    """Deletes up to `limit` events that were handled long ago; gives their number. What is not handled stays."""
    pruned = await scope.connection.execute(_PRUNE, {"before": scope.now - older_than, "limit": limit})
    return pruned.rowcount


def _event(row: Row[Any]) -> StoredEvent:
    return StoredEvent(
        id=row.id,
        type=row.type,
        account=row.account,
        object_id=row.object_id,
        raw=bytes(row.raw),
        occurred_at=row.occurred_at,
        attempts=row.attempts,
        untold=row.attempts - 1 if row.untold else 0,
    )
