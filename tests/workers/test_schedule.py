"""The sweep: what waits is found again, whoever lost it; what does not wait costs no job."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.ledger.till import Till

from marketbill.db import Database, SystemScope
from marketbill.events import inbox, outbox
from marketbill.events.outbox import Job
from marketbill.events.schedule import Recurring, Slot
from marketbill.health import alarms
from marketbill.ids import PlatformId, new_id
from marketbill.ledger import hold
from marketbill.provider import ending
from marketbill.provider import intent as intents
from marketbill.provider.kinds import KINDS
from marketbill.provider.objects import ProviderEvent
from marketbill_workers import schedule as working
from marketbill_workers.jobs import PLATFORM_JOBS, PRUNE, REFRESH_RATES
from marketbill_workers.schedule import SCHEDULE, Schedule, Scheduled, raise_alarms, sweep

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
        await sweep(scope, Slot(scope.now, 0))
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
    for kind, request in KINDS.items():
        async with db.write(platform) as scope:
            intent = await intents.open_intent(scope, kind=kind, subject_id=new_id(), request={}, send_now=True)
        assert await swept(db) == []
        assert await swept(db, later=intents.CALLER_LEASE) == [Job(request.job, (str(platform),))]
        async with db.write(platform) as scope:
            await ending.record_success(scope, intent, "done")


async def test_a_hold_past_its_end_is_swept_and_given_back(db: Database, platform: PlatformId) -> None:
    await exist(db, platform)
    till = Till(db, platform)
    await till.post(till.charge(100), till.release(100))
    async with db.write(platform) as scope:
        scope.now -= timedelta(hours=1)
        for minutes in (10, 90):
            await hold.place(scope, till.set_aside(minutes), expires_at=scope.now + timedelta(minutes=minutes))
    jobs = await swept(db)
    assert jobs == [Job("expire_holds", (str(platform),))]
    services: Any = SimpleNamespace(db=db)
    await PLATFORM_JOBS[jobs[0].actor](services, platform)
    assert await till.held(till.payable) == [(100, 10)]
    assert await swept(db) == []


async def test_each_slot_is_run_once_whoever_ticks(db: Database) -> None:
    schedules = [Schedule(db) for _ in range(3)]
    ran = await asyncio.gather(*(schedule.tick() for schedule in schedules))
    assert sorted(name for names in ran for name in names) == sorted(item.recurring.job for item in SCHEDULE)
    jobs: list[Job] = []
    async with db.system() as scope:
        await outbox.relay(scope, jobs.extend)
    assert sorted(job.actor for job in jobs) == [PRUNE, REFRESH_RATES]


async def test_after_a_downtime_each_job_runs_once_at_once(db: Database) -> None:
    await Schedule(db).tick()
    async with db.system() as scope:
        await scope.connection.execute(text("insert into test_clock (id, shift_seconds) values (1, 86400)"))
    restarted = Schedule(db)
    with capture_logs() as lines:
        assert sorted(await restarted.tick()) == sorted(item.recurring.job for item in SCHEDULE)
    assert await restarted.tick() == []
    assert {line["job"]: line["missed"] for line in lines if "made up for" in line["event"]}["sweep"] == 1439


async def test_a_job_that_fails_keeps_none_of_the_others_from_running_and_is_due_still(db: Database) -> None:
    async def fail(_: SystemScope, __: Slot) -> None:
        raise ZeroDivisionError

    async def pass_by(_: SystemScope, __: Slot) -> None:
        return

    minute = timedelta(minutes=1)
    bad, good = Scheduled(Recurring("bad", minute), fail), Scheduled(Recurring("good", minute), pass_by)
    broken = Schedule(db, [bad, good])
    with capture_logs() as lines:
        assert await broken.tick() == ["good"]
        assert await broken.tick() == []
    assert [(line["event"], line["job"]) for line in lines] == [("scheduled job failed", "bad")]
    mended = Schedule(db, [Scheduled(bad.recurring, pass_by), good])
    assert await mended.tick() == ["bad"]


async def test_a_job_that_takes_too_long_is_given_up(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crawl(scope: SystemScope, _: Slot) -> None:
        await scope.connection.execute(text("select pg_sleep(60)"))

    monkeypatch.setattr(working, "STATEMENT_MAX", "50ms")
    slow = Schedule(db, [Scheduled(Recurring("slow", timedelta(minutes=1)), crawl)])
    with capture_logs() as lines:
        assert await slow.tick() == []
    assert [(line["event"], line["job"]) for line in lines] == [("scheduled job failed", "slow")]


@pytest.mark.parametrize(("missed", "after_gap"), [(0, False), (1, False), (10, False), (11, True)])
async def test_a_few_slots_that_were_missed_are_no_gap(
    db: Database, monkeypatch: pytest.MonkeyPatch, missed: int, after_gap: bool
) -> None:
    told: list[bool] = []

    async def look(_: SystemScope, *, after_gap: bool) -> None:
        told.append(after_gap)

    monkeypatch.setattr(alarms, "look", look)
    async with db.system() as scope:
        await raise_alarms(scope, Slot(scope.now, missed))
    assert told == [after_gap]


def test_every_swept_job_is_declared() -> None:
    assert list(PLATFORM_JOBS) == [
        "handle_events",
        "make_available",
        "release_payments",
        "release_reserves",
        "resolve_payments",
        "execute_transfers",
        "execute_reversals",
        "keep_up_debts",
        "execute_payouts",
        "execute_refunds",
        "run_payouts",
        "execute_disputes",
        "keep_up_payouts",
        "keep_up_sellers",
        "catch_up_events",
        "go_on_catching_up",
        "keep_up_treasury",
        "expire_holds",
        "assess_risk",
        "reconcile",
        "issue_invoices",
    ]
