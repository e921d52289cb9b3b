"""The platform's own money at the provider: top-ups, what a bank takes back, payouts, and what nobody can name."""

from tests.market.market import Market

from marketbill.payouts.treasury import keep_up_treasury


async def topped_up(market: Market, amount: int, *, source: str = "btok_us_verified") -> None:
    await market.stripe("topups", form={"amount": amount, "currency": "eur", "source": source})
    await market.machine.quiet()


async def test_a_top_up_is_booked_when_its_event_comes_and_never_again(market: Market) -> None:
    await topped_up(market, 20000)
    assert await market.journal() == [("float", [("psp:available", "bank", 20000)])]

    await keep_up_treasury(market.machine.services, market.platform)
    assert len(await market.journal()) == 1
    await market.prove()


async def test_a_top_up_that_the_bank_takes_back(market: Market) -> None:
    await topped_up(market, 700, source="btok_us_verified_reversed")
    await market.machine.advance(days=3)
    assert await market.journal() == [
        ("float", [("psp:available", "bank", 700)]),
        ("float-returned", [("bank", "psp:available", 700)]),
    ]
    await market.prove()


async def test_a_payout_of_the_platform_is_found_in_the_providers_list(market: Market) -> None:
    await topped_up(market, 5000)
    await market.stripe("payouts", form={"amount": 3000, "currency": "eur"})
    await keep_up_treasury(market.machine.services, market.platform)
    assert (await market.journal())[1:] == [("platform-payout", [("bank", "psp:available", 3000)])]
    await market.prove()
