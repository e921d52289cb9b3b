"""Sellers' accounts are brought up to date though answers and events were lost."""

from tests.market.market import Market

from marketbill.provider.intent import CALLER_LEASE
from marketbill.sellers.upkeep import NEWS_WITHIN, keep_up_sellers

CALL = "POST /v2/core/accounts"


async def test_an_account_whose_answer_was_lost_is_found_by_the_sweep(market: Market) -> None:
    market.machine.line.lose_answer(CALL)
    assert (await market.seller("A", onboard=None)).provider_account is None

    await market.machine.shift(int(CALLER_LEASE.total_seconds()) + 60)
    await keep_up_sellers(market.machine.services, market.platform)

    [made] = (await market.stripe("accounts?limit=100"))["data"]
    assert (await market.seller_row("A")).provider_account == made["id"]


async def test_news_that_never_came_are_asked_for(market: Market) -> None:
    await market.seller("A", onboard=None)
    market.machine.endpoint.holding = True
    await market.onboard("A")
    assert (await market.seller_row("A")).transfers != "ACTIVE"
    await keep_up_sellers(market.machine.services, market.platform)
    assert (await market.seller_row("A")).transfers != "ACTIVE", "not asked for while the event may still come"

    await market.machine.shift(int(NEWS_WITHIN.total_seconds()) + 60)
    await keep_up_sellers(market.machine.services, market.platform)

    assert (await market.seller_row("A")).transfers == "ACTIVE"
