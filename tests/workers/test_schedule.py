"""The sweep: what waits is found again, whoever lost it; what does not wait costs no job."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import text

from marketbill.db import Database
from marketbill.events import inbox, outbox
from marketbill.events.outbox import Job
from marketbill.ids import PlatformId, new_id
from marketbill.payments.checkout import CREATE_PAYMENT
from marketbill.payouts.payout import CREATE_PAYOUT
from marketbill.payouts.transfer import CREATE_TRANSFER
from marketbill.provider import intent as intents
from marketbill.provider.port import ProviderEvent
from marketbill_workers.jobs import PLATFORM_JOBS, PRUNE
from marketbill_workers.schedule import Schedule, sweep

_PLATFORM = text(
    """
    insert into platform (platform_id, name, country, default_currency, fee_tax_rate, hold_from, hold_days, created_at,
      updated_at)
    values (:platform, 'Market', 'NL', 'EUR', 21, 'CAPTURE', 0, :now, :now)
    """
)


async def exist(db: Database, platform: PlatformId) -> None:
    async with db.write(platform) as scope:
        await scope.run(_PLATFORM, {"platform": platform, "now": scope.now})


async def swept(db: Database, *, later: timedelta = timedelta(0)) -> Sequence[Job]:
    """The jobs that a sweep at that time would enqueue."""
    jobs: list[Job] = []
    async with db.system() as scope:
        scope.now += later
        await sweep(scope)
        await outbox.relay(scope, jobs.extend)
    return jobs


async def test_a_platform_with_nothing_to_do_gets_no_job(db: Database, platform: PlatformId) -> None:
    await exist(db, platform)
    assert await swept(db) == []


async def test_an_event_whose_worker_died_is_swept_when_its_lease_is_over(db: Database, platform: PlatformId) -> None:
    await exist(db, platform)
    async with db.write(platform) as scope:
        event = ProviderEvent("evt_1", "charge.updated", None, scope.now, False, {"id": "ch_1"}, None)
        await inbox.store(scope, [(event, b"{}")])
    assert await swept(db) == [Job("handle_events", (str(platform),))]
    async with db.write(platform) as scope:
        await inbox.claim(scope, 10)
    assert await swept(db) == []
    assert await swept(db, later=inbox.CLAIM_LEASE) == [Job("handle_events", (str(platform),))]


async def test_intents_that_nobody_ended_are_swept_by_the_job_of_their_kind(db: Database, platform: PlatformId) -> None:
    await exist(db, platform)
    expected = {
        CREATE_PAYMENT: "resolve_payments",
        CREATE_TRANSFER: "execute_transfers",
        CREATE_PAYOUT: "execute_payouts",
    }
    for kind, job in expected.items():
        async with db.write(platform) as scope:
            intent = await intents.open_intent(scope, kind=kind, subject_id=new_id(), request={}, send_now=True)
        assert await swept(db) == []
        assert await swept(db, later=intents.CALLER_LEASE) == [Job(job, (str(platform),))]
        async with db.write(platform) as scope:
            await intents.record_success(scope, intent, "done")


async def test_each_slot_is_enqueued_once_whoever_ticks(db: Database) -> None:
    schedules = [Schedule(db) for _ in range(3)]
    enqueued = await asyncio.gather(*(schedule.tick() for schedule in schedules))
    assert sorted(name for names in enqueued for name in names) == ["prune", "sweep"]
    jobs: list[Job] = []
    async with db.system() as scope:
        await outbox.relay(scope, jobs.extend)
    assert jobs == [Job(PRUNE, ())]


async def test_a_clock_that_is_moved_brings_the_next_slot(db: Database) -> None:
    schedule = Schedule(db)
    await schedule.tick()
    async with db.system() as scope:
        await scope.connection.execute(text("insert into test_clock (id, shift_seconds) values (1, 86400)"))
    assert await schedule.tick() == ["sweep", "prune"]


def test_every_swept_job_is_declared() -> None:
    assert list(PLATFORM_JOBS) == [
        "handle_events",
        "make_available",
        "release_payments",
        "resolve_payments",
        "execute_transfers",
        "execute_payouts",
        "keep_up_payouts",
        "keep_up_sellers",
    ]
