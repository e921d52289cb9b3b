"""Payouts whose events never come: what the provider knows is asked for, so money that came back is not forgotten."""

import pytest
from tests.market.machine import Machine
from tests.market.market import Market
from tests.payouts.test_payouts import bank_account

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
