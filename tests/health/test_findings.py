"""What is late is found on its platform, with its limit and what to do; what is in time is not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, insert, text, update
from tests.market.market import Market

from marketbill.events import inbox, outbox, schedule
from marketbill.events.model import event_cursor, inbox_event
from marketbill.events.schedule import Recurring
from marketbill.health.examination import examine
from marketbill.health.findings import Finding
from marketbill.health.processes import DRIFT_MAX, Part, clocks
from marketbill.health.waits import WAITS, Kind
from marketbill.ids import public_id
from marketbill.payments.model import payment, payment_share
from marketbill.payouts.model import payout, transfer
from marketbill.provider.kinds import CREATE_TRANSFER
from marketbill.provider.model import provider_intent
from marketbill.provider.objects import ProviderEvent
from marketbill.reconciliation.reconcile import reconcile
from marketbill_workers.jobs import prune_old

LIMIT = {kind: wait.limit for kind, wait in WAITS.items()}
MARGIN = timedelta(seconds=30)


async def found(market: Market, *, everything: bool = False) -> list[Finding]:
    return await examine(market.machine.services.db, everything=everything)


async def kinds(market: Market) -> list[str]:
    return sorted({one.kind for one in await found(market)})


async def requests(market: Market) -> list[Finding]:
    """The requests that wait within their limit."""
    waiting = [one for one in await found(market, everything=True) if one.kind.startswith("request_")]
    assert waiting
    return waiting


async def aged(market: Market, table: Table, age: timedelta, columns: str, **values: Any) -> None:
    """Makes all rows of a table look as if the columns were set so long ago."""
    async with market.machine.services.db.write(market.platform) as scope:
        times = dict.fromkeys(columns.split(), scope.now - age)
        await scope.run(update(table).values(**times, **values))


@pytest.fixture
async def sold(market: Market) -> Market:
    """A sale that has come to its end."""
    await market.seller("A")
    await market.sale(market.line("A", 5000))
    await market.machine.advance(days=9)
    await prune_old(market.machine.services)
    await looked(market)
    return market


async def looked(market: Market) -> None:
    async with market.machine.services.db.write(market.platform) as scope:
        fresh = {"account": "", "seen_until": scope.now, "ran_at": scope.now, "tried_at": scope.now}
        await scope.run(insert(event_cursor).values(platform_id=market.platform, **fresh))
    await reconcile(market.machine.services, market.platform)


async def test_a_machine_at_rest_has_no_findings(sold: Market) -> None:
    assert await found(sold) == []


@pytest.mark.parametrize(
    ("kind", "columns", "values"),
    [
        (Kind.PAYMENT_PROCESSING, "created_at", {"status": "PROCESSING"}),
        (Kind.PAYMENT_UNSETTLED, "succeeded_at", {"settled_at": None}),
        (Kind.PAYMENT_FUNDS_LATE, "available_on", {"available_at": None}),
        (Kind.PAYMENT_UNRELEASED, "available_at release_on", {"released_at": None}),
    ],
)
async def test_a_payment_that_does_not_get_on(sold: Market, kind: Kind, columns: str, values: dict[str, Any]) -> None:
    await aged(sold, payment, LIMIT[kind] - MARGIN, columns, **values)
    assert await found(sold) == []
    await aged(sold, payment, LIMIT[kind] + MARGIN, columns, **values)
    [one] = await found(sold)
    assert (one.kind, one.limit) == (kind, LIMIT[kind])
    assert one.platform == public_id("platform", sold.platform)
    assert one.id is not None
    assert one.id.startswith("pay_")
    assert "50.00 EUR" in one.what
    assert one.to_do


async def test_a_share_whose_delivery_nobody_told_of(sold: Market) -> None:
    limit, empty = LIMIT[Kind.PAYMENT_UNDELIVERED], {"released_at": None, "release_on": None}
    await aged(sold, payment_share, limit, "", **empty)
    await aged(sold, payment, limit - MARGIN, "available_at", **empty)
    assert await found(sold) == []
    await aged(sold, payment, limit + MARGIN, "available_at", **empty)
    assert await kinds(sold) == [Kind.PAYMENT_UNDELIVERED]

    # What a hold keeps awaits no event.
    await aged(sold, payment_share, timedelta(0), "release_on held_at")
    assert await found(sold) == []


async def test_a_released_share_that_nobody_plans(sold: Market) -> None:
    limit = LIMIT[Kind.PAYMENT_UNTRANSFERRED]
    await aged(sold, payment_share, limit - MARGIN, "released_at", transfers_planned_at=None)
    assert await found(sold) == []
    await aged(sold, payment_share, limit + MARGIN, "released_at", transfers_planned_at=None)
    [one] = await found(sold)
    assert one.what == "payment released to A 43.59 EUR"


async def test_a_transfer_that_waits_for_its_seller(market: Market) -> None:
    await market.seller("A", onboard=None)
    await market.sale(market.line("A", 5000), card="pm_card_bypassPending")
    await looked(market)
    assert await found(market) == []
    [waiting] = [one for one in await found(market, everything=True) if one.kind == Kind.TRANSFER_HELD]
    assert waiting.what.startswith("transfer HELD to A ")
    await market.machine.shift(int((LIMIT[Kind.TRANSFER_HELD] + MARGIN).total_seconds()))
    assert Kind.TRANSFER_HELD in await kinds(market)


async def test_a_payout_that_is_under_way_for_long(sold: Market) -> None:
    await sold.payout("A", 1000)
    await sold.machine.quiet()
    await aged(sold, payout, LIMIT[Kind.PAYOUT_UNDER_WAY] + MARGIN, "created_at")
    [one] = await found(sold)
    assert (one.kind, one.what) == (Kind.PAYOUT_UNDER_WAY, "payout CREATED to A 10.00 EUR")


@pytest.mark.parametrize(
    ("kind", "columns", "values"),
    [
        (Kind.REQUEST_OVERDUE, "next_attempt_at", {"status": "OPEN"}),
        (Kind.REQUEST_UNRESOLVED, "created_at", {"status": "UNKNOWN"}),
        (Kind.REQUEST_HELD, "created_at", {"status": "OPEN", "held_for": "transfers:acct_1"}),
    ],
)
async def test_a_request_that_has_no_end(sold: Market, kind: Kind, columns: str, values: dict[str, Any]) -> None:
    async with sold.machine.services.db.read(sold.platform) as scope:
        now = scope.now
    values = {
        "created_at": now,
        "next_attempt_at": now,
        "last_error": {"message": "No answer."},
        "provider_id": None,
        **values,
    }
    del values[columns]
    await aged(sold, provider_intent, LIMIT[kind] - MARGIN, columns, **values)
    assert await found(sold) == []
    assert all(one.to_do.startswith("nothing to do: it goes on by itself at") for one in await requests(sold))
    await aged(sold, provider_intent, LIMIT[kind] + MARGIN, columns, **values)
    one = (await found(sold))[0]
    assert (one.kind, one.why) == (kind, "No answer.")


async def test_events_that_were_not_handled_and_those_that_were_parked(sold: Market) -> None:
    await aged(sold, inbox_event, LIMIT[Kind.EVENT_UNHANDLED] - MARGIN, "received_at next_attempt_at", handled_at=None)
    assert await found(sold) == []
    await aged(sold, inbox_event, LIMIT[Kind.EVENT_UNHANDLED] + MARGIN, "received_at", handled_at=None, error="bad")
    assert await kinds(sold) == [Kind.EVENT_UNHANDLED]
    await aged(sold, inbox_event, timedelta(0), "received_at", handled_at=None, next_attempt_at=None, error="parked")
    one = (await found(sold))[0]
    assert (one.kind, one.why, one.to_do) == (
        Kind.EVENT_PARKED,
        "parked",
        f"mend the cause, then `marketbill doctor replay {one.id}`,"
        f" or `marketbill doctor dismiss {one.id} --reason ...`",
    )


async def test_a_list_of_events_that_nobody_looks_through(sold: Market) -> None:
    await sold.machine.shift(int((LIMIT[Kind.EVENTS_NOT_LISTED] + MARGIN).total_seconds()))
    assert await kinds(sold) == [Kind.EVENTS_NOT_LISTED]


async def test_an_account_whose_list_cannot_be_read(sold: Market) -> None:
    async with sold.machine.services.db.write(sold.platform) as scope:
        fresh = {"account": "acct_1", "seen_until": scope.now, "tried_at": scope.now}
        await scope.run(insert(event_cursor).values(platform_id=sold.platform, **fresh))

    async def failing(*, since: timedelta, tried: timedelta) -> list[Finding]:
        async with sold.machine.services.db.write(sold.platform) as scope:
            failure = {"failing_since": scope.now - since, "error": "Refused: No such account."}
            of_account = update(event_cursor).where(event_cursor.c.account == "acct_1")
            await scope.run(of_account.values(tried_at=scope.now - tried, **failure))
        return await found(sold)

    limit = LIMIT[Kind.ACCOUNT_NOT_LISTED]
    assert await failing(since=limit - MARGIN, tried=timedelta(0)) == []
    [one] = await failing(since=limit + MARGIN, tried=timedelta(minutes=10))
    assert (one.kind, one.id, one.why) == (Kind.ACCOUNT_NOT_LISTED, "acct_1", "Refused: No such account.")
    assert "acct_1" in one.to_do
    assert await failing(since=timedelta(days=40), tried=timedelta(days=2)) == [], "nothing is wanted of it any more"


async def test_a_long_list_says_how_far_it_was_looked_through(sold: Market) -> None:
    await sold.machine.shift(int((LIMIT[Kind.EVENTS_NOT_LISTED] + MARGIN).total_seconds()))
    newest, down_to = datetime(2026, 11, 22, 9, 30, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
    async with sold.machine.services.db.write(sold.platform) as scope:
        await scope.run(update(event_cursor).values(walk_newest=newest, walk_down_to=down_to))
    [one] = await found(sold)
    assert "looked through from 2026-11-22 09:30 down to 2026-11-21 00:00" in one.what


@pytest.mark.parametrize(("status", "late", "listed"), [("REFUSED", 1, 1), ("ABANDONED", 0, 1), ("GAVE_UP", 0, 0)])
async def test_a_refused_transfer_is_told_of_until_an_operator_decides_and_listed_after_that(
    sold: Market, status: str, late: int, listed: int
) -> None:
    decision = {"decided_by": "terminal", "decision_reason": "closed"} if status == "ABANDONED" else {}
    async with sold.machine.services.db.write(sold.platform) as scope:
        await scope.run(update(transfer).values(status="REFUSED", reason="No.", provider_transfer=None, sent_at=None))
        of_transfer = provider_intent.c.kind == CREATE_TRANSFER
        await scope.run(update(provider_intent).where(of_transfer).values(status=status, **decision))

    refused = [one for one in await found(sold) if one.kind == Kind.TRANSFER_REFUSED]
    assert len(refused) == late
    waiting = [one for one in await found(sold, everything=True) if one.kind == Kind.TRANSFER_REFUSED]
    assert len(waiting) == listed
    for one in waiting:
        assert one.id is not None
        assert one.id.startswith("int_")
        assert one.why == "No."
        assert " of trf_" in one.what
        assert f"retry {one.id}" in one.to_do


async def test_of_many_things_some_are_named_and_the_others_counted(
    sold: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sold.machine.services.db.write(sold.platform) as scope:
        events = [ProviderEvent(f"evt_{n:04}", "x", None, scope.now, False, {"id": "x"}, None) for n in range(130)]
        parked = {event.id: "parked" for event in events}
        await inbox.store(scope, [(event, b"{}") for event in events], parked=parked)
    many = await found(sold)
    assert len(many) == 101
    assert many[-1].what == "30 more: events of the provider that were parked"


async def test_another_platform_is_not_asked_about(sold: Market) -> None:
    other = await sold.machine.platform(name="Other", connected=False)
    await aged(sold, payment, timedelta(days=1), "succeeded_at", settled_at=None)
    db = sold.machine.services.db
    assert await examine(db, [other.platform]) == []
    assert len(await examine(db, [sold.platform])) == 1


async def test_a_relay_that_does_not_run(sold: Market) -> None:
    db = sold.machine.services.db
    async with db.system() as scope:
        await schedule.ensure(scope, [Recurring("sweep", timedelta(minutes=1))])
        await schedule.claim(scope, "sweep")
    async with db.write(sold.platform) as scope:
        await outbox.enqueue(scope, "handle_events", str(sold.platform))
        await outbox.enqueue(scope, "handle_events", str(sold.platform), after=timedelta(days=1))
    assert await found(sold) == []
    await sold.machine.shift(5 * 60)
    assert [(one.kind, one.what) for one in await found(sold)] == [
        (Part.SCHEDULE_LATE, "scheduled job sweep"),
        (Part.OUTBOX_LATE, "outbox with 1 messages"),
    ]


async def test_keys_that_nobody_forgets(market: Market) -> None:
    await market.machine.shift(2 * 86_400)
    assert Part.KEYS_NOT_PRUNED not in await kinds(market)
    await market.machine.shift(86_400)
    assert Part.KEYS_NOT_PRUNED in await kinds(market)


@pytest.mark.parametrize(("seconds", "number"), [(-6, 1), (-5, 0), (0, 0), (5, 0), (6, 1)])
def test_clocks_may_differ_a_little(seconds: int, number: int) -> None:
    assert len(clocks("the sandbox", timedelta(seconds=seconds))) == number
    assert timedelta(seconds=5) == DRIFT_MAX


def test_clocks_say_which_is_ahead() -> None:
    [one] = clocks("the sandbox", timedelta(days=-1))
    assert one.what == "our clock is 86,400 s behind that of the sandbox"


async def test_an_older_schema_is_all_that_can_be_told(sold: Market, admin_url: str) -> None:
    import asyncpg

    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute("update alembic_version set version_num = '0001'")
        [one] = await found(sold)
        assert one.kind == Part.SCHEMA
        assert "marketbill migrate" in one.to_do
        await admin.execute("revoke select on alembic_version from marketbill_system")
        [one] = await found(sold)
        assert "none that can be read" in one.what
    finally:
        await admin.close()


async def test_the_shift_of_the_sandboxes_clock_is_no_drift(sold: Market) -> None:
    async with sold.machine.services.db.system() as scope:
        await scope.connection.execute(text("select 1"))
    assert Part.CLOCK_DRIFT not in await kinds(sold)
