"""Currencies without, with two and with three decimals, from the sale to the seller's bank."""

from dataclasses import replace

import pytest
from tests.market.machine import FEE_RULE, NO_FEE, Machine
from tests.market.market import Market

from marketbill.errors import InvalidInput
from marketbill.provider.stripe.units import NotOnTheWire

#: Country of the platform, currency, price, fee (10 % + fixed), net (after 21 % on the fee), transferred, by hand.
TABLE = [
    ("NL", "EUR", 5000, 530, 4359, 4359),
    ("US", "USD", 5000, 530, 4359, 4359),
    # 1005 yen: 100.5 is 101, + 30 = 131, tax 27.51 is 28.
    ("JP", "JPY", 1005, 131, 846, 846),
    # 1255 krónur: 125.5 is 126, + 40 = 166, tax 34.86 is 35.
    ("IS", "ISK", 1255, 166, 1054, 1054),
    # 5.130 dinars: 513 + 100 = 613, tax 128.73 is 129, net 4.388; 8 fils cannot be transferred and stay payable.
    ("KW", "KWD", 5130, 613, 4388, 4380),
]


@pytest.mark.parametrize(("country", "currency", "price", "fee", "net", "paid"), TABLE, ids=lambda value: str(value))
async def test_a_sale_in_every_kind_of_currency(
    machine: Machine, country: str, currency: str, price: int, fee: int, net: int, paid: int
) -> None:
    market = await machine.platform(country="NL" if country == "KW" else country, currency=currency)
    await market.seller("A", country="NL" if country == "KW" else country)
    payment = await market.sale(market.line("A", price, currency=currency))
    await machine.advance(days=30)

    row = await market.payment(payment)
    assert (row.gross, row.fee, row.seller_net) == (price, fee, net)
    [transfer] = await market.transfers(payment)
    assert (transfer.status, transfer.amount) == ("SENT", paid)
    books = await market.books()
    assert books["seller:A:payable", currency] == net - paid
    assert books["custody:A:available", currency] == paid
    assert books["revenue:platform-fee", currency] == fee
    await market.prove()


async def test_amounts_that_the_provider_cannot_move_are_refused_before_anything_is_kept(market: Market) -> None:
    await market.seller("A", onboard=None)

    with pytest.raises(InvalidInput, match="third decimal"):
        await market.pay(market.draft(market.line("A", 5124, currency="KWD")))

    assert await market.charges() == []
    assert await market.books() == {}


async def test_a_currency_without_a_fixed_fee_is_refused(market: Market) -> None:
    await market.seller("A", onboard=None)

    with pytest.raises(InvalidInput, match="CHF") as refused:
        await market.pay(market.draft(market.line("A", 5000, currency="CHF")))

    assert refused.value.path == ("currency",)
    await market.fees(replace(FEE_RULE, fixed={**FEE_RULE.fixed, "CHF": 30}).document())
    paid = await market.pay(market.draft(market.line("A", 5000, currency="CHF")))
    assert (paid.payment.status, paid.payment.fee) == ("SUCCEEDED", 530)


async def test_remainders_of_three_decimals_stay_payable_and_add_up(machine: Machine) -> None:
    market = await machine.platform(currency="KWD")
    await market.seller("A")
    for _ in range(3):
        await market.sale(market.line("A", 5130, currency="KWD"))
    await machine.advance(days=30)

    assert [row.amount for row in await market.transfers()] == [4380] * 3
    assert (await market.books())["seller:A:payable", "KWD"] == 24
    await market.prove()


async def test_a_market_in_two_currencies_keeps_them_apart(machine: Machine) -> None:
    market = await machine.platform()
    await market.seller("A")
    await market.sale(market.line("A", 5000))
    await market.sale(market.line("A", 7000, currency="USD"))
    await machine.advance(days=30)

    books = await market.books()
    assert books["custody:A:available", "EUR"] == 4359
    assert books["custody:A:available", "USD"] == 7000 - 730 - 153
    await market.prove()


@pytest.mark.parametrize("currency", ["HUF", "TWD"])
async def test_what_is_charged_with_decimals_is_paid_out_in_whole_units(machine: Machine, currency: str) -> None:
    """Of 500.45 the bank gets 500.00; 0.45 wait at the provider, and go with what comes next."""
    market = await machine.platform(currency=currency, fee_rule=NO_FEE)
    await market.seller("A")
    await market.sale(market.line("A", 50045, currency=currency))
    await machine.advance(days=30)

    first = await market.payout("A", currency=currency)
    await machine.advance(days=5)

    assert (first.amount, (await market.payout_row(first.id)).status) == (50000, "PAID")
    assert (await market.books())["custody:A:available", currency] == 45
    with pytest.raises(NotOnTheWire, match="whole units"):
        await market.payout("A", 45, currency=currency)

    await market.sale(market.line("A", 50055, currency=currency))
    await machine.advance(days=30)
    assert (await market.payout("A", currency=currency)).amount == 50100
    await machine.advance(days=5)
    assert (await market.books())["custody:A:available", currency] == 0
    await market.prove()


async def test_a_shilling_without_decimals_is_written_with_two(machine: Machine) -> None:
    market = await machine.platform(currency="UGX", fee_rule=NO_FEE)
    await market.seller("A")
    payment = await market.sale(market.line("A", 12345, currency="UGX"))
    await machine.advance(days=30)

    assert [charge["amount"] for charge in await market.charges()] == [1_234_500]
    assert [row.amount for row in await market.transfers(payment)] == [12345]
    payout = await market.payout("A", currency="UGX")
    await machine.advance(days=5)
    assert (payout.amount, (await market.payout_row(payout.id)).status) == (12345, "PAID")
    await market.prove()
