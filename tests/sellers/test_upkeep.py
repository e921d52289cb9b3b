"""Sellers' accounts are brought up to date though answers and events were lost."""

import pytest
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


@pytest.mark.parametrize("status", [403, 500])
async def test_an_account_that_cannot_be_read_does_not_keep_the_others_waiting(
    market: Market, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr("marketbill.sellers.upkeep.BATCH_MAX", 1)
    for name in ("Gone", "A"):
        await market.seller(name, onboard=None)
    market.machine.endpoint.holding = True
    await market.onboard("A")
    gone = (await market.seller_row("Gone")).provider_account
    market.machine.line.refuse(f"GET /v1/accounts/{gone}", status=status)

    await market.machine.shift(int(NEWS_WITHIN.total_seconds()) + 60)
    for _ in range(2):
        await keep_up_sellers(market.machine.services, market.platform)

    assert (await market.seller_row("A")).transfers == "ACTIVE"
    assert market.machine.line.count(f"GET /v1/accounts/{gone}") == 1


async def test_a_seller_who_takes_long_is_asked_about_ever_less_often_but_every_six_hours(market: Market) -> None:
    row = await market.seller("A", onboard=None)
    call = f"GET /v1/accounts/{row.provider_account}"

    async def asked(*, minutes: int) -> int:
        before = market.machine.line.count(call)
        await market.machine.shift(60 * minutes)
        await market.machine.sweep()
        return market.machine.line.count(call) - before

    assert [await asked(minutes=minutes) for minutes in (9, 2)] == [0, 1]
    assert [await asked(minutes=minutes) for minutes in (9, 3)] == [0, 1], "as long again as he takes, 11 minutes"
    assert [await asked(minutes=minutes) for minutes in (48 * 60, 350, 20)] == [1, 0, 1], "six hours at most"
