"""Payouts whose events never come: what the provider knows is asked for, so money that came back is not forgotten."""

from uuid import UUID

import pytest
from tests.market.machine import Machine
from tests.market.market import Market
from tests.payouts.purse import bank_account

from marketbill.events.schedule import Slot
from marketbill_workers.schedule import ask_returns

NET = 4359


async def deaf(machine: Machine, number: str) -> Market:
    """A market whose seller A has asked for 40.00 USD; the provider has the payout, and no event comes any more."""
    market = await machine.platform(country="US", currency="USD")
    await market.seller("A", country="US")
    await bank_account(market, number)
    await market.sale(market.line("A", 5000, currency="USD"))
    await machine.advance(days=9)
    return market


@pytest.mark.parametrize(
    ("number", "status", "available"),
    [("000123456789", "PAID", NET - 4000), ("000111111116", "FAILED", NET)],
    ids=["paid", "sent back"],
)
async def test_a_payout_ends_though_no_event_came(machine: Machine, number: str, status: str, available: int) -> None:
    market = await deaf(machine, number)
    requested = await market.payout("A", 4000, currency="USD")
    machine.endpoint.holding = True
    await machine.quiet()
    assert (await market.payout_row(requested.id)).status in ("CREATED", "IN_TRANSIT")

    await machine.advance(days=4)

    assert (await market.payout_row(requested.id)).status == status
    assert (await market.books())["custody:A:available", "USD"] == available
    await market.prove()


async def test_a_payout_that_the_provider_does_not_show_fails_alone(machine: Machine) -> None:
    market = await deaf(machine, "000123456789")
    hidden, shown = [await market.payout("A", amount, currency="USD") for amount in (1000, 2000)]
    machine.endpoint.holding = True
    await machine.quiet()
    hidden_at = (await market.payout_row(hidden.id)).provider_payout
    machine.line.refuse(f"GET /v1/payouts/{hidden_at}", status=403)

    await machine.advance(days=4)
    assert (await market.payout_row(shown.id)).status == "PAID"
    assert (await market.payout_row(hidden.id)).status != "PAID"

    machine.line.mend()
    await machine.advance(days=1)
    assert (await market.payout_row(hidden.id)).status == "PAID"
    await market.prove()


async def paid_out(machine: Machine, number: str = "000123456789") -> tuple[Market, UUID]:
    """A payout that was paid, as far as we were told; nothing is told any more."""
    market = await deaf(machine, number)
    requested = await market.payout("A", 4000, currency="USD")
    await machine.advance(days=4)
    assert (await market.payout_row(requested.id)).status == "PAID"
    machine.endpoint.holding = True
    return market, requested.id


async def hourly(machine: Machine) -> None:
    """What the schedule does once an hour about payouts that were paid."""
    async with machine.services.db.system() as scope:
        await ask_returns(scope, Slot(scope.now, 0))
    await machine.quiet()


async def test_a_payout_that_came_back_after_it_was_paid_is_noticed_though_no_event_came(machine: Machine) -> None:
    market, id = await paid_out(machine)
    provider_payout = (await market.payout_row(id)).provider_payout
    await machine.control(f"payouts/{provider_payout}/fail", {"failure_code": "account_closed"})
    await hourly(machine)
    assert (await market.payout_row(id)).status == "PAID", "not asked for while the event may still come"

    await machine.shift(7 * 3600)
    await hourly(machine)

    row = await market.payout_row(id)
    assert (row.status, row.reason) == ("FAILED", "account_closed")
    assert (await market.books())["custody:A:available", "USD"] == NET
    await market.prove()


async def test_a_payout_that_was_paid_is_asked_about_ever_less_often_and_then_no_more(machine: Machine) -> None:
    market, id = await paid_out(machine)
    call = f"GET /v1/payouts/{(await market.payout_row(id)).provider_payout}"

    async def asked(*, hours: int) -> int:
        before = machine.line.count(call)
        await machine.shift(hours * 3600)
        await hourly(machine)
        await machine.sweep()
        return machine.line.count(call) - before

    assert [await asked(hours=hours) for hours in (5, 2)] == [0, 1]
    assert [await asked(hours=hours) for hours in (6, 2)] == [0, 1], "seven hours after the first"
    assert [await asked(hours=hours) for hours in (14, 2)] == [0, 1], "fifteen hours"
    assert [await asked(hours=hours) for hours in (23, 2)] == [0, 1], "a day at most"
    assert [await asked(hours=24) for _ in range(14)] == [1] * 9 + [0] * 5, "for twelve days"


async def test_a_payout_that_is_under_way_for_more_than_a_month_is_asked_about_once_a_day(machine: Machine) -> None:
    market = await deaf(machine, "000123456789")
    requested = await market.payout("A", 4000, currency="USD")
    machine.endpoint.holding = True
    await machine.quiet()
    call = f"GET /v1/payouts/{(await market.payout_row(requested.id)).provider_payout}"
    machine.line.refuse(call, status=500)

    async def asked(*, hours: int) -> int:
        before = machine.line.count(call)
        await machine.shift(hours * 3600)
        await machine.sweep()
        return machine.line.count(call) - before

    assert await asked(hours=31 * 24) == 1
    assert [await asked(hours=12) for _ in range(4)] == [0, 1, 0, 1]
    assert await asked(hours=60 * 24) == 0


async def test_many_payouts_that_may_have_come_back_are_asked_about_in_one_job(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketbill.payouts.upkeep.BATCH_MAX", 2)
    market = await deaf(machine, "000123456789")
    payouts = [await market.payout("A", 100 + number, currency="USD") for number in range(5)]
    await machine.advance(days=4)
    await machine.shift(7 * 3600)
    calls = {f"GET /v1/payouts/{(await market.payout_row(row.id)).provider_payout}" for row in payouts}
    before = {call: machine.line.count(call) for call in calls}
    await hourly(machine)
    assert [machine.line.count(call) - before[call] for call in calls] == [1] * 5
