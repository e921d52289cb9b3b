"""The hold: sellers' money is released so many days after the charge or after delivery, by the rule of its sale."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.market.machine import FEE_RULE, Machine
from tests.market.market import Market

from marketbill.errors import StateConflict
from marketbill.ids import PaymentId, public_id
from marketbill.payments import delivery
from marketbill.platforms import platform


async def open_market(machine: Machine, hold_from: str, hold_days: int) -> Market:
    market = await machine.platform(hold_from=hold_from, hold_days=hold_days)
    await market.seller("A")
    return market


async def deliver(market: Market, payment: PaymentId, key: str = "delivered") -> None:
    await delivery.deliver(
        market.machine.services, market.operator, idempotency_key=key, id=public_id("payment", payment)
    )
    await market.machine.quiet()


async def payable_or_sent(market: Market) -> int:
    books = await market.books()
    return books.get(("seller:A:payable", "EUR"), 0) + books.get(("custody:A:available", "EUR"), 0)


async def test_money_is_held_from_capture(machine: Machine) -> None:
    market = await open_market(machine, "CAPTURE", 14)
    payment = await market.sale(market.line("A", 5000))
    row = await market.payment(payment)
    assert row.release_on - row.succeeded_at == timedelta(days=14)

    await machine.advance(days=13.9)
    assert await payable_or_sent(market) == 0
    assert (await market.books())["seller:A:pending", "EUR"] == 4359

    await machine.advance(days=0.2)
    assert await payable_or_sent(market) == 4359
    await market.prove()


async def test_a_hold_that_ends_before_the_funds_are_there_waits_for_them(machine: Machine) -> None:
    market = await open_market(machine, "CAPTURE", 0)
    payment = await market.sale(market.line("A", 5000))
    await machine.advance(days=0.9)
    row = await market.payment(payment)
    assert row.release_on < row.available_on
    assert (row.released_at, await payable_or_sent(market)) == (None, 0)

    await machine.advance(days=7)
    assert await payable_or_sent(market) == 4359
    await market.prove()


async def test_money_is_held_from_delivery(machine: Machine) -> None:
    market = await open_market(machine, "DELIVERY", 3)
    payment = await market.sale(market.line("A", 5000))
    await machine.advance(days=60)
    assert (await market.payment(payment)).release_on is None
    assert await payable_or_sent(market) == 0

    await deliver(market, payment)
    await deliver(market, payment, key="delivered again")
    first = (await market.payment(payment)).release_on
    await machine.advance(days=2.9)
    await deliver(market, payment, key="and again")
    assert (await market.payment(payment)).release_on == first
    assert await payable_or_sent(market) == 0

    await machine.advance(days=0.2)
    assert await payable_or_sent(market) == 4359
    await market.prove()


async def test_a_delivery_that_comes_before_the_charge_is_known_counts(machine: Machine) -> None:
    market = await open_market(machine, "DELIVERY", 3)
    machine.endpoint.holding = True
    payment = await market.sale(market.line("A", 5000))
    await deliver(market, payment)
    await machine.endpoint.deliver(machine.endpoint.kept)
    machine.endpoint.holding = False
    await machine.advance(days=9)

    assert await payable_or_sent(market) == 4359
    await market.prove()


async def test_no_delivery_without_a_sale(market: Market) -> None:
    await market.seller("A", onboard=None)
    declined = await market.pay(market.draft(market.line("A", 5000), card="pm_card_chargeDeclined"))

    with pytest.raises(StateConflict) as refused:
        await deliver(market, PaymentId(declined.payment.id))
    assert refused.value.current_state == "DECLINED"


async def test_a_changed_rule_holds_for_new_sales_only(machine: Machine) -> None:
    market = await open_market(machine, "CAPTURE", 30)
    old = await market.sale(market.line("A", 5000))
    row = await platform.change(
        machine.services,
        market.operator,
        idempotency_key="change",
        changes={"hold_from": "DELIVERY", "hold_days": 0},
    )
    assert (row.version, row.hold_from) == (2, "DELIVERY")
    await market.fees(replace(FEE_RULE, percent=FEE_RULE.percent * 2, fixed={}).document())
    new = await market.sale(market.line("A", 5000))

    assert [(row.hold_from, row.hold_days, row.fee) for row in [await market.payment(id) for id in (old, new)]] == [
        ("CAPTURE", 30, 530),
        ("DELIVERY", 0, 1000),
    ]
    await deliver(market, new)
    await machine.advance(days=9)
    assert await payable_or_sent(market) == 5000 - 1000 - 210
    await machine.advance(days=22)
    assert await payable_or_sent(market) == 5000 - 1000 - 210 + 4359
    await market.prove()


async def test_no_hold_is_none_though_the_charge_was_recorded_a_moment_after_its_events(machine: Machine) -> None:
    market = await open_market(machine, "CAPTURE", 0)
    machine.endpoint.holding = True
    sold = await market.pay(market.draft(market.line("A", 5000), card="pm_card_bypassPending"))
    await machine.delivered()
    # As when the worker's transaction began first and then waited for the one that records the provider's answer.
    async with machine.services.db.write(market.platform) as scope:
        await scope.run(text("update payment set succeeded_at = succeeded_at + interval '2 seconds'"))
    machine.endpoint.holding = False
    await machine.endpoint.deliver(machine.endpoint.kept)
    await machine.quiet()

    assert [transfer.status for transfer in await market.transfers(sold.payment.id)] == ["SENT"]
    await market.prove()
