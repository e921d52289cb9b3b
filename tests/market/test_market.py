"""The machine that the other stories stand on."""

from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.machine import Machine
from tests.market.market import Market


async def test_a_sale_comes_to_rest_with_books_that_agree_with_the_provider(market: Market) -> None:
    await worked_sellers(market)
    payment = await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    await market.machine.advance(days=9)

    assert (await market.payment(payment)).status == "SUCCEEDED"
    assert [row.status for row in await market.transfers(payment)] == ["SENT"] * 3
    await market.prove()


async def test_what_nobody_owes_is_not_run(machine: Machine) -> None:
    await machine.quiet()
    await machine.sweep()

    assert machine.jobs == []
