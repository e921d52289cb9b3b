"""The schedule: sweeps that make sure that nothing waits for an event, a message or a worker that was lost.

A slot of time is claimed in the database and its jobs are put into the outbox in the same transaction, so any number of
instances run each slot once. Time is the platforms' (`SystemScope.now`): when the sandbox's clock is moved, what became
due is swept within a second. A slot that passed while nobody ran is not made up for: the next sweep finds all the same.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, text

from marketbill.db import Database, SystemScope
from marketbill.events import outbox
from marketbill.events.schedule import claim_slot, slot
from marketbill.ids import PlatformId
from marketbill.payments.checkout import CREATE_PAYMENT
from marketbill.payments.resolve import NEWS_DUE as PAYMENT_NEWS_DUE
from marketbill.payments.resolve import SETTLES_WITHIN
from marketbill.payouts.payout import CREATE_PAYOUT
from marketbill.payouts.transfer import CREATE_TRANSFER
from marketbill.payouts.upkeep import NEWS_DUE as PAYOUT_NEWS_DUE
from marketbill.sellers.onboarding import CREATE_ACCOUNT
from marketbill.sellers.upkeep import NEWS_WITHIN
from marketbill_workers.jobs import PLATFORM_JOBS, PRUNE

PLATFORMS_MAX = 10_000
#: Jobs that belong to no platform are kept in the outbox under this id.
NO_PLATFORM = PlatformId(UUID(int=0))


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Something that runs once in every period `every`."""

    name: str
    every: timedelta
    enqueue: Callable[[SystemScope], Awaitable[None]]


# Every probe is of a partial index that holds only what waits, so a platform with nothing to do costs next to nothing.
_RESTLESS = text(
    f"""
    select platform_id, handle_events, make_available, release_payments, resolve_payments, execute_transfers,
      execute_payouts, keep_up_payouts, keep_up_sellers
    from (
      select p.platform_id,
        exists (select from inbox_event e where e.platform_id = p.platform_id and e.next_attempt_at <= :now)
          as handle_events,
        exists (select from payment y where y.platform_id = p.platform_id and y.settled_at is not null
          and y.available_at is null and y.available_on <= :now) as make_available,
        exists (select from payment y where y.platform_id = p.platform_id and y.available_at is not null
          and y.released_at is null and y.release_on <= :now) as release_payments,
        exists (select from payment y where y.platform_id = p.platform_id and y.succeeded_at < :unsettled_before
          and y.settled_at is null)
          or exists (select from payment y where y.platform_id = p.platform_id and {PAYMENT_NEWS_DUE})
          or exists (select from provider_intent i where i.platform_id = p.platform_id and i.kind = :create_payment
            and i.next_attempt_at <= :now) as resolve_payments,
        exists (select from payment y where y.platform_id = p.platform_id and y.released_at is not null
          and y.transfers_planned_at is null)
          or exists (select from transfer t where t.platform_id = p.platform_id and t.status = 'HELD')
          or exists (select from provider_intent i where i.platform_id = p.platform_id and i.kind = :create_transfer
            and i.next_attempt_at <= :now) as execute_transfers,
        exists (select from provider_intent i where i.platform_id = p.platform_id and i.kind = :create_payout
          and i.next_attempt_at <= :now) as execute_payouts,
        exists (select from payout o where o.platform_id = p.platform_id and {PAYOUT_NEWS_DUE}) as keep_up_payouts,
        exists (select from provider_intent i where i.platform_id = p.platform_id and i.kind = :create_account
          and i.next_attempt_at <= :now)
          or exists (select from seller s where s.platform_id = p.platform_id and s.transfers <> 'ACTIVE'
            and s.provider_account is not null and s.provider_read_at < :news_before) as keep_up_sellers
      from platform p
    ) work
    where handle_events or make_available or release_payments or resolve_payments or execute_transfers
      or execute_payouts or keep_up_payouts or keep_up_sellers
    limit :limit
    """  # noqa: S608 (our own words alone)
).bindparams(
    bindparam("create_account", CREATE_ACCOUNT),
    bindparam("create_payment", CREATE_PAYMENT),
    bindparam("create_transfer", CREATE_TRANSFER),
    bindparam("create_payout", CREATE_PAYOUT),
    bindparam("limit", PLATFORMS_MAX),
)


async def sweep(scope: SystemScope) -> None:
    """Owes the jobs of every platform that has something due."""
    values = {
        "now": scope.now,
        "unsettled_before": scope.now - SETTLES_WITHIN,
        "news_before": scope.now - NEWS_WITHIN,
    }
    restless = (await scope.connection.execute(_RESTLESS, values)).mappings()
    await outbox.enqueue_for(
        scope,
        [
            (work["platform_id"], job, (str(work["platform_id"]),))
            for work in restless
            for job in PLATFORM_JOBS
            if work[job]
        ],
    )


async def prune(scope: SystemScope) -> None:
    await outbox.enqueue_for(scope, [(NO_PLATFORM, PRUNE, ())])


SCHEDULE = (
    Scheduled("sweep", timedelta(minutes=1), sweep),
    Scheduled("prune", timedelta(hours=1), prune),
)


class Schedule:
    """Ticks: call it often, it does something once a slot."""

    def __init__(self, db: Database, scheduled: tuple[Scheduled, ...] = SCHEDULE) -> None:
        self._db = db
        self._scheduled = scheduled
        self._seen: dict[str, datetime] = {}

    async def tick(self) -> list[str]:
        """Gives the names of what was enqueued by this instance. Raises Unavailable when the database is away."""
        enqueued: list[str] = []
        seen: dict[str, datetime] = {}
        async with self._db.system() as scope:
            for item in self._scheduled:
                due_at = seen[item.name] = slot(scope.now, item.every)
                if self._seen.get(item.name) != due_at and await claim_slot(scope, item.name, due_at):
                    await item.enqueue(scope)
                    enqueued.append(item.name)
        self._seen = seen
        return enqueued
