"""Alarms: what is late is told once, at the level ERROR, when it begins, and once when it is over.

After a downtime, or when a clock is moved, everything is late for a moment. So what has a limit is told of when two
looks in a row found it, and a look after a gap is a first one. The looks are the schedule's; the table remembers them,
so it does not matter which instance looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import ARRAY, Row, Text, Uuid, bindparam, text

from marketbill.db import Instant, SystemScope
from marketbill.health.findings import count_late
from marketbill.health.processes import judge, read_signs
from marketbill.health.waits import WAITS, Kind
from marketbill.ids import NO_PLATFORM, public_id

#: Looks in a row after which an alarm is raised; where nothing may wait at all, the first is enough.
LOOKS = 2
#: Lines logged by one look; of more alarms than that, only their number.
LINES_MAX = 50

_SEEN = text(
    """
    insert into alarm as a (platform_id, kind, number, since, seen)
    select * from (
      select unnest(cast(:platforms as uuid[])), unnest(cast(:kinds as text[])), unnest(cast(:numbers as bigint[])),
        unnest(cast(:sinces as timestamptz[])), 1
    ) found
    on conflict (platform_id, kind) do update set number = excluded.number, since = excluded.since,
      seen = case when :after_gap then 1 else a.seen + 1 end
    """
).bindparams(
    bindparam("platforms", type_=ARRAY(Uuid)),
    bindparam("kinds", type_=ARRAY(Text)),
    bindparam("sinces", type_=ARRAY(Instant)),
)
_OVER = text(
    """
    delete from alarm a where not exists (
      select from unnest(cast(:platforms as uuid[]), cast(:kinds as text[])) as found (platform_id, kind)
      where found.platform_id = a.platform_id and found.kind = a.kind
    ) returning a.platform_id, a.kind, a.number, a.since, a.raised_at
    """
).bindparams(bindparam("platforms", type_=ARRAY(Uuid)), bindparam("kinds", type_=ARRAY(Text)))
_RAISE = text(
    """
    update alarm set raised_at = :now where raised_at is null and (seen >= :looks or kind = any(:at_once))
    returning platform_id, kind, number, since
    """
).bindparams(bindparam("at_once", type_=ARRAY(Text)))
_RAISED = text(
    "select kind, count(*) as platforms, sum(number) as things from alarm where raised_at is not null"
    " group by kind order by kind limit 100"
)
_AT_ONCE = [str(kind) for kind, wait in WAITS.items() if not wait.limit]
log = structlog.get_logger("marketbill.alarm")


@dataclass(frozen=True, slots=True)
class Raised:
    """The alarms of a kind: on how many platforms, and of how many things."""

    kind: str
    platforms: int
    things: int


async def look(scope: SystemScope, *, after_gap: bool = False) -> None:
    """Looks at everything, and tells of what is new and of what is over. `after_gap`: none was taken for long."""
    found = {(one.platform, str(one.kind)): (one.number, one.since) for one in await count_late(scope)}
    for finding in judge(await read_signs(scope)):
        key = (NO_PLATFORM, finding.kind)
        number, since = found.get(key, (0, scope.now))
        found[key] = (number + 1, min(since, finding.since or scope.now))
    values = {"platforms": [platform for platform, _ in found], "kinds": [kind for _, kind in found]}
    if found:
        counted = {
            "numbers": [number for number, _ in found.values()],
            "sinces": [since for _, since in found.values()],
        }
        await scope.connection.execute(_SEEN, {**values, **counted, "after_gap": after_gap})
    over = (await scope.connection.execute(_OVER, values)).all()
    raised = (await scope.connection.execute(_RAISE, {"now": scope.now, "looks": LOOKS, "at_once": _AT_ONCE})).all()
    _tell("alarm", raised, scope.now)
    _tell("alarm is over", [row for row in over if row.raised_at is not None], scope.now)


async def raised(scope: SystemScope) -> list[Raised]:
    """The alarms that stand, by kind."""
    rows = await scope.connection.execute(_RAISED)
    return [Raised(row.kind, row.platforms, int(row.things)) for row in rows]


def _tell(event: str, rows: Sequence[Row[Any]], now: datetime) -> None:
    say = log.error if event == "alarm" else log.info
    for row in rows[:LINES_MAX]:
        wait = WAITS[Kind(row.kind)] if row.kind in WAITS else None
        say(
            event,
            kind=row.kind,
            platform=None if row.platform_id == NO_PLATFORM else public_id("platform", row.platform_id),
            number=row.number,
            since=row.since.isoformat(),
            seconds=int((now - row.since).total_seconds()),
            **({"what": wait.words} if wait else {}),
            see="marketbill doctor",
        )
    if len(rows) > LINES_MAX:
        say(event, kind="many", number=len(rows) - LINES_MAX, see="marketbill doctor")
