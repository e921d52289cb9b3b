"""A seller's way to the provider: one account, a link to what is missing, and what he may do, as the provider says."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Row
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.actor import Actor, Role
from marketbill.errors import InvalidInput, NotFound, ProviderNotConnected
from marketbill.ids import SellerId, new_id, public_id
from marketbill.provider import claim as claims
from marketbill.provider import ending
from marketbill.provider import intent as intents
from marketbill.provider.kinds import CREATE_ACCOUNT
from marketbill.provider.port import Failure, Unknown
from marketbill.sellers import onboarding
from marketbill.sellers.onboarding import OnboardingLink

CALL = "POST /v2/core/accounts"


async def link(
    market: Market, name: str = "A", *, actor: Actor | None = None, urls: Mapping[str, str] | None = None
) -> OnboardingLink:
    return await onboarding.link(
        market.machine.services,
        actor or market.operator,
        id=market.seller_id(name),
        **{"return_url": "https://shop.example/done", "refresh_url": "https://shop.example/again"} | dict(urls or {}),
    )


async def accounts(market: Market) -> list[Any]:
    return (await market.stripe("accounts?limit=100"))["data"]


async def test_the_link_leads_to_what_the_provider_still_wants(market: Market) -> None:
    row = await market.seller("A", onboard=None)
    assert row.transfers != "ACTIVE"
    assert not row.payouts_enabled
    assert row.requirements["currently_due"] or row.requirements["past_due"]

    first, second = await link(market), await link(market)
    assert first.link.url != second.link.url
    async with market.machine.http.get(first.link.url) as response:
        assert response.status == 200

    await market.onboard("A")
    row = await market.seller_row("A")
    assert (row.transfers, row.payouts_enabled) == ("ACTIVE", True)
    assert row.requirements["currently_due"] == []
    assert len(await accounts(market)) == 1


@pytest.mark.parametrize(
    ("outcome", "transfers", "payouts_enabled"),
    [("complete", "ACTIVE", True), ("restricted", "RESTRICTED", False), ("payouts_blocked", "ACTIVE", False)],
)
async def test_the_gates_follow_the_provider(
    market: Market, outcome: str, transfers: str, payouts_enabled: bool
) -> None:
    row: Row[Any] = await market.seller("A", onboard=outcome)

    assert (row.transfers, row.payouts_enabled, row.suspended) == (transfers, payouts_enabled, False)
    due = row.requirements["currently_due"] + row.requirements["past_due"]
    assert bool(due) == (outcome != "complete")
    assert (await market.pay(market.draft(market.line("A", 5000)))).payment.status == "SUCCEEDED"


async def test_a_seller_stands_though_the_provider_is_away_and_gets_one_account_later(market: Market) -> None:
    market.machine.line.cut = True
    row = await market.seller("A", onboard=None)
    assert row.provider_account is None
    with pytest.raises(Unknown):
        await link(market)
    market.machine.line.mend()
    assert await accounts(market) == []

    made = await link(market)
    again = await link(market)

    assert made.seller.provider_account == again.seller.provider_account is not None
    assert [one["id"] for one in await accounts(market)] == [made.seller.provider_account]
    await market.onboard("A")
    assert (await market.seller_row("A")).transfers == "ACTIVE"


async def test_an_account_whose_making_was_not_answered_is_not_made_twice(market: Market) -> None:
    market.machine.line.lose_answer(CALL)
    row = await market.seller("A", onboard=None)
    assert row.provider_account is None
    assert len(await accounts(market)) == 1

    made = await link(market)

    assert [one["id"] for one in await accounts(market)] == [made.seller.provider_account]


async def test_an_account_that_was_made_for_a_request_that_was_given_up_is_found(market: Market) -> None:
    """The operator abandons nothing, the seller just asks for his link again: he has his account, and one only."""
    market.machine.line.lose_answer(CALL)
    await market.seller("A", onboard=None)
    async with market.machine.services.db.write(market.platform) as scope:
        [made] = await intents.for_subjects(scope, CREATE_ACCOUNT, [market.sellers["A"]])
        again = await claims.take(scope, made.id)
        await ending.give_up(scope, again, Unknown(Failure(None, "no_answer", "No answer.")))
    await market.machine.shift(86_400)

    found = await link(market)

    assert [one["id"] for one in await accounts(market)] == [found.seller.provider_account]
    assert market.machine.line.count(CALL) == 1
    settings = await market.stripe("balance_settings", account=found.seller.provider_account)
    assert settings["payments"]["payouts"]["schedule"]["interval"] == "manual"
    async with market.machine.services.db.read(market.platform) as scope:
        ended = await intents.for_subjects(scope, CREATE_ACCOUNT, [market.sellers["A"]])
    assert [one.status for one in ended] == ["SUCCEEDED", "SUCCEEDED"]


@pytest.mark.parametrize("asked_before", [True, False])
async def test_links_asked_for_at_once_make_one_account(machine: Machine, asked_before: bool) -> None:
    market = await machine.platform(connected=asked_before)
    machine.line.cut = True
    await market.seller("A", onboard=None)
    machine.line.mend()
    if not asked_before:
        await market.connect()

    made = await asyncio.gather(*(link(market) for _ in range(3)), return_exceptions=True)

    links = [one for one in made if isinstance(one, OnboardingLink)]
    assert links
    assert all(isinstance(one, OnboardingLink | Unknown) for one in made), made
    assert len(await accounts(market)) == 1
    assert (await market.seller_row("A")).provider_account == links[0].seller.provider_account


async def test_without_a_connected_provider_there_is_no_link(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    row = await market.seller("A", onboard=None)
    assert row.provider_account is None

    with pytest.raises(ProviderNotConnected):
        await link(market)


async def test_a_link_needs_web_addresses(market: Market, subtests: pytest.Subtests) -> None:
    for url in ["javascript:alert(1)", "shop.example", "https://" + "x" * 2000, "https://x\x00"]:
        with subtests.test(url=url):
            await market.seller("A", onboard=None)
            for field, path in (("return_url", "returnUrl"), ("refresh_url", "refreshUrl")):
                with pytest.raises(InvalidInput) as refused:
                    await link(market, urls={field: url})
                assert refused.value.path == (path,)


async def test_a_seller_is_onboarded_by_himself_or_his_platform_only(machine: Machine) -> None:
    market, other = await machine.platform(name="One"), await machine.platform(name="Other")
    await market.seller("A", onboard=None)
    stranger = Actor(Role.SELLER, "sel_x", market.platform, seller=SellerId(new_id()))

    for actor in (stranger, other.operator):
        with pytest.raises(NotFound):
            await link(market, actor=actor)
    himself = Actor(Role.SELLER, market.seller_id("A"), market.platform, seller=market.sellers["A"])
    assert (await link(market, actor=himself)).link.url
    market.sellers["nobody"] = SellerId(new_id())
    with pytest.raises(NotFound):
        await link(market, "nobody")


async def test_late_news_does_not_overwrite_newer_news(market: Market) -> None:
    """Events only say that something changed: what it is now is read from the provider."""
    await market.seller("A", onboard=None)
    market.machine.endpoint.holding = True
    await market.onboard("A", outcome="restricted")
    await market.onboard("A", outcome="complete")
    kept = market.machine.endpoint.kept
    await market.machine.endpoint.deliver(kept[::-1])
    await market.machine.quiet()

    row = await market.seller_row("A")
    assert (row.transfers, row.payouts_enabled) == ("ACTIVE", True)
    assert public_id("seller", row.id) == market.seller_id("A")
