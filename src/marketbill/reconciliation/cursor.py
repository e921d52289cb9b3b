"""How far a platform was compared with its provider, and which worker is at it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, text

from marketbill.db import Instant, WriteScope

#: A worker has so long for one cycle.
LEASE = timedelta(minutes=20)
ERROR_LENGTH_MAX = 500

_CLAIM = text(
    """
    insert into reconcile_cursor as c (platform_id, fresh_until, again_until, tried_at, leased_until)
    values (:platform, :begin, :begin, :now, :until)
    on conflict (platform_id) do update set tried_at = excluded.tried_at, leased_until = excluded.leased_until
    where c.leased_until is null or c.leased_until <= :now
    returning c.fresh_until, c.again_until, c.leased_until
    """
)
_CAME_TO = text(
    """
    update reconcile_cursor set fresh_until = greatest(fresh_until, coalesce(:fresh, fresh_until)),
      again_until = coalesce(:again, again_until)
    where platform_id = :platform and leased_until = :lease
    """
).bindparams(bindparam("fresh", type_=Instant), bindparam("again", type_=Instant))
_LET_GO = text(
    """
    update reconcile_cursor set leased_until = null, error = :error,
      ran_at = case when cast(:ended as boolean) and cast(:error as text) is null then :now else ran_at end,
      failing_since = case when cast(:error as text) is not null then coalesce(failing_since, :now) end
    where platform_id = :platform and leased_until = :lease
    """
).bindparams(bindparam("now", type_=Instant))


class Overtaken(Exception):
    """The worker took so long that another one has the cursor now."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a cycle begins, for one worker alone."""

    fresh_until: datetime
    again_until: datetime
    lease: datetime


async def claim(scope: WriteScope, *, begin: datetime) -> Cursor | None:
    """The cursor for this worker alone, at `begin` when it is new; None when another worker has it."""
    values = {"platform": scope.platform, "begin": begin, "now": scope.now, "until": scope.now + LEASE}
    row = await scope.first(_CLAIM, values)
    return None if row is None else Cursor(row.fresh_until, row.again_until, row.leased_until)


async def came_to(
    scope: WriteScope, cursor: Cursor, *, fresh_until: datetime | None = None, again_until: datetime | None = None
) -> None:
    """Everything before was compared. Raises Overtaken."""
    values = {"platform": scope.platform, "lease": cursor.lease, "fresh": fresh_until, "again": again_until}
    if await scope.run(_CAME_TO, values) != 1:
        raise Overtaken("Another worker compares this platform by now.")


async def let_go(scope: WriteScope, cursor: Cursor, *, error: str | None, ended: bool) -> None:
    """Ends the claim; `error` says why when the cycle did not come to its end."""
    values = {"platform": scope.platform, "lease": cursor.lease, "now": scope.now}
    await scope.run(_LET_GO, values | {"error": error and error[:ERROR_LENGTH_MAX], "ended": ended})
