"""Events that cannot be handled wait alone with their error; while the provider is away, none is ever given up."""

from typing import Any

import pytest
from sqlalchemy import Row, select
from tests.market.market import Market

from marketbill.events import inbox
from marketbill.events.model import inbox_event


@pytest.fixture
async def shop(market: Market) -> Market:
    """A market whose events are kept until they are delivered."""
    await market.seller("A")
    market.machine.endpoint.holding = True
    return market


async def paid(market: Market) -> Any:
    return (await market.pay(market.draft(market.line("A", 5000)))).payment.id


async def asked(market: Market) -> tuple[Any, str]:
    """A payment whose event makes us read it: our id, and the call that reads it."""
    row = (await market.pay(market.draft(market.line("A", 5000), card="pm_card_authenticationRequired"))).payment
    return row.id, f"GET /v1/payment_intents/{row.provider_payment}"


async def deliver(market: Market) -> None:
    endpoint = market.machine.endpoint
    await market.machine.delivered()
    kept, endpoint.kept = endpoint.kept, []
    await endpoint.deliver(kept)


async def unhandled(market: Market) -> list[Row[Any]]:
    async with market.machine.services.db.read(market.platform) as scope:
        return list(await scope.rows(select(inbox_event).where(inbox_event.c.handled_at.is_(None))))


async def later(market: Market, *, times: int, seconds: int = 3700) -> None:
    for _ in range(times):
        await market.machine.shift(seconds)
        await market.machine.sweep()


async def test_an_answer_of_another_form_keeps_its_own_event_waiting_only(shop: Market) -> None:
    sold = await paid(shop)
    _, call = await asked(shop)
    shop.machine.line.refuse(call, status=200)
    await deliver(shop)
    await shop.machine.quiet()

    assert (await shop.payment(sold)).booked_at is not None
    [waiting] = await unhandled(shop)
    assert (waiting.type, waiting.attempts) == ("payment_intent.requires_action", 1)
    assert "Unknown" in waiting.error


async def test_an_object_that_the_provider_cannot_read_never_exhausts_its_event(shop: Market) -> None:
    sold = await paid(shop)
    _, call = await asked(shop)
    shop.machine.line.refuse(call, status=500)
    await deliver(shop)
    await shop.machine.quiet()
    assert (await shop.payment(sold)).booked_at is None, "at first it looks as if the provider were away"

    await later(shop, times=1, seconds=10)
    assert (await shop.payment(sold)).booked_at is not None
    await later(shop, times=inbox.ATTEMPTS_MAX + 2)

    [waiting] = await unhandled(shop)
    assert waiting.attempts > inbox.ATTEMPTS_MAX
    assert waiting.next_attempt_at is not None
    shop.machine.line.mend()
    await later(shop, times=1)
    assert await unhandled(shop) == []
    await shop.prove()


async def test_an_outage_exhausts_no_event(shop: Market) -> None:
    ids = [(await asked(shop))[0] for _ in range(6)]
    await shop.machine.delivered()
    shop.machine.line.cut = True
    await deliver(shop)
    before = len(shop.machine.line.calls)
    await later(shop, times=inbox.ATTEMPTS_MAX + 2)

    waiting = await unhandled(shop)
    assert len(waiting) >= len(ids)
    assert None not in [event.next_attempt_at for event in waiting]
    assert min(event.attempts for event in waiting) > inbox.ATTEMPTS_MAX
    # Sweeps ask about the payments too; a round of events gives up after a few that had no answer.
    assert shop.machine.line.count("GET /v1/balance") == 0
    assert len(shop.machine.line.calls) > before
    shop.machine.line.mend()
    await later(shop, times=1)
    assert await unhandled(shop) == []


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"currency": None}, "AttributeError"), ({"latest_charge": "ch_\x00"}, "DBAPIError")],
    ids=["no currency", "not for the database"],
)
async def test_whatever_is_wrong_with_an_event_stays_with_it(shop: Market, wrong: dict[str, Any], error: str) -> None:
    await paid(shop)
    machine, endpoint = shop.machine, shop.machine.endpoint
    await machine.delivered()
    bad = next(one for one in endpoint.kept if one.type == "payment_intent.succeeded").event
    endpoint.kept.clear()
    bad["data"]["object"] |= wrong
    sold = await paid(shop)
    await endpoint.receive(await endpoint.signed(shop.platform, bad))
    await deliver(shop)
    await machine.quiet()

    assert (await shop.payment(sold)).booked_at is not None
    [waiting] = await unhandled(shop)
    assert (waiting.id, waiting.error) == (bad["id"], error)
    assert waiting.next_attempt_at is not None


@pytest.mark.parametrize("type", ["payment_intent.succeeded", "charge.updated"])
async def test_a_charge_of_a_connected_account_is_its_own_business(shop: Market, type: str) -> None:
    """It may name our transfer group, yet the money is not the platform's."""
    machine, endpoint = shop.machine, shop.machine.endpoint
    await paid(shop)
    await machine.delivered()
    event = next(one for one in endpoint.kept if one.type == type).event
    event["account"] = (await shop.seller_row("A")).provider_account
    await endpoint.receive(await endpoint.signed(shop.platform, event))
    await machine.quiet()

    assert await unhandled(shop) == []
    assert await shop.books() == {}
