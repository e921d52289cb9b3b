"""The schedule's memory: when each job is due next, so that any number of instances run each slot once.

A job that is due is taken with its row locked, and what it does is committed with the row: two instances never run one
slot twice, and a slot whose instance died is due still. After a downtime one run makes up for the slots that passed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from marketbill.db import SystemScope

#: A job that nobody has run for so long is forgotten; if there is an instance that knows it, it comes back as new.
KEPT = timedelta(days=7)
JOBS_MAX = 100

_ENSURE = text(
    """
    insert into schedule (job, every_seconds, next_due_at, missed) values (:job, :every, :due_at, 0)
    on conflict (job) do update set every_seconds = excluded.every_seconds,
      next_due_at = least(schedule.next_due_at, cast(:latest as timestamptz))
    where schedule.every_seconds <> excluded.every_seconds or schedule.next_due_at > cast(:latest as timestamptz)
    """
)
_DUE = text("select job from schedule where job = any(:jobs) and next_due_at <= :now limit :limit")
_CLAIM = text(
    "select every_seconds, next_due_at from schedule where job = :job and next_due_at <= :now for update skip locked"
)
_TAKEN = text(
    "update schedule set next_due_at = :next_due_at, last_run_at = :now, missed = missed + :missed where job = :job"
)
_ROWS = text("select * from schedule order by job limit :limit")
_FORGET = text("delete from schedule where next_due_at < :before")


@dataclass(frozen=True, slots=True)
class Recurring:
    """A job and its period."""

    job: str
    every: timedelta


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot that was taken: when it was due, and how many before it are made up for with it."""

    due_at: datetime
    missed: int


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A row of the schedule."""

    job: str
    every: timedelta
    next_due_at: datetime
    last_run_at: datetime | None
    missed: int


async def ensure(scope: SystemScope, recurring: Sequence[Recurring]) -> None:
    """Makes sure of the rows; a new job is due at once. One that is due later than it can be is due now.

    The latter happens when a clock was set back.
    """
    for item in sorted(recurring, key=lambda item: item.job):
        values = {
            "job": item.job,
            "every": int(item.every.total_seconds()),
            "due_at": slot(scope.now, item.every),
            "latest": slot(scope.now, item.every) + 2 * item.every,
        }
        await scope.connection.execute(_ENSURE, values)


async def due(scope: SystemScope, jobs: Collection[str]) -> set[str]:
    """Those of the jobs that are due; another instance may be at them already."""
    values = {"jobs": list(jobs), "now": scope.now, "limit": JOBS_MAX}
    return set((await scope.connection.scalars(_DUE, values)).all())


async def claim(scope: SystemScope, job: str) -> Slot | None:
    """The slot of a job that is due, for the one instance that gets it. Do the slot's work in the same transaction."""
    row = (await scope.connection.execute(_CLAIM, {"job": job, "now": scope.now})).first()
    if row is None:
        return None
    every = timedelta(seconds=row.every_seconds)
    taken = coalesced(row.next_due_at, scope.now, every)
    values = {
        "job": job,
        "next_due_at": taken.due_at + every,
        "missed": taken.missed,
        "now": scope.now,
    }
    await scope.connection.execute(_TAKEN, values)
    return taken


async def scheduled(scope: SystemScope) -> list[ScheduledJob]:
    """Every job of the schedule, by name."""
    rows = await scope.connection.execute(_ROWS, {"limit": JOBS_MAX})
    return [
        ScheduledJob(row.job, timedelta(seconds=row.every_seconds), row.next_due_at, row.last_run_at, row.missed)
        for row in rows
    ]


async def forget_old_jobs(scope: SystemScope) -> None:
    await scope.connection.execute(_FORGET, {"before": scope.now - KEPT})


def coalesced(due_at: datetime, now: datetime, every: timedelta) -> Slot:
    """The slot that `now` is in, which makes up for all since `due_at`."""
    current = max(slot(now, every), due_at)
    return Slot(current, (current - due_at) // every)


def slot(now: datetime, every: timedelta) -> datetime:
    """The start of the period of length `every` that `now` is in, counted from the epoch."""
    seconds = int(every.total_seconds())
    return datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, now.tzinfo)
