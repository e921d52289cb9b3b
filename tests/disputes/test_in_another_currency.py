"""Disputes of sales in dollars that the provider settled in euros, lost and won, by hand; and what documents say.

110.00 dollars became 99.00 euros. When they are disputed a dollar is 0.92, so 101.20 are withdrawn; when the second
dispute is won it is 0.93, and 102.30 come back.
"""

from datetime import timedelta

from tests.disputes.court import FEES, FLOAT, contest, decide, disputed, now, paid_sale, publish
from tests.market.machine import NO_FEE, Machine
from tests.market.market import Market

from marketbill.disputes.model import RecoverAt
from marketbill.ids import public_id
from marketbill.statements import operator_reports as reports
from marketbill.statements.statement import statement


async def rate(machine: Machine, euros: str) -> None:
    await machine.control("exchange_rates", {"base": "usd", "rates": {"eur": euros}})


async def reported(market: Market) -> tuple[int, int]:
    """What the operator's report of disputes says is withdrawn, and the fees; its rows and the accounts agree."""
    async with market.machine.services.db.read(market.platform) as scope:
        report = await reports.disputes(scope, "EUR")
    assert report.agrees, report
    return report.withdrawn, report.fees


async def sections(market: Market, seller: str) -> dict[str, int]:
    async with market.machine.services.db.read(market.platform) as scope:
        made = await statement(
            scope,
            seller=market.sellers[seller],
            currency="EUR",
            start=scope.now - timedelta(days=300),
            end=scope.now + timedelta(days=1),
        )
    assert made.agrees
    return {total.section.value: total.amount for total in made.totals}


async def test_dollars_disputed_in_euros_lost_and_won(machine: Machine) -> None:
    market = await machine.platform(connected=False, fee_rule=NO_FEE)
    await rate(machine, "0.9")
    await market.connect(settle="default")
    await machine.control("dispute_fees", FEES)
    await market.stripe("topups", form={"amount": FLOAT, "currency": "eur", "description": "float"})
    await market.seller("A")
    first, second = [
        await market.sale(market.line("A", 11000, currency="USD"), reference=f"order-{one}") for one in (1, 2)
    ]
    await machine.advance(days=9)
    await rate(machine, "0.92")

    lost = await disputed(market, first)
    assert (lost.currency, lost.amount, lost.settlement_currency, lost.withdrawn) == ("USD", 11000, "EUR", 10120)
    assert await reported(market) == (10120, 2000)
    await contest(market, lost)
    await decide(market, lost, "lost")
    await machine.advance(days=1)
    id = public_id("dispute", lost.id)
    told = dict(await market.journal(lost.id))
    assert told["dispute-lost"] == [
        ("seller:A:payable", f"dispute:{id}", 9900),
        ("expenses:fx-loss", f"dispute:{id}", 220),
    ]
    assert await reported(market) == (0, 4000)
    assert (await sections(market, "A"))["DISPUTES"] == -9900

    won = await disputed(market, second)
    await contest(market, won)
    await rate(machine, "0.93")
    await decide(market, won, "won")
    await machine.advance(days=1)
    won = await now(market, won)
    assert (won.status, won.won, won.withdrawn, won.reinstated) == ("WON", 11000, 10120, 10230)
    id = public_id("dispute", won.id)
    assert dict(await market.journal(won.id))["dispute-rate"] == [(f"dispute:{id}", "expenses:fx-loss", 110)]
    assert await reported(market) == (0, 4000 + 4000 - 2000)
    books = await market.books()
    assert books["expenses:fx-loss", "EUR"] == 220 - 110
    assert books["custody:A:available", "EUR"] == 9900
    assert (await sections(market, "A"))["DISPUTES"] == -9900
    await market.prove()


async def test_what_is_taken_early_and_given_again_is_told_as_a_dispute(market: Market) -> None:
    payment = await paid_sale(market)
    await publish(market, recover_at=RecoverAt.OPENED)
    row = await disputed(market, payment)
    await market.machine.sweep()
    assert await reported(market) == (0, 2000)
    taken = {name: await sections(market, name) for name in "ABC"}
    assert {name: each["DISPUTES"] for name, each in taken.items()} == {"A": -4394, "B": -3599, "C": -2727}

    await decide(market, row, "won")
    await market.machine.advance(days=1)
    assert "dispute-restored" in [kind for kind, _ in await market.journal(row.id)]
    given = {name: await sections(market, name) for name in "ABC"}
    assert {name: each["DISPUTES"] for name, each in given.items()} == {"A": 0, "B": 0, "C": 0}
    assert all("ADJUSTMENTS" not in each for each in given.values())
    withdrawn, _ = await reported(market)
    assert withdrawn == 0
    await market.prove()
