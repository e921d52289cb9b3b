"""What comes late, or goes wrong for one refund of many."""

from typing import Any

import pytest
from tests.market.machine import Machine
from tests.market.market import Market
from tests.refunds.refunding import create, of_line, preview, refund, refund_row, worked_sale

from marketbill.ids import RefundId, public_id
from marketbill.platforms.credentials import provider_of
from marketbill.refunds import outcome
from marketbill.refunds import refund as refunds


async def sent_back(market: Market, row: Any) -> None:
    await market.machine.control(f"refunds/{row.provider_refund}/fail", {"reason": "expired_or_canceled_card"})
    await market.machine.quiet()


async def test_old_news_of_a_refund_that_came_back_does_not_end_the_next_attempt(market: Market) -> None:
    payment = await worked_sale(market)
    await market.machine.advance(days=9)
    row = await refund(market, await of_line(market, payment, 0, amount=2000))
    await sent_back(market, row)
    services = market.machine.services
    async with services.db.read(market.platform) as scope:
        provider = await provider_of(services, scope)
    old = await provider.retrieve_refund(row.provider_refund)

    await outcome.retry(
        services, market.operator, idempotency_key="again", id=public_id("refund", row.id), reason="another card"
    )
    async with services.db.write(market.platform) as scope:
        await outcome.apply(scope, RefundId(row.id), old)
    await market.machine.quiet()
    paid = await refund_row(market, RefundId(row.id))
    assert (paid.status, paid.attempt) == ("SUCCEEDED", 2)
    assert paid.provider_refund != row.provider_refund
    await market.prove()


async def test_what_was_paid_of_pending_money_and_came_back_is_not_pending_for_ever(machine: Machine) -> None:
    market = await machine.platform(hold_days=30)
    payment = await worked_sale(market)
    row = await refund(market, await of_line(market, payment, 0, amount=2000))
    await sent_back(market, row)
    await outcome.retry(
        machine.services, market.operator, idempotency_key="again", id=public_id("refund", row.id), reason="as before"
    )
    await machine.quiet()
    await machine.advance(days=9)
    assert (await refund_row(market, RefundId(row.id))).status == "SUCCEEDED"
    books = await market.books()
    assert books["psp:pending", "EUR"] == 0
    assert books["psp:available", "EUR"] == 12100 - 207 - 2000
    await market.prove()


async def test_a_refund_that_cannot_be_approved_keeps_no_other_waiting(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await worked_sale(market)
    await market.machine.advance(days=9)
    made = []
    for ordinal in (0, 0):
        asked = await of_line(market, payment, ordinal, amount=1000)
        made.append(await create(market, asked, token=(await preview(market, asked)).token))
    assert [row.status for row in made] == ["RECOVERING", "RECOVERING"]
    approve = refunds.approve

    async def broken(scope: Any, payment: Any, row: Any) -> Any:
        if row.id == made[0].id:
            raise AssertionError("this one cannot be booked")
        return await approve(scope, payment, row)

    monkeypatch.setattr(refunds, "approve", broken)
    for job in (market.machine.quiet, market.machine.sweep):
        with pytest.raises(AssertionError, match="cannot be booked"):
            await job()
    assert (await refund_row(market, RefundId(made[1].id))).status == "SUCCEEDED"
    monkeypatch.undo()
    await market.machine.sweep()
    assert (await refund_row(market, RefundId(made[0].id))).status == "SUCCEEDED"
    await market.prove()
