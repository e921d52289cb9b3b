"""Payouts by themselves: dates come, everybody who has enough is paid once, the rest is carried and says why."""

import asyncio
from datetime import UTC, datetime, time
from typing import Any

import pytest
from sqlalchemy import select
from tests.market.machine import Machine
from tests.market.market import Market
from tests.payouts.purse import bank_account

from marketbill.errors import InvalidInput, NotFound
from marketbill.health.examination import examine
from marketbill.health.states import Kind
from marketbill.ids import new_id
from marketbill.ledger.journal import Source
from marketbill.payouts import forecast, items, run, schedule
from marketbill.payouts.forecast import Float, Movement
from marketbill.payouts.items import Item
from marketbill.payouts.model import payout as payout_table
from marketbill.payouts.model import payout_run, payout_run_result
from marketbill.rules.payout_calendar import Interval, Terms


async def put(market: Market, terms: Terms, *, seller: str | None = None) -> Any:
    return await schedule.put(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        seller_id=market.seller_id(seller) if seller else None,
        wanted=terms,
    )


async def table(market: Market, of: Any) -> list[Any]:
    async with market.machine.services.db.read(market.platform) as scope:
        return list(await scope.rows(select(of).where(of.c.platform_id == market.platform).order_by(of.c.id)))


async def test_a_daily_run_pays_who_has_enough(market: Market) -> None:
    """A has 43.59, B 8.43 and a minimum of 10.00, C a schedule of his own that pays on request only."""
    for name, price in (("A", 5000), ("B", 1000), ("C", 3000)):
        await market.seller(name)
        await market.sale(market.line(name, price))
    await market.machine.advance(days=9)
    await put(market, Terms(Interval.MANUAL), seller="C")
    kept = await put(market, Terms(Interval.DAILY, at=time(6), minimum={"EUR": 1000}))
    assert kept.next_at.time() == time(6)
    assert kept.next_why == "every open day"

    await market.machine.advance(days=1)
    [ran] = await table(market, payout_run)
    assert (ran.due_at, ran.sellers, ran.finished_at is not None) == (kept.next_at, 2, True)
    results = await table(market, payout_run_result)
    names = {id: name for name, id in market.sellers.items()}
    assert {(names[one.seller_id], one.outcome, one.amount, one.carried) for one in results} == {
        ("A", "PAID", 4359, 0),
        ("B", "CARRIED", 843, 843),
    }
    assert next(one.reason for one in results if one.outcome == "CARRIED") == (
        "Below the minimum of 10.00 EUR; it waits for the next date."
    )
    [made] = await table(market, payout_table)
    assert (made.amount, made.run_id, made.provider_payout is not None) == (4359, ran.id, True)

    await market.sale(market.line("B", 1000))
    await market.machine.advance(days=9)
    assert sorted(one.amount for one in await table(market, payout_table)) == [1686, 4359]
    runs = await table(market, payout_run)
    assert len(runs) == 2  # the days that passed at once are one run
    await market.prove()


async def test_many_at_once_pay_nobody_twice(market: Market) -> None:
    await put(market, Terms(Interval.THRESHOLD, threshold={"EUR": 800}))
    for name in "ABC":
        await market.seller(name)
        await market.sale(market.line(name, 1000))
    await market.machine.advance(days=9)
    before = len(await table(market, payout_run))
    await market.machine.shift(86_400)
    services = market.machine.services
    await asyncio.gather(*(run.run_payouts(services, market.platform) for _ in range(4)))
    made = await table(market, payout_table)
    assert sorted(one.amount for one in made) == [843, 843, 843]
    assert len(await table(market, payout_run)) <= before + 1


async def test_a_run_goes_on_where_it_stood(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of one seller, and a process that dies after the first."""
    monkeypatch.setattr(run, "BATCH_MAX", 1)
    monkeypatch.setattr(run, "_ROUNDS_MAX", 1)
    for name in "AB":
        await market.seller(name)
        await market.sale(market.line(name, 1000))
    await market.machine.advance(days=9)
    await put(market, Terms(Interval.DAILY))
    await market.machine.shift(86_400)
    services = market.machine.services
    await run.run_payouts(services, market.platform)
    assert len(await table(market, payout_table)) == 1
    assert [(one.sellers, one.finished_at) for one in await table(market, payout_run)] == [(1, None)]

    for _ in range(2):
        await run.run_payouts(services, market.platform)
    assert len({one.seller_id for one in await table(market, payout_table)}) == 2
    assert [one.finished_at is not None for one in await table(market, payout_run)] == [True]


async def test_one_seller_whose_money_is_not_in_the_books_stops_nobody_else(market: Market) -> None:
    """B has a piece of 90.00 that no entry stands behind: A and C are paid, B is told of, and the run ends."""
    services = market.machine.services
    for name in "ABC":
        await market.seller(name)
        await market.sale(market.line(name, 1000))
    await market.machine.advance(days=9)
    async with services.db.write(market.platform) as scope:
        odd = Item(market.sellers["B"], "EUR", Source("adjustment", new_id()), 9000)
        await items.add(scope, [odd])
    await put(market, Terms(Interval.DAILY))
    await market.machine.shift(86_400)
    await run.run_payouts(services, market.platform)

    names = {id: name for name, id in market.sellers.items()}
    made = await table(market, payout_table)
    assert sorted((names[one.seller_id], one.amount) for one in made) == [("A", 843), ("C", 843)]
    results = await table(market, payout_run_result)
    assert [(names[one.seller_id], one.amount, one.carried) for one in results if one.outcome == "BLOCKED"] == [
        ("B", 9843, 9843)
    ]
    assert [(one.sellers, one.finished_at is not None) for one in await table(market, payout_run)] == [(3, True)]
    assert (await market.books())["custody:B:available", "EUR"] == 843


async def test_no_run_pays_to_a_bank_that_sent_a_payout_back(machine: Machine) -> None:
    """Until the bank account changed; then the next run pays the same lines."""
    market = await machine.platform(country="US", currency="USD")
    await market.seller("A", country="US")
    await bank_account(market, "000111111113")
    await market.sale(market.line("A", 5000, currency="USD"))
    await machine.advance(days=9)
    await put(market, Terms(Interval.DAILY))
    await machine.advance(days=1)
    await machine.advance(days=4)
    await machine.advance(days=1)
    assert [one.status for one in await table(market, payout_table)] == ["FAILED"]
    last = (await table(market, payout_run_result))[-1]
    assert (last.outcome, last.carried) == ("BLOCKED", 4359)
    assert "account_closed" in last.reason

    await bank_account(market, "000123456789")
    await machine.advance(days=1)
    await machine.advance(days=4)
    assert [one.status for one in await table(market, payout_table)] == ["FAILED", "PAID"]
    await market.prove()


async def test_a_schedule_of_nobody_is_refused(market: Market) -> None:
    with pytest.raises(InvalidInput):
        await put(market, Terms(Interval.MONTHLY, days=(32,)))
    with pytest.raises(NotFound):
        await schedule.put(
            market.machine.services,
            market.operator,
            idempotency_key="n",
            seller_id="sel_00000000000000000000000000",
            wanted=Terms(Interval.DAILY),
        )


def test_the_float_is_short_where_it_is_lowest() -> None:
    """10.00 there, 25.00 asked now, 30.00 comes tomorrow: 15.00 lack today."""
    now, later = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC)
    found = forecast.forecast(
        {"EUR": 1000, "USD": 5},
        [Movement("EUR", later, 3000, "funds of sales"), Movement("EUR", now, -2500, "transfers")],
        now,
    )
    assert found == [Float("EUR", 1000, 2500, 3000, -1500, now), Float("USD", 5, 0, 0, 5, now)]
    assert found[0].short == 1500


async def test_a_float_that_will_not_do_is_an_alarm_until_it_does(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10.00 there, 25.00 asked for today: 15.00 lack, until as much comes."""
    services, at = market.machine.services, datetime(2026, 4, 1, tzinfo=UTC)

    async def told(have: int) -> list[tuple[str, str]]:
        async def of(_: Any) -> list[Float]:
            return forecast.forecast({"EUR": have}, [Movement("EUR", at, -2500, "transfers")], at)

        monkeypatch.setattr(forecast, "of", of)
        for _ in range(2):
            await forecast.watch(services, market.platform)
        found = await examine(services.db, [market.platform])
        return [(one.what, one.to_do) for one in found if one.kind == Kind.FLOAT_SHORT]

    what_to_do = "top up the platform's balance in EUR at the provider"
    assert await told(2500) == []
    assert await told(1000) == [("float short by 15.00 EUR", what_to_do)]
    assert await told(1200) == [("float short by 13.00 EUR", what_to_do)]
    assert await told(2500) == []
