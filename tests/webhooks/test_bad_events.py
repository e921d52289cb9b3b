"""Events that cannot be handled wait alone with their error; while the provider is away, none is ever given up."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from sqlalchemy import Row, select
from tests.market.market import Market

from marketbill.events import inbox
from marketbill.events.inbox import StoredEvent
from marketbill.events.model import inbox_event
from marketbill.provider.stripe import parse_event
from marketbill.webhooks import handle as handling
from marketbill.webhooks.handle import handle_events


class Died(BaseException):
    """What ends a process without a word."""


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
    assert waiting.attempts == inbox.ATTEMPTS_AWAY
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
    assert {event.attempts for event in waiting} == {inbox.ATTEMPTS_AWAY}
    # Sweeps ask about the payments too; a round of events gives up after a few that had no answer.
    assert shop.machine.line.count("GET /v1/balance") == 0
    assert len(shop.machine.line.calls) > before
    shop.machine.line.mend()
    await later(shop, times=1)
    assert await unhandled(shop) == []


@pytest.mark.parametrize(
    ("type", "wrong", "reason"),
    [
        ("payment_intent.succeeded", {"object": "charge"}, "object is a charge, not a payment_intent"),
        ("payment_intent.succeeded", {"object": "\x1b[31m"}, "object is of no known kind, not a payment_intent"),
        ("payment_intent.succeeded", {"latest_charge": ...}, "object lacks latest_charge"),
        ("payment_intent.succeeded", {"latest_charge": 5}, "broken: latest_charge is int, not an id"),
        ("payment_intent.succeeded", {"latest_charge": "ch_\x00"}, "latest_charge holds a character"),
        ("payment_intent.succeeded", {"currency": None}, "currency is nothing, not a text"),
        ("payment_intent.succeeded", {"amount_received": "12"}, "amount_received is str, not a whole number"),
        ("payment_intent.succeeded", {"id": "pi_1/../2"}, "id is 'pi_1/../2', which is no id"),
        ("charge.updated", {"balance_transaction": "../balance"}, "balance_transaction is '../balance'"),
        ("charge.updated", {"balance_transaction": "x" * 250}, f"balance_transaction is '{'x' * 40}', which"),
        ("charge.updated", {"payment_intent": {"id": "pi_1?a=b"}}, "payment_intent is 'pi_1?a=b', which is no id"),
        ("charge.updated", {"transfer_group": ["a"]}, "transfer_group is list, not a text"),
    ],
)
async def test_an_object_of_a_wrong_form_is_parked_at_once_and_its_neighbours_are_handled(
    shop: Market, type: str, wrong: dict[str, Any], reason: str
) -> None:
    await paid(shop)
    machine, endpoint = shop.machine, shop.machine.endpoint
    await machine.delivered()
    bad = next(one for one in endpoint.kept if one.type == type).event
    endpoint.kept.clear()
    bad["data"]["object"] |= wrong
    bad["data"]["object"] = {name: value for name, value in bad["data"]["object"].items() if value is not ...}
    sold = await paid(shop)
    await endpoint.receive(await endpoint.signed(shop.platform, bad))
    await deliver(shop)
    await machine.quiet()

    assert (await shop.payment(sold)).booked_at is not None
    [waiting] = await unhandled(shop)
    assert (waiting.id, waiting.attempts, waiting.next_attempt_at) == (bad["id"], 1, None)
    assert waiting.error.startswith(f"an event {type} whose ")
    assert reason in waiting.error


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


async def test_an_event_that_ends_its_worker_keeps_none_of_its_neighbours(
    shop: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, platform = shop.machine.services.db, shop.platform
    deadly = "evt_deadly"
    async with db.write(platform) as scope:
        created = int(scope.now.timestamp())
        raws = [
            orjson.dumps(
                {
                    "id": id,
                    "object": "event",
                    "api_version": "2026-10-28.endive",
                    "type": "payment_intent.canceled",
                    "created": created,
                    "livemode": False,
                    "data": {"object": {"id": "pi_1"}},
                }
            )
            for id in (deadly, "evt_1", "evt_2")
        ]
        await inbox.store(scope, [(parse_event(raw), raw) for raw in raws])
    apply = handling._apply

    async def die(services: Any, platform: Any, provider: Any, events: Sequence[StoredEvent]) -> None:
        if any(event.id == deadly for event in events):
            raise Died
        await apply(services, platform, provider, events)

    monkeypatch.setattr(handling, "_apply", die)
    deaths = 0
    for _ in range(inbox.ATTEMPTS_MAX + 3):
        try:
            await handle_events(shop.machine.services, platform)
        except Died:
            deaths += 1
        await shop.machine.shift(int(inbox.CLAIM_LEASE.total_seconds()) + 1)

    [left] = await unhandled(shop)
    assert (left.id, left.next_attempt_at) == (deadly, None)
    assert deaths == inbox.ATTEMPTS_MAX
