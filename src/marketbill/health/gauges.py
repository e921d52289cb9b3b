"""Gauges: the numbers that a monitoring system asks for, over all platforms; no name, no amount, no person in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text

from marketbill.db import Database
from marketbill.events import schedule
from marketbill.health import alarms
from marketbill.health.alarms import Raised

#: More are not counted: the number then says "at least".
COUNTED_MAX = 100_000

# Each part is of an index that holds only what waits.
_NUMBERS = text(
    f"""
    select
      (select count(*) from (select from outbox_message where available_at <= :now limit {COUNTED_MAX}) o) as outbox,
      (select min(available_at) from outbox_message) as outbox_since,
      (select count(*) from (select from inbox_event where next_attempt_at is not null limit {COUNTED_MAX}) e)
        as unhandled,
      (select min(received_at) from (select received_at from inbox_event where next_attempt_at is not null
        limit {COUNTED_MAX}) e) as unhandled_since,
      (select count(*) from (select from inbox_event where handled_at is null and next_attempt_at is null
        limit {COUNTED_MAX}) e) as parked,
      (select count(*) from (select from provider_intent where status = 'GAVE_UP' limit {COUNTED_MAX}) i) as gave_up,
      (select min(next_attempt_at) from provider_intent) as due_since,
      (select min(coalesce(c.ran_at, w.created_at)) from provider_credential w
        left join event_cursor c on c.platform_id = w.platform_id and c.account = '') as caught_up_at
    """  # noqa: S608 (our own words alone)
)
_OPEN = text(
    f"""
    select status, count(*) as number from (
      select status from provider_intent where next_attempt_at is not null limit {COUNTED_MAX}
    ) i group by status
    """  # noqa: S608 (our own words alone)
)
_LIMIT = text("set local statement_timeout = '5s'")


@dataclass(frozen=True, slots=True)
class Gauges:
    """Numbers of things, and how long the oldest of them has waited, in seconds (0 where there is none)."""

    outbox: int
    outbox_seconds: float
    unhandled: int
    unhandled_seconds: float
    parked: int
    requests: dict[str, int]
    requests_due_seconds: float
    schedule_seconds: dict[str, float]
    slots_missed: dict[str, int]
    catch_up_seconds: float
    alarms: tuple[Raised, ...]


async def measure(db: Database) -> Gauges:
    """A few bounded reads in one transaction. Raises Unavailable."""
    async with db.system() as scope:
        await scope.connection.execute(_LIMIT)
        row = (await scope.connection.execute(_NUMBERS, {"now": scope.now})).one()
        opened = (await scope.connection.execute(_OPEN)).all()
        jobs = await schedule.scheduled(scope)
        return Gauges(
            outbox=row.outbox,
            outbox_seconds=_seconds(scope.now, row.outbox_since),
            unhandled=row.unhandled,
            unhandled_seconds=_seconds(scope.now, row.unhandled_since),
            parked=row.parked,
            requests=_requests(opened) | {"GAVE_UP": row.gave_up},
            requests_due_seconds=_seconds(scope.now, row.due_since),
            schedule_seconds={job.job: _seconds(scope.now, job.next_due_at) for job in jobs},
            slots_missed={job.job: job.missed for job in jobs},
            catch_up_seconds=_seconds(scope.now, row.caught_up_at),
            alarms=tuple(await alarms.raised(scope)),
        )


def _requests(rows: Sequence[Row[Any]]) -> dict[str, int]:
    return {"OPEN": 0, "UNKNOWN": 0} | {row.status: row.number for row in rows}


def _seconds(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max((now - since) / timedelta(seconds=1), 0.0)
