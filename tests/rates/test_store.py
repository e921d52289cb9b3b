"""Rates are kept once, and none stands in for another."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from marketbill.db import Database
from marketbill.ids import PlatformId
from marketbill.rates import ecb, refresh, store
from marketbill.rates.ecb import FeedUnreadable, Fixing
from marketbill.rules.fx import BadRate, RateMissing, RateTooOld

FRIDAY, SATURDAY, MONDAY = date(2026, 10, 30), date(2026, 10, 31), date(2026, 11, 2)


def fixed(on: date, **rates: str) -> list[Fixing]:
    return [Fixing(on, quote, Decimal(rate)) for quote, rate in rates.items()]


async def keep(db: Database, fixings: list[Fixing]) -> int:
    async with db.system() as scope:
        return await store.keep(scope, fixings)


async def test_a_rate_is_kept_once_and_never_changed(db: Database, platform: PlatformId) -> None:
    assert await keep(db, fixed(FRIDAY, USD="1.25", JPY="160")) == 2
    assert await keep(db, fixed(FRIDAY, USD="9.99", JPY="160", GBP="0.8")) == 1

    async with db.read(platform) as scope:
        rates = await store.rates_on(scope, FRIDAY, [("EUR", "USD"), ("USD", "EUR"), ("USD", "JPY")])
        assert await store.newest(scope) == FRIDAY
    assert {pair: (rate.fraction, rate.source) for pair, rate in rates.by_pair.items()} == {
        ("EUR", "USD"): ("5/4", "ecb"),
        ("USD", "EUR"): ("4/5", "inverse of ecb"),
        ("USD", "JPY"): ("128", "inverse of ecb crossed with ecb over EUR"),
    }


async def test_a_weekend_has_fridays_rate_with_fridays_date(db: Database, platform: PlatformId) -> None:
    await keep(db, fixed(date(2026, 10, 29), USD="1.20") + fixed(FRIDAY, USD="1.25") + fixed(MONDAY, USD="1.30"))

    async with db.read(platform) as scope:
        for day in (FRIDAY, SATURDAY, date(2026, 11, 1)):
            rate = (await store.rates_on(scope, day, [("EUR", "USD")])).rate("EUR", "USD")
            assert (rate.fraction, rate.at) == ("5/4", datetime(2026, 10, 30, tzinfo=UTC))
        last = (await store.rates_on(scope, date(2026, 11, 7), [("EUR", "USD")])).rate("EUR", "USD")
        assert last.at.date() == MONDAY
        with pytest.raises(RateTooOld, match="more than 5 days before 2026-11-08"):
            await store.rates_on(scope, date(2026, 11, 8), [("EUR", "USD")])
        with pytest.raises(RateMissing, match="on or before 2026-10-28"):
            await store.rates_on(scope, date(2026, 10, 28), [("EUR", "USD")])


async def test_a_cross_rate_is_as_old_as_its_older_half(db: Database, platform: PlatformId) -> None:
    await keep(db, fixed(FRIDAY, USD="1.25", RON="5") + fixed(MONDAY, USD="1.30"))

    async with db.read(platform) as scope:
        rate = (await store.rates_on(scope, MONDAY, [("USD", "RON")])).rate("USD", "RON")
        assert (rate.fraction, rate.at.date()) == ("50/13", FRIDAY)
        with pytest.raises(RateTooOld, match="EUR to RON is of 2026-10-30, more than 2 days"):
            await store.rates_on(scope, MONDAY, [("USD", "RON")], days_max=2)


async def test_pairs_without_a_rate_are_refused_by_name(db: Database, platform: PlatformId) -> None:
    await keep(db, fixed(FRIDAY, USD="1.25"))

    async with db.read(platform) as scope:
        with pytest.raises(RateMissing, match="from AED to USD") as missing:
            await store.rates_on(scope, FRIDAY, [("AED", "USD")])
        assert (missing.value.base, missing.value.quote, missing.value.on) == ("AED", "USD", FRIDAY)
        with pytest.raises(BadRate, match="worth itself"):
            await store.rates_on(scope, FRIDAY, [("USD", "USD")])
        with pytest.raises(BadRate, match="worth itself"):
            await store.rates_on(scope, FRIDAY, [("EUR", "EUR")])
        assert (await store.rates_on(scope, FRIDAY, [])).by_pair == {}


async def test_what_is_known_of_several_pairs_leaves_out_the_rest(db: Database, platform: PlatformId) -> None:
    await keep(db, fixed(date(2026, 10, 20), RON="5") + fixed(FRIDAY, USD="1.25", JPY="160"))

    async with db.read(platform) as scope:
        pairs = [("EUR", "USD"), ("USD", "JPY"), ("EUR", "RON"), ("EUR", "AED")]
        known = await store.rates_known(scope, FRIDAY, pairs)
    assert {pair: rate.fraction for pair, rate in known.by_pair.items()} == {
        ("EUR", "USD"): "5/4",
        ("USD", "JPY"): "128",
    }, "one is too old, one is missing"


async def test_no_platform_can_write_rates_and_nobody_changes_one(db: Database, platform: PlatformId) -> None:
    async with db.read(platform) as scope:
        rights = await scope.fetch(
            """
            select role, privilege from unnest(array['marketbill_app', 'marketbill_system']) as role,
              unnest(array['select', 'insert', 'update', 'delete']) as privilege
            where has_table_privilege(role, 'exchange_rate', privilege)
            """
        )
    assert {tuple(row) for row in rights} == {
        ("marketbill_app", "select"),
        ("marketbill_system", "select"),
        ("marketbill_system", "insert"),
    }


async def test_the_history_is_loaded_once(db: Database, platform: PlatformId) -> None:
    first = await refresh.refresh(db, feed=None, since=date(2026, 10, 1))
    again = await refresh.refresh(db, feed=None, since=date(2026, 10, 1))

    assert first.embedded > 500
    assert (again.embedded, again.live, again.newest, again.problem) == (0, 0, first.newest, None)
    async with db.read(platform) as scope:
        rate = (await store.rates_on(scope, date(2026, 10, 4), [("USD", "EUR")])).rate("USD", "EUR")
    assert (rate.source, rate.at.date()) == ("inverse of ecb", date(2026, 10, 2))


async def test_the_feed_goes_on_where_the_history_ends(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[date | None] = []

    async def read(url: str, *, since: date | None, today: date) -> list[Fixing]:
        asked.append(since)
        return fixed(date(2026, 11, 20), USD="1.1525") if since and since < date(2026, 11, 20) else []

    monkeypatch.setattr(ecb, "read_feed", read)
    first = await refresh.refresh(db, feed="http://feed", since=date(2026, 10, 1))
    await refresh.keep_up(db, feed="http://feed")

    assert (first.live, first.newest, first.problem) == (1, date(2026, 11, 20), None)
    assert asked == [date(2026, 10, 30), date(2026, 11, 20)]


async def test_a_feed_that_is_away_changes_nothing_and_is_told(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(url: str, *, since: date | None, today: date) -> list[Fixing]:
        raise FeedUnreadable(f"{url} answered 503")

    monkeypatch.setattr(ecb, "read_feed", away)
    done = await refresh.refresh(db, feed="http://feed", since=date(2026, 10, 1))

    assert (done.live, done.problem) == (0, "http://feed answered 503")
    assert done.newest == date(2026, 10, 30)
