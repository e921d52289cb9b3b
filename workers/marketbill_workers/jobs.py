"""The jobs: which message runs which use case. All are idempotent, and safe in many workers at once."""

from collections.abc import Awaitable, Callable

import dramatiq
import structlog
from dramatiq import Broker

from marketbill.events import schedule
from marketbill.idempotency import keys
from marketbill.ids import PlatformId
from marketbill.payments.resolve import resolve_payments
from marketbill.payments.settle import funds_available, release_due
from marketbill.payouts.payout import execute_payouts
from marketbill.payouts.transfer import execute_transfers
from marketbill.payouts.upkeep import keep_up_payouts
from marketbill.sellers.upkeep import keep_up_sellers
from marketbill.services import Services
from marketbill.webhooks.handle import handle_events
from marketbill_workers.broker import QUEUE
from marketbill_workers.runtime import Runtime

log = structlog.get_logger("marketbill.workers")

PlatformJob = Callable[[Services, PlatformId], Awaitable[object]]

#: By the names that use cases put into the outbox; each message has one argument, the platform's UUID.
PLATFORM_JOBS: dict[str, PlatformJob] = {
    "handle_events": handle_events,
    "make_available": funds_available,
    "release_payments": release_due,
    "resolve_payments": resolve_payments,
    "execute_transfers": execute_transfers,
    "execute_payouts": execute_payouts,
    "keep_up_payouts": keep_up_payouts,
    "keep_up_sellers": keep_up_sellers,
}
PRUNE = "prune"
#: Rounds of `keys.PRUNE_LIMIT` rows in one run.
_PRUNE_ROUNDS_MAX = 100


def declare(broker: Broker, runtime: Runtime) -> None:
    """Declares every job to the broker."""
    for name, job in PLATFORM_JOBS.items():
        _declare_platform_job(broker, runtime, name, job)

    @dramatiq.actor(actor_name=PRUNE, queue_name=QUEUE, broker=broker)
    async def prune() -> None:
        await prune_old(runtime.services)


async def prune_old(services: Services) -> None:
    """Deletes what need not be remembered any more: old idempotency keys and the slots of the schedule."""
    pruned = 0
    for _ in range(_PRUNE_ROUNDS_MAX):
        async with services.db.system() as scope:
            deleted = await keys.prune(scope)
        pruned += deleted
        if deleted < keys.PRUNE_LIMIT:
            break
    async with services.db.system() as scope:
        await schedule.forget_old_slots(scope)
    log.info("pruned", idempotency_keys=pruned)


def _declare_platform_job(broker: Broker, runtime: Runtime, name: str, job: PlatformJob) -> None:
    @dramatiq.actor(actor_name=name, queue_name=QUEUE, broker=broker)
    async def run(platform: str) -> None:
        await runtime.for_platform(job, platform)
