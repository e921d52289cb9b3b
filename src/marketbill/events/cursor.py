"""How far the provider's list of events was looked through, per account, and who is looking through it now."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, text

from marketbill.db import Instant, WriteScope

#: The platform's own account, which its events do not name.
OWN = ""
#: A worker that looks through the list has this long.
LEASE = timedelta(minutes=6)
ERROR_LENGTH_MAX = 500

# A walk that is under way has a job that goes on with it. Only when nobody did for long does another job take it up.
_CLAIM = text(
    """
    insert into event_cursor as c (platform_id, account, seen_until, tried_at, leased_until)
    values (:platform, :account, :begin, :now, :until)
    on conflict (platform_id, account) do update set tried_at = excluded.tried_at, leased_until = excluded.leased_until
    where (c.leased_until is null or c.leased_until <= :now)
      and (cast(:goes_on as boolean) or c.walk_newest is null or c.tried_at <= :stale)
    returning c.seen_until, c.walk_newest, c.walk_down_to, c.leased_until
    """
)
_STEP = text(
    """
    update event_cursor set walk_newest = :newest, walk_down_to = :down_to
    where platform_id = :platform and account = :account and leased_until = :lease
    """
)
_COMPLETE = text(
    """
    update event_cursor set seen_until = greatest(seen_until, :newest), ran_at = :now, leased_until = null,
      walk_newest = null, walk_down_to = null, failing_since = null, error = null
    where platform_id = :platform and account = :account and leased_until = :lease
    """
)
_LET_GO = text(
    """
    update event_cursor set leased_until = null, error = :error,
      failing_since = case when cast(:error as text) is not null then coalesce(failing_since, :now) end
    where platform_id = :platform and account = :account and leased_until = :lease
    """
).bindparams(bindparam("now", type_=Instant))


class Overtaken(Exception):
    """The worker took so long that another one has the cursor now."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk down the list that takes several steps: all events from `down_to` up to the `newest` were seen."""

    newest: datetime
    down_to: datetime


@dataclass(frozen=True, slots=True)
class Cursor:
    """`seen_until` is the provider's time of the last event before which all were seen. `lease` tells whose it is."""

    account: str
    seen_until: datetime
    walk: Walk | None
    lease: datetime


async def claim(scope: WriteScope, account: str, *, begin: datetime, goes_on: bool = False) -> Cursor | None:
    """An account's cursor for this worker alone, beginning at `begin` when it is new.

    None when another worker has it, or has a walk under way; one that `goes_on` with the walk gets it.
    """
    values = {
        "platform": scope.platform,
        "account": account,
        "begin": begin,
        "now": scope.now,
        "until": scope.now + LEASE,
        "stale": scope.now - LEASE,
        "goes_on": goes_on,
    }
    row = await scope.first(_CLAIM, values)
    if row is None:
        return None
    walk = Walk(row.walk_newest, row.walk_down_to) if row.walk_newest else None
    return Cursor(account, row.seen_until, walk, row.leased_until)


async def step(scope: WriteScope, cursor: Cursor, walk: Walk) -> None:
    """The walk has come so far, and goes on there. Raises Overtaken."""
    values = _mine(scope, cursor) | {"newest": walk.newest, "down_to": walk.down_to}
    if await scope.run(_STEP, values) != 1:
        raise Overtaken("Another worker looks through this list by now.")


async def complete(scope: WriteScope, cursor: Cursor, newest: datetime) -> None:
    """Ends the claim: all events up to the `newest` were seen. A cursor never goes back."""
    await scope.run(_COMPLETE, _mine(scope, cursor) | {"newest": newest, "now": scope.now})


async def let_go(scope: WriteScope, cursor: Cursor, *, error: str | None = None) -> None:
    """Ends the claim before the list has come to its end; `error` says why if that was not wanted."""
    values = {"now": scope.now, "error": error and error[:ERROR_LENGTH_MAX]}
    await scope.run(_LET_GO, _mine(scope, cursor) | values)


def _mine(scope: WriteScope, cursor: Cursor) -> dict[str, object]:
    return {"platform": scope.platform, "account": cursor.account, "lease": cursor.lease}
