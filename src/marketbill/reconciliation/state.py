"""How far a platform was compared with its provider, for whoever asks."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from marketbill.db import Scope

_STATE = text(
    """
    select c.fresh_until, c.ran_at, c.failing_since, c.error,
      (select count(*) from drift d where d.platform_id = :platform and d.closed_at is null and d.accepted_by is null)
        as open_drifts
    from (select cast(:platform as uuid) as platform_id) p
    left join reconcile_cursor c on c.platform_id = p.platform_id
    """
)


@dataclass(frozen=True, slots=True)
class State:
    """`compared_until`: all that moved before was compared; None for nothing yet. `ran_at`: the end of a cycle."""

    compared_until: datetime | None
    ran_at: datetime | None
    failing_since: datetime | None
    error: str | None
    open_drifts: int


async def state(scope: Scope) -> State:
    """The state of the scope's platform."""
    row = await scope.one(_STATE, {"platform": scope.platform})
    return State(row.fresh_until, row.ran_at, row.failing_since, row.error, row.open_drifts)
