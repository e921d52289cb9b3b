"""The schedule's memory: which slot of which job was taken, so that any number of instances run each slot once."""

from datetime import datetime, timedelta

from sqlalchemy import text

from marketbill.db import SystemScope

#: Older slots are forgotten.
KEPT = timedelta(days=2)

_CLAIM = text("insert into job_run (job, due_at, claimed_at) values (:job, :due_at, :now) on conflict do nothing")
_FORGET = text("delete from job_run where due_at < :before")


async def claim_slot(scope: SystemScope, job: str, due_at: datetime) -> bool:
    """True for the one instance that got this slot. Enqueue the slot's jobs in the same transaction."""
    taken = await scope.connection.execute(_CLAIM, {"job": job, "due_at": due_at, "now": scope.now})
    return taken.rowcount == 1


async def forget_old_slots(scope: SystemScope) -> None:
    await scope.connection.execute(_FORGET, {"before": scope.now - KEPT})


def slot(now: datetime, every: timedelta) -> datetime:
    """The start of the period of length `every` that `now` is in, counted from the epoch."""
    seconds = int(every.total_seconds())
    return datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, now.tzinfo)
