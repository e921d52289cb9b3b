"""Events in many workers' hands at once: none is lost, none counts twice, and nobody waits in a circle."""

import asyncio
import random

import pytest
from tests.market.market import Market

from marketbill.payouts.payout import execute_payouts
from marketbill.webhooks.handle import handle_events


@pytest.mark.parametrize("seed", range(2))
async def test_many_workers_with_the_same_payments(market: Market, seed: int) -> None:
    machine, order = market.machine, random.Random(seed)
    await market.seller("A")
    machine.endpoint.holding = True
    sales = [(await market.pay(market.draft(market.line("A", 1000 + number)))).payment.id for number in range(8)]
    await machine.delivered()
    deliveries, machine.endpoint.kept = machine.endpoint.kept, []
    for number, delivery in enumerate(list(deliveries)):
        event = delivery.event | {"id": f"evt_again_{number}"}
        deliveries.append(await machine.endpoint.signed(delivery.platform, event))
    order.shuffle(deliveries)

    async def receive_and_work() -> None:
        while deliveries:
            await machine.endpoint.receive(deliveries.pop())
            await handle_events(machine.services, market.platform)

    await asyncio.gather(*(receive_and_work() for _ in range(4)))
    machine.endpoint.holding = False
    await machine.quiet()

    assert [(await market.payment(id)).booked_at is not None for id in sales] == [True] * 8
    assert len(await market.journal()) == 3 * 8
    await machine.advance(days=9)
    assert [row.status for row in await market.transfers()] == ["SENT"] * 8
    await market.prove()


async def test_payouts_told_while_they_are_recorded(market: Market) -> None:
    await market.seller("A")
    await market.sale(market.line("A", 50_000))
    await market.machine.advance(days=9)
    requested = [await market.payout("A", 1000 + number) for number in range(4)]
    services, platform = market.machine.services, market.platform

    await asyncio.gather(
        *(execute_payouts(services, platform) for _ in range(2)), *(market.machine.quiet() for _ in range(2))
    )
    await market.machine.advance(days=4)

    assert [(await market.payout_row(row.id)).status for row in requested] == ["PAID"] * 4
    await market.prove()
