"""The schedule: sweeps that make sure that nothing waits for an event, a message or a worker that was lost.

A job that is due is claimed in the database, and what it owes is put into the outbox in the same transaction, so any
number of instances run each slot once. Time is the platforms' (`SystemScope.now`): when the sandbox's clock is moved,
what became due is swept within a second. Slots that passed while nobody ran are made up for by one run
(`events.schedule`).
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import bindparam, text

from marketbill.db import Database, SystemScope
from marketbill.errors import Unavailable, told
from marketbill.events import outbox, schedule
from marketbill.events.schedule import Recurring, Slot
from marketbill.health import alarms
from marketbill.ids import NO_PLATFORM
from marketbill.payments import risk
from marketbill.payments.resolve import NEWS_DUE as PAYMENT_NEWS_DUE
from marketbill.payments.resolve import UNSETTLED_DUE
from marketbill.payouts import treasury
from marketbill.payouts.run import DUE as PAYOUT_RUN_DUE
from marketbill.payouts.upkeep import NEWS_DUE as PAYOUT_NEWS_DUE
from marketbill.payouts.upkeep import RETURN_DUE
from marketbill.platforms.model import platform, provider_credential
from marketbill.provider.kinds import kinds_of
from marketbill.reconciliation.reconcile import RECONCILE
from marketbill.recovery.ladder import DUE as DEBT_DUE
from marketbill.recovery.ladder import PAID as DEBTS_PAID
from marketbill.refunds.outcome import ARRIVED as REFUND_ARRIVED
from marketbill.refunds.outcome import DECIDABLE as REFUND_DECIDABLE
from marketbill.sellers.upkeep import NEWS_DUE as SELLER_NEWS_DUE
from marketbill.sellers.upkeep import NEWS_WITHIN
from marketbill.sellers.vat_check import CHECK_DUE as VAT_CHECK_DUE
from marketbill.statements.fee_invoice import Month
from marketbill.statements.invoice_run import DUE as INVOICES_DUE
from marketbill.webhooks.catch_up import CATCH_UP
from marketbill_workers.jobs import PLATFORM_JOBS, PRUNE, REFRESH_RATES

PLATFORMS_MAX = 10_000
#: Seconds after which the schedule's rows are made sure of again.
ENSURE_SECONDS = 60.0
#: Seconds for which an instance leaves a job alone that failed in its hands.
FAILED_WAIT_SECONDS = 30.0
#: A job whose statement takes longer is given up, and taken up again a little later. (It shall not hold up the others.)
STATEMENT_MAX = "30s"
#: Where no look for alarms was taken for longer, everything is late for a moment.
ALARMS_GAP = timedelta(minutes=10)
_MINUTE = timedelta(minutes=1)
log = structlog.get_logger("marketbill.schedule")


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A recurring job, and what it does in the transaction of its slot: little, such as owing jobs to the workers."""

    recurring: Recurring
    run: Callable[[SystemScope, Slot], Awaitable[None]]


def _requests_due(job: str) -> str:
    """SQL: whether a platform `p` has a request due that the job sends."""
    kinds = ", ".join(f"'{kind}'" for kind in kinds_of(job))
    return (
        f"exists (select from provider_intent i where i.platform_id = p.platform_id and i.kind in ({kinds})"
        " and i.next_attempt_at <= :now)"
    )


# Every probe is of a partial index that holds only what waits, so a platform with nothing to do costs next to nothing.
# Where there is no bound to look for, the first of the index is asked for: of two columns that are empty or not, the
# planner expects so many rows that it would look for one in the whole table.
_RESTLESS = text(
    f"""
    select platform_id, handle_events, make_available, release_payments, release_reserves, resolve_payments,
      execute_transfers, execute_reversals, keep_up_debts, execute_payouts, execute_refunds, run_payouts,
      execute_disputes, keep_up_payouts, keep_up_sellers, expire_holds
    from (
      select p.platform_id,
        exists (select from inbox_event e where e.platform_id = p.platform_id and e.next_attempt_at <= :now)
          as handle_events,
        exists (select from payment y where y.platform_id = p.platform_id and y.settled_at is not null
          and y.available_at is null and y.available_on <= :now) as make_available,
        exists (select from payment y where y.platform_id = p.platform_id and y.available_at is not null
          and y.released_at is null and y.release_on <= :now)
          or exists (select from seller_hold h where h.platform_id = p.platform_id and h.lifted_at is null
            and h.until <= :now)
          or exists (select from seller_hold h where h.platform_id = p.platform_id and h.lifted_at is not null
            and h.resumed_at is null) as release_payments,
        exists (select from reserve r where r.platform_id = p.platform_id and r.released_at is null
          and r.release_on <= :now) as release_reserves,
        exists (select from payment y where y.platform_id = p.platform_id and {UNSETTLED_DUE})
          or exists (select from payment y where y.platform_id = p.platform_id and {PAYMENT_NEWS_DUE})
          or {_requests_due("resolve_payments")} as resolve_payments,
        (select min(s.released_at) from payment_share s where s.platform_id = p.platform_id
          and s.released_at is not null and s.transfers_planned_at is null) is not null
          or exists (select from transfer t where t.platform_id = p.platform_id and t.status = 'HELD')
          or {_requests_due("execute_transfers")} as execute_transfers,
        {_requests_due("execute_reversals")}
          or exists (select from reversal r where r.platform_id = p.platform_id and r.status = 'WAITING')
          as execute_reversals,
        exists (select from debt d where d.platform_id = p.platform_id and {DEBT_DUE})
          or exists (select from seller_suspension u where u.platform_id = p.platform_id and {DEBTS_PAID})
          as keep_up_debts,
        {_requests_due("execute_payouts")} as execute_payouts,
        {_requests_due("execute_refunds")}
          or exists (select from refund r where r.platform_id = p.platform_id and {REFUND_DECIDABLE})
          or exists (select from refund r where r.platform_id = p.platform_id and {REFUND_ARRIVED})
          as execute_refunds,
        (select min(d.settle_since) from dispute d where d.platform_id = p.platform_id
          and d.settle_since is not null) is not null
          or (select min(w.act_since) from fraud_warning w where w.platform_id = p.platform_id
          and w.act_since is not null) is not null
          or {_requests_due("execute_disputes")} as execute_disputes,
        {PAYOUT_RUN_DUE} as run_payouts,
        exists (select from payout o where o.platform_id = p.platform_id and {PAYOUT_NEWS_DUE}) as keep_up_payouts,
        {_requests_due("keep_up_sellers")}
          or exists (select from seller s where s.platform_id = p.platform_id and {SELLER_NEWS_DUE})
          or exists (select from vat_check v where v.platform_id = p.platform_id and {VAT_CHECK_DUE})
          as keep_up_sellers,
        exists (select from ledger_hold h where h.platform_id = p.platform_id and h.expires_at <= :now) as expire_holds
      from platform p
    ) work
    where handle_events or make_available or release_payments or release_reserves or resolve_payments
      or execute_transfers or execute_reversals or keep_up_debts or execute_payouts or execute_refunds or run_payouts
      or execute_disputes or keep_up_payouts or keep_up_sellers or expire_holds
    limit :limit
    """  # noqa: S608 (our own words alone)
).bindparams(bindparam("limit", PLATFORMS_MAX))


# There may be many, and none is urgent: not a matter of each minute.
_MAY_RETURN = text(
    f"""
    select p.platform_id from platform p
    where exists (select from payout o where o.platform_id = p.platform_id and {RETURN_DUE}) limit :limit
    """  # noqa: S608 (our own words alone)
).columns(platform.c.platform_id)
_INVOICES_DUE = text(
    f"select p.platform_id from platform p where {INVOICES_DUE} limit :limit"  # noqa: S608 (our own words alone)
).columns(platform.c.platform_id)
_RULED = text("select distinct platform_id from release_rule limit :limit").columns(platform.c.platform_id)
_CONNECTED = text("select platform_id from provider_credential order by platform_id limit :limit").columns(
    provider_credential.c.platform_id
)


async def sweep(scope: SystemScope, _: Slot) -> None:
    """Owes the jobs of every platform that has something due."""
    values = {
        "now": scope.now,
        "news_before": scope.now - NEWS_WITHIN,
    }
    restless = (await scope.connection.execute(_RESTLESS, values)).mappings()
    await outbox.enqueue_for(
        scope,
        [
            (work["platform_id"], job, (str(work["platform_id"]),))
            for work in restless
            for job in PLATFORM_JOBS
            if work.get(job)
        ],
    )


async def catch_up(scope: SystemScope, _: Slot) -> None:
    """Has every platform that is connected look through the provider's list of events."""
    connected = (await scope.connection.scalars(_CONNECTED, {"limit": PLATFORMS_MAX})).all()
    await outbox.enqueue_for(scope, [(platform, CATCH_UP, (str(platform),)) for platform in connected])


async def keep_up_treasury(scope: SystemScope, _: Slot) -> None:
    """Has every platform that is connected look for money of its own that moved."""
    connected = (await scope.connection.scalars(_CONNECTED, {"limit": PLATFORMS_MAX})).all()
    await outbox.enqueue_for(scope, [(platform, treasury.JOB, (str(platform),)) for platform in connected])


async def reconcile(scope: SystemScope, _: Slot) -> None:
    """Has every platform that is connected compared with what its provider says."""
    connected = (await scope.connection.scalars(_CONNECTED, {"limit": PLATFORMS_MAX})).all()
    await outbox.enqueue_for(scope, [(platform, RECONCILE, (str(platform),)) for platform in connected])


async def ask_returns(scope: SystemScope, _: Slot) -> None:
    """Owes the asking about payouts that were paid and may have come back since."""
    values = {"now": scope.now, "limit": PLATFORMS_MAX}
    platforms = (await scope.connection.scalars(_MAY_RETURN, values)).all()
    await outbox.enqueue_for(scope, [(platform, "keep_up_payouts", (str(platform),)) for platform in platforms])


async def owe_invoices(scope: SystemScope, _: Slot) -> None:
    """Owes the fee invoices of a month that is over."""
    month = Month.of(scope.now)
    values = {"this_month": month.start, "last_month": month.previous.first, "limit": PLATFORMS_MAX}
    platforms = (await scope.connection.scalars(_INVOICES_DUE, values)).all()
    await outbox.enqueue_for(scope, [(platform, "issue_invoices", (str(platform),)) for platform in platforms])


async def assess_risk(scope: SystemScope, _: Slot) -> None:
    """Owes the look for signs of risk, on platforms that have rules at all."""
    ruled = (await scope.connection.scalars(_RULED, {"limit": PLATFORMS_MAX})).all()
    await outbox.enqueue_for(scope, [(platform, risk.JOB, (str(platform),)) for platform in ruled])


async def prune(scope: SystemScope, _: Slot) -> None:
    await outbox.enqueue_for(scope, [(NO_PLATFORM, PRUNE, ())])


async def refresh_rates(scope: SystemScope, _: Slot) -> None:
    await outbox.enqueue_for(scope, [(NO_PLATFORM, REFRESH_RATES, ())])


async def raise_alarms(scope: SystemScope, slot: Slot) -> None:
    await alarms.look(scope, after_gap=slot.missed * _MINUTE > ALARMS_GAP)


# In this order where several are due: what is late is looked for after it was swept.
SCHEDULE = (
    Scheduled(Recurring("sweep", _MINUTE), sweep),
    Scheduled(Recurring("catch_up", timedelta(minutes=10)), catch_up),
    Scheduled(Recurring("treasury", timedelta(minutes=10)), keep_up_treasury),
    Scheduled(Recurring("reconcile", timedelta(minutes=10)), reconcile),
    Scheduled(Recurring("ask_returns", timedelta(hours=1)), ask_returns),
    Scheduled(Recurring("owe_invoices", timedelta(hours=1)), owe_invoices),
    Scheduled(Recurring("assess_risk", timedelta(hours=6)), assess_risk),
    Scheduled(Recurring("prune", timedelta(hours=1)), prune),
    Scheduled(Recurring("refresh_rates", timedelta(hours=4)), refresh_rates),
    Scheduled(Recurring("alarms", _MINUTE), raise_alarms),
)


class Schedule:
    """Ticks: call it often, and it runs what is due."""

    def __init__(self, db: Database, scheduled: Sequence[Scheduled] = SCHEDULE) -> None:
        self._db = db
        self._scheduled = {item.recurring.job: item for item in scheduled}
        self._ensured = -ENSURE_SECONDS
        self._waits: dict[str, float] = {}

    async def tick(self) -> list[str]:
        """Gives the names of what this instance ran. Raises Unavailable when the database is away.

        Each job has a transaction of its own: one that fails keeps none of the others from running.
        """
        ran: list[str] = []
        async with self._db.system() as scope:
            if time.monotonic() - self._ensured >= ENSURE_SECONDS:
                await schedule.ensure(scope, [item.recurring for item in self._scheduled.values()])
                self._ensured = time.monotonic()
            due = await schedule.due(scope, list(self._scheduled))
        for job in filter(due.__contains__, self._scheduled):
            if time.monotonic() < self._waits.get(job, 0):
                continue
            if await self._run(self._scheduled[job]):
                ran.append(job)
        return ran

    async def _run(self, item: Scheduled) -> bool:
        """Runs a job's slot; False when another instance has it, or it failed."""
        job = item.recurring.job
        try:
            async with self._db.system() as scope:
                await scope.connection.execute(text(f"set local statement_timeout = '{STATEMENT_MAX}'"))
                taken = await schedule.claim(scope, job)
                if taken is None:
                    return False
                await item.run(scope, taken)
        except Unavailable:
            raise
        except Exception as error:
            # Its slot is due still, for another instance or for this one a little later.
            self._waits[job] = time.monotonic() + FAILED_WAIT_SECONDS
            log.error("scheduled job failed", job=job, error=told(error))
            return False
        if taken.missed:
            log.warning("missed slots of the schedule made up for", job=job, missed=taken.missed)
        return True
