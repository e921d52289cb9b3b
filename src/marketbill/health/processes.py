"""The processes' health, as far as the database shows it: schedule, relay, pruning, schema, clocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from marketbill.db import Database, SystemScope
from marketbill.events import schedule
from marketbill.events.schedule import ScheduledJob
from marketbill.health.findings import Finding
from marketbill.idempotency import keys
from marketbill.migrate import head


class Part(StrEnum):
    """What may be wrong with the processes, beside what waits on a platform."""

    SCHEDULE_LATE = "schedule_late"
    OUTBOX_LATE = "outbox_late"
    KEYS_NOT_PRUNED = "keys_not_pruned"
    SCHEMA = "schema"
    CLOCK_DRIFT = "clock_drift"
    PROVIDER_AWAY = "provider_away"


#: A job of the schedule may be late by this: the relay looks each second.
SCHEDULE_LATE = timedelta(minutes=3)
#: A message may wait this long in the outbox: the relay looks many times a second.
OUTBOX_LATE = timedelta(minutes=2)
#: Idempotency keys are forgotten after `keys.KEPT`, once an hour.
KEYS_LATE = timedelta(hours=3)
#: Clocks may differ by this: leases, signatures and due dates live with it.
DRIFT_MAX = timedelta(seconds=5)

_SIGNS = text(
    f"""
    select clock_timestamp() as database_time,
      (select min(available_at) from outbox_message) as outbox_since,
      (select min(claimed_at) from idempotency_key) as keys_since,
      (select count(*) from (select from outbox_message where available_at <= :now limit {10_000}) due) as outbox
    """  # noqa: S608 (our own words alone)
)
_SHIFT = text("select coalesce(sum(shift_seconds), 0)::bigint from test_clock")
_REVISION = text("select version_num from alembic_version limit 2")
_START_RELAY = "start `marketbill relay`; see in its log whether database and broker answer it"


@dataclass(frozen=True, slots=True)
class Signs:
    """What was read. `drift` is how far this machine's clock is ahead of the database's; `outbox` messages are due."""

    now: datetime
    drift: timedelta
    outbox: int
    outbox_since: datetime | None
    keys_since: datetime | None
    jobs: tuple[ScheduledJob, ...]


async def read_signs(scope: SystemScope) -> Signs:
    """A few bounded reads."""
    row = (await scope.connection.execute(_SIGNS, {"now": scope.now})).one()
    shift = timedelta(seconds=await scope.connection.scalar(_SHIFT) or 0)
    jobs = tuple(await schedule.scheduled(scope))
    since = row.outbox_since if row.outbox else None
    return Signs(scope.now, scope.now - shift - row.database_time, row.outbox, since, row.keys_since, jobs)


def judge(signs: Signs) -> list[Finding]:
    """What is wrong with what was read."""
    found: list[Finding] = []
    for job in signs.jobs:
        if signs.now - job.next_due_at > SCHEDULE_LATE:
            found.append(
                Finding(Part.SCHEDULE_LATE, f"scheduled job {job.job}", job.next_due_at, SCHEDULE_LATE, _START_RELAY)
            )
    if signs.outbox_since is not None and signs.now - signs.outbox_since > OUTBOX_LATE:
        what = f"outbox with {signs.outbox:,} messages"
        found.append(Finding(Part.OUTBOX_LATE, what, signs.outbox_since, OUTBOX_LATE, _START_RELAY))
    if signs.keys_since is not None and signs.now - signs.keys_since > keys.KEPT + KEYS_LATE:
        to_do = "see that the workers run: `prune` forgets old keys each hour"
        found.append(
            Finding(Part.KEYS_NOT_PRUNED, "old idempotency keys", signs.keys_since, keys.KEPT + KEYS_LATE, to_do)
        )
    found += clocks("the database", signs.drift)
    return found


def clocks(other: str, drift: timedelta) -> list[Finding]:
    """Whether our clock and another one differ by more than they may; `drift` is how far ours is ahead."""
    if abs(drift) <= DRIFT_MAX:
        return []
    ahead = "ahead of" if drift > timedelta(0) else "behind"
    what = f"our clock is {abs(drift).total_seconds():,.0f} s {ahead} that of {other}"
    return [Finding(Part.CLOCK_DRIFT, what, None, DRIFT_MAX, "keep the clocks of all machines equal (NTP)")]


async def schema_finding(db: Database) -> Finding | None:
    """Whether the database has the newest schema of this program. Nothing else can be looked at when it has not."""
    revisions: Sequence[str] = ()
    try:
        async with db.system() as scope:
            revisions = (await scope.connection.scalars(_REVISION)).all()
    except (ProgrammingError, asyncpg.UndefinedTableError):
        pass  # an older schema does not show its revision, an empty database has none
    wanted = head()
    if list(revisions) == [wanted]:
        return None
    known = ", ".join(revisions) or "none that can be read"
    what = f"the database's schema is {known}, this program's {wanted}"
    to_do = "run `marketbill migrate`; if the database is the newer one, run the newer program"
    return Finding(Part.SCHEMA, what, None, timedelta(0), to_do)
