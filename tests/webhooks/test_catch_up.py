"""Catching up after a downtime: what no webhook brought is taken from the provider's list, once, in no flood."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import Row, func, select, text
from tests.market.market import Market

from marketbill.errors import Unavailable
from marketbill.events import cursor as cursors
from marketbill.events import inbox, outbox
from marketbill.events.cursor import Cursor, Walk
from marketbill.events.model import event_cursor, inbox_event
from marketbill.events.outbox import Job
from marketbill.provider.objects import ListedEvent, ProviderEvent
from marketbill.provider.port import Failure, Refused
from marketbill.provider.stripe.adapter import StripeProvider
from marketbill.webhooks import catch_up as catching_up
from marketbill.webhooks.catch_up import catch_up, go_on

EVENTS = "GET /v1/events"


@pytest.fixture
async def shop(market: Market) -> Market:
    """A market with a seller, whose list of events was looked through a moment ago."""
    await market.seller("A")
    await look(market)
    return market


async def look(market: Market) -> int:
    """One look, and all that follows from it; gives the number of calls to the list."""
    before = market.machine.line.count(EVENTS)
    await catch_up(market.machine.services, market.platform)
    calls = market.machine.line.count(EVENTS) - before
    await market.machine.quiet()
    return calls


async def cursor(market: Market, account: str = cursors.OWN) -> Row[Any]:
    async with market.machine.services.db.read(market.platform) as scope:
        return await scope.one(select(event_cursor).where(event_cursor.c.account == account))


async def in_inbox(market: Market) -> int:
    async with market.machine.services.db.read(market.platform) as scope:
        return await scope.scalar(select(func.count()).select_from(inbox_event))


async def lost(market: Market, *prices: int) -> list[Any]:
    """Sales whose events the provider believes to be delivered, and nobody kept."""
    market.machine.endpoint.holding = True
    ids = [(await market.pay(market.draft(market.line("A", price)))).payment.id for price in prices]
    await market.machine.delivered()
    market.machine.endpoint.holding = False
    market.machine.endpoint.kept.clear()
    return ids


async def test_sales_whose_events_were_lost_are_booked_and_no_event_counts_twice(shop: Market) -> None:
    ids = await lost(shop, 5000, 6000)
    kept = await in_inbox(shop)

    assert await look(shop) == 1
    assert [(await shop.payment(id)).settled_at is not None for id in ids] == [True, True]
    assert await in_inbox(shop) > kept
    await shop.prove()

    books, events = await shop.books(), await in_inbox(shop)
    assert await look(shop) == 1
    assert (await shop.books(), await in_inbox(shop)) == (books, events)


async def test_when_all_was_delivered_nothing_is_stored(shop: Market) -> None:
    await shop.sale(shop.line("A", 5000))
    before = await in_inbox(shop)
    await look(shop)
    after = await cursor(shop)
    assert await in_inbox(shop) == before
    assert after.error is None
    assert after.leased_until is None


async def test_a_sellers_payout_whose_event_was_lost_is_found_in_the_sellers_own_list(shop: Market) -> None:
    await shop.sale(shop.line("A", 50_000))
    await shop.machine.advance(days=9)
    requested = await shop.payout("A", 1000)
    await shop.machine.quiet()
    await look(shop)
    account = (await shop.seller_row("A")).provider_account
    shop.machine.endpoint.holding = True
    await shop.machine.control("clock", {"advance_seconds": 4 * 86_400})
    await shop.machine.delivered()
    shop.machine.endpoint.holding = False
    assert (await shop.payout_row(requested.id)).status != "PAID"

    assert await look(shop) == 2, "the platform's list, and that of the seller who is being paid out"

    assert (await shop.payout_row(requested.id)).status == "PAID"
    assert (await cursor(shop, account)).ran_at is not None
    await shop.machine.shift(4 * 86_400)
    assert await look(shop) == 1, "nothing of the seller is open any more"
    await shop.prove()


async def test_a_list_that_cannot_be_read_fails_alone_and_says_why(shop: Market) -> None:
    await shop.seller("B", onboard=None)
    before = await cursor(shop)
    shop.machine.line.refuse(EVENTS, status=403)
    await look(shop)
    after = await cursor(shop)
    assert after.error is not None
    assert (after.ran_at, after.leased_until) == (before.ran_at, None)
    assert after.failing_since > after.tried_at > before.tried_at
    shop.machine.line.mend()
    await look(shop)
    mended = await cursor(shop)
    assert (mended.error, mended.failing_since) == (None, None)


async def test_one_worker_at_a_time_looks_through_a_list(shop: Market) -> None:
    async with shop.machine.services.db.write(shop.platform) as scope:
        assert await cursors.claim(scope, cursors.OWN, begin=scope.now) is not None
        assert await cursors.claim(scope, cursors.OWN, begin=scope.now) is None
    assert await look(shop) == 0
    await shop.machine.shift(int(cursors.LEASE.total_seconds()) + 1)
    assert await look(shop) == 1


async def test_a_platform_without_a_provider_has_nothing_to_look_through(shop: Market) -> None:
    other = await shop.machine.platform(name="Other", connected=False)
    assert await look(other) == 0


class Many:
    """A provider with a long list of events; it counts what it is asked for."""

    def __init__(self, start: datetime, number: int, *, rate: float) -> None:
        self.events = [self.event(place, start + timedelta(seconds=place / rate)) for place in range(number)]
        self.times = [one.event.created.timestamp() for one in self.events]
        self.listed: list[int] = []

    def event(self, place: int, at: datetime) -> ListedEvent:
        object_ = {"id": f"pi_{place}"}
        event = {
            "id": f"evt_{place:06}",
            "object": "event",
            "api_version": "2019-01-01",
            "type": "payment_intent.canceled",
            "created": int(at.timestamp()),
            "livemode": False,
            "data": {"object": object_},
        }
        told = ProviderEvent(
            f"evt_{place:06}", "payment_intent.canceled", None, at.replace(microsecond=0), False, object_, None
        )
        return ListedEvent(told, orjson.dumps(event))

    async def list_events(
        self,
        types: Sequence[str],
        created_from: datetime,
        *,
        created_until: datetime | None = None,
        account_id: str | None = None,
        limit: int = 1000,
    ) -> list[ListedEvent]:
        assert 0 < len(types) <= 20
        assert not account_id
        first = bisect_left(self.times, int(created_from.timestamp()))
        last = bisect_right(self.times, int(created_until.timestamp())) if created_until else len(self.times)
        found = self.events[max(first, last - limit) : last]
        self.listed.append(len(found))
        return found


@pytest.fixture
def busy(shop: Market, monkeypatch: pytest.MonkeyPatch) -> Many:
    """A provider that made 3000 events in the last five hours, none of which came in."""
    monkeypatch.setattr(catching_up, "_ACCOUNTS", text("select null as account where false"))
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
    many = Many(start, 3000, rate=1 / 6)
    monkeypatch.setattr(StripeProvider, "list_events", lambda _self, *args, **how: many.list_events(*args, **how))
    return many


async def rewound(market: Market, *, hours: float = 6) -> None:
    """The cursor as it was some hours ago, as after a downtime."""
    async with market.machine.services.db.write(market.platform) as scope:
        at = scope.now - timedelta(hours=hours)
        await scope.run(event_cursor.update().values(seen_until=at, ran_at=at))


async def test_a_long_list_is_spread_over_jobs_and_none_is_missed(
    shop: Market, busy: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "LIST_MAX", 200)
    monkeypatch.setattr(catching_up, "JOB_MAX", 500)
    await rewound(shop)
    before, start = await in_inbox(shop), await cursor(shop)
    services = shop.machine.services

    await catch_up(services, shop.platform)
    reached = (await cursor(shop)).walk_down_to
    assert reached < busy.events[-400].event.created
    assert await look(shop) == 0
    assert (await cursor(shop)).walk_down_to == reached, "who goes on with it is not who looks each ten minutes"

    jobs = 1
    while (at := await cursor(shop)).walk_down_to:
        assert (at.seen_until, at.ran_at) == (start.seen_until, start.ran_at), "it has not come to the end"
        assert at.walk_down_to <= reached
        reached = at.walk_down_to - timedelta(seconds=1)
        await go_on(services, shop.platform)
        jobs += 1
    assert 5 <= jobs <= 8
    assert await in_inbox(shop) == before + 3000
    assert (await cursor(shop)).seen_until == busy.events[-1].event.created

    busy.listed.clear()
    await catch_up(services, shop.platform)
    assert busy.listed == [51], "five minutes again, no more"


async def test_who_goes_on_with_a_long_list_is_owed_in_the_outbox(
    shop: Market, busy: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "JOB_MAX", 500)
    await rewound(shop)
    await catch_up(shop.machine.services, shop.platform)
    jobs: list[Job] = []
    async with shop.machine.services.db.system() as scope:
        scope.now += catching_up.GOES_ON_AFTER
        await outbox.relay(scope, jobs.extend)
    assert Job(catching_up.GO_ON, (str(shop.platform),)) in jobs


async def test_a_walk_that_nobody_goes_on_with_is_taken_up_again(
    shop: Market, busy: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "JOB_MAX", 500)
    await rewound(shop)
    await catch_up(shop.machine.services, shop.platform)
    reached = (await cursor(shop)).walk_down_to
    await shop.machine.shift(int(cursors.LEASE.total_seconds()) + 1)
    await catch_up(shop.machine.services, shop.platform)
    assert (await cursor(shop)).walk_down_to < reached


async def test_events_that_count_as_delivered_and_are_missing_in_the_middle_are_found(shop: Market, busy: Many) -> None:
    await rewound(shop, hours=0.6)
    recent = busy.events[-400:]
    lost = {one.event.id for one in recent[150:200]}
    async with shop.machine.services.db.write(shop.platform) as scope:
        await inbox.store(scope, [(one.event, one.raw) for one in recent if one.event.id not in lost])

    await catch_up(shop.machine.services, shop.platform)

    async with shop.machine.services.db.read(shop.platform) as scope:
        assert await inbox.known(scope, list(lost)) == lost
    assert busy.listed[0] == catching_up.PAGE
    assert sum(busy.listed) <= 600, "ten calls for a thousand events"


async def test_a_worker_that_was_overtaken_moves_nothing(shop: Market, busy: Many) -> None:
    await rewound(shop)
    db = shop.machine.services.db
    async with db.write(shop.platform) as scope:
        slow = await cursors.claim(scope, cursors.OWN, begin=scope.now)
    assert slow is not None
    await shop.machine.shift(int(cursors.LEASE.total_seconds()) + 1)
    async with db.write(shop.platform) as scope:
        assert await cursors.claim(scope, cursors.OWN, begin=scope.now) is not None
    before = await cursor(shop)
    with pytest.raises(cursors.Overtaken):
        async with db.write(shop.platform) as scope:
            await cursors.step(scope, slow, Walk(scope.now, scope.now))
    async with db.write(shop.platform) as scope:
        await cursors.complete(scope, slow, scope.now)
        await cursors.let_go(scope, slow, error="too slow")
    assert await cursor(shop) == before


async def walked(many: Many, cursor: Cursor, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[set[str]]]:
    """A walk with the real limits; gives the calls of the busiest job, and what each job kept."""
    jobs: list[set[str]] = []
    reached: list[Walk | None] = []
    calls = 0

    async def keep(_: Any, events: Sequence[ListedEvent], walk: Walk | None = None) -> None:
        jobs[-1].update(one.event.id for one in events)
        reached.append(walk)

    monkeypatch.setattr(catching_up, "_keep", keep)
    newest = None
    while newest is None:
        jobs.append(set())
        many.listed.clear()
        listed: Any = catching_up._List(None, None, many, False, cursor, many.events[-1].event.created)  # type: ignore[arg-type]
        newest = await catching_up._walk(listed)
        calls = max(calls, sum(-(-max(number, 1) // 100) for number in many.listed))
        walk = reached[-1]
        if newest is None:
            assert walk is not None
            assert cursor.walk is None or walk.down_to < cursor.walk.down_to, "each job gets on"
            cursor = replace(cursor, walk=walk)
    assert newest == many.events[-1].event.created
    return calls, jobs


@pytest.mark.parametrize("rate", [0.1, 5, 8, 20])
async def test_the_busier_a_platform_the_more_jobs_but_each_gets_on(
    rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime(2026, 11, 22, 9, tzinfo=UTC)
    hours = 3
    many = Many(start, int(hours * 3600 * rate), rate=rate)
    cursor = Cursor(cursors.OWN, start, None, start)

    calls, jobs = await walked(many, cursor, monkeypatch)

    assert set().union(*jobs) == {one.event.id for one in many.events}
    assert len(jobs) <= 1 + len(many.events) // (catching_up.JOB_MAX - catching_up.LIST_MAX)
    assert calls <= 2 * catching_up.JOB_MAX // 100


async def test_a_second_of_more_events_than_a_list_is_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    start = datetime(2026, 11, 22, 9, tzinfo=UTC)
    many = Many(start, 9000, rate=3000)
    _, jobs = await walked(many, Cursor(cursors.OWN, start, None, start), monkeypatch)
    assert set().union(*jobs) == {one.event.id for one in many.events}


async def test_a_second_of_more_events_than_can_be_listed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    start = datetime(2026, 11, 22, 9, tzinfo=UTC)
    many = Many(start, catching_up.SECOND_MAX + 2000, rate=1_000_000)
    with pytest.raises(catching_up.TooDense, match="2026-11-22 09:00:00"):
        await walked(many, Cursor(cursors.OWN, start, None, start), monkeypatch)


async def test_accounts_that_cannot_be_read_starve_no_other(shop: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "ACCOUNTS_MAX", 2)
    for name in ("B", "C", "D"):
        await shop.seller(name, onboard=None)
    accounts = sorted([(await shop.seller_row(name)).provider_account for name in ("B", "C", "D")])
    asked: list[str] = []

    async def list_events(_: StripeProvider, *__: Any, account_id: str | None = None, **___: Any) -> list[ListedEvent]:
        if account_id is None:
            return []
        asked.append(account_id)
        raise Refused(Failure(403, "account_invalid", "The account is gone."))

    monkeypatch.setattr(StripeProvider, "list_events", list_events)
    for _ in range(2):
        await catch_up(shop.machine.services, shop.platform)
    assert sorted(set(asked)) == accounts
    for _ in range(4):
        await catch_up(shop.machine.services, shop.platform)
    assert len(asked) == 12
    assert min(asked.count(account) for account in accounts) >= 3, "who was left out is the next"


async def test_a_database_that_goes_away_ends_the_job(shop: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable("The database cannot be reached just now.")

    monkeypatch.setattr(catching_up, "_walk", away)
    with pytest.raises(Unavailable):
        await catch_up(shop.machine.services, shop.platform)


async def test_events_that_the_provider_never_delivers_are_caught_up_with(shop: Market) -> None:
    await shop.machine.control("faults", {"kind": "webhook_drop", "rate": 1.0})
    paid = (await shop.pay(shop.draft(shop.line("A", 5000)))).payment
    await shop.machine.quiet()
    assert (await shop.payment(paid.id)).booked_at is None

    await look(shop)

    assert (await shop.payment(paid.id)).settled_at is not None
    await shop.prove()
