"""The jobs: which message runs which use case. All are idempotent, and safe in many workers at once."""

from collections.abc import Awaitable, Callable

import dramatiq
import structlog
from dramatiq import Broker

from marketbill.db import SystemScope
from marketbill.disputes.execute import execute_disputes
from marketbill.events import inbox, schedule
from marketbill.idempotency import keys
from marketbill.ids import PlatformId
from marketbill.ledger import hold
from marketbill.payments import risk
from marketbill.payments.release import release_due
from marketbill.payments.resolve import resolve_payments
from marketbill.payments.settle import funds_available
from marketbill.payouts import treasury
from marketbill.payouts.payout import execute_payouts
from marketbill.payouts.reserve_release import release_reserves
from marketbill.payouts.reversal import execute_reversals
from marketbill.payouts.run import run_payouts
from marketbill.payouts.transfer import execute_transfers
from marketbill.payouts.upkeep import keep_up_payouts
from marketbill.rates import refresh
from marketbill.reconciliation.reconcile import RECONCILE, reconcile
from marketbill.recovery.ladder import keep_up_debts
from marketbill.refunds.outcome import execute_refunds
from marketbill.sellers.upkeep import keep_up_sellers
from marketbill.services import Services
from marketbill.statements.invoice_run import issue_invoices
from marketbill.webhooks.catch_up import CATCH_UP, GO_ON, catch_up, go_on
from marketbill.webhooks.handle import handle_events
from marketbill_workers.broker import QUEUE
from marketbill_workers.runtime import Runtime

log = structlog.get_logger("marketbill.workers")

PlatformJob = Callable[[Services, PlatformId], Awaitable[object]]


async def expire_holds(services: Services, platform: PlatformId) -> None:
    """Gives back the platform's holds whose end has come."""
    await hold.expire_due(services.db, platform)


#: By the names that use cases put into the outbox; each message has one argument, the platform's UUID.
PLATFORM_JOBS: dict[str, PlatformJob] = {
    "handle_events": handle_events,
    "make_available": funds_available,
    "release_payments": release_due,
    "release_reserves": release_reserves,
    "resolve_payments": resolve_payments,
    "execute_transfers": execute_transfers,
    "execute_reversals": execute_reversals,
    "keep_up_debts": keep_up_debts,
    "execute_payouts": execute_payouts,
    "execute_refunds": execute_refunds,
    "run_payouts": run_payouts,
    "execute_disputes": execute_disputes,
    "keep_up_payouts": keep_up_payouts,
    "keep_up_sellers": keep_up_sellers,
    CATCH_UP: catch_up,
    GO_ON: go_on,
    treasury.JOB: treasury.keep_up_treasury,
    "expire_holds": expire_holds,
    risk.JOB: risk.assess_risk,
    RECONCILE: reconcile,
    "issue_invoices": issue_invoices,
}
PRUNE = "prune"
REFRESH_RATES = "refresh_rates"
#: Batches of each kind in one run.
_PRUNE_ROUNDS_MAX = 100


def declare(broker: Broker, runtime: Runtime) -> None:
    """Declares every job to the broker."""
    for name, job in PLATFORM_JOBS.items():
        _declare_platform_job(broker, runtime, name, job)

    @dramatiq.actor(actor_name=PRUNE, queue_name=QUEUE, broker=broker)
    async def prune() -> None:
        await prune_old(runtime.services)

    @dramatiq.actor(actor_name=REFRESH_RATES, queue_name=QUEUE, broker=broker)
    async def refresh_rates() -> None:
        await refresh.keep_up(runtime.services.db, feed=runtime.services.settings.ecb_rates_url)


async def prune_old(services: Services) -> None:
    """Deletes what need not be remembered any more: old idempotency keys, handled events, jobs that nobody runs."""
    pruned = {
        "idempotency_keys": await _prune(services, keys.prune, keys.PRUNE_LIMIT),
        "events": await _prune(services, inbox.prune, inbox.PRUNE_LIMIT),
    }
    async with services.db.system() as scope:
        await schedule.forget_old_jobs(scope)
    log.info("pruned", **pruned)


async def _prune(services: Services, prune: Callable[[SystemScope], Awaitable[int]], limit: int) -> int:
    """In batches, each in a transaction of its own, so that nobody waits long for a lock."""
    pruned = 0
    for _ in range(_PRUNE_ROUNDS_MAX):
        async with services.db.system() as scope:
            deleted = await prune(scope)
        pruned += deleted
        if deleted < limit:
            break
    return pruned


def _declare_platform_job(broker: Broker, runtime: Runtime, name: str, job: PlatformJob) -> None:
    @dramatiq.actor(actor_name=name, queue_name=QUEUE, broker=broker)
    async def run(platform: str) -> None:
        await runtime.for_platform(job, platform)
