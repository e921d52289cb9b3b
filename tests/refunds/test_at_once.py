"""Two who refund the same sale at the same moment, and refunds of what a bank disputes."""

import asyncio

import pytest
from tests.disputes.court import disputed, publish
from tests.market.market import Market
from tests.refunds.refunding import create, draft, of_line, preview, refund, refund_row, worked_sale

from marketbill.disputes.execute import execute_disputes
from marketbill.disputes.model import RecoverAt
from marketbill.errors import PreviewStale
from marketbill.ids import RefundId
from marketbill.refunds.draft import NotRefundable
from marketbill.webhooks.handle import handle_events


async def test_two_at_once_with_one_preview_make_one_refund(market: Market) -> None:
    payment = await worked_sale(market)
    asked = await of_line(market, payment, 0, amount=3000)
    token = (await preview(market, asked)).token
    ends = await asyncio.gather(*(create(market, asked, token=token) for _ in range(6)), return_exceptions=True)
    made = [end for end in ends if not isinstance(end, BaseException)]
    assert len(made) == 1
    assert [type(end) for end in ends if isinstance(end, BaseException)] == [PreviewStale] * 5
    await market.machine.quiet()
    assert (await refund_row(market, RefundId(made[0].id))).status == "SUCCEEDED"
    assert len((await market.stripe("refunds?limit=10"))["data"]) == 1
    await market.prove()


async def test_two_of_different_lines_at_once_end_one_after_the_other(market: Market) -> None:
    payment = await worked_sale(market)
    first, second = await of_line(market, payment, 0), await of_line(market, payment, 1)
    tokens = [(await preview(market, asked)).token for asked in (first, second)]
    ends = await asyncio.gather(
        create(market, first, token=tokens[0]), create(market, second, token=tokens[1]), return_exceptions=True
    )
    # They touch different sellers and lines, so what both previews showed holds.
    assert [end for end in ends if isinstance(end, BaseException)] == []
    await market.machine.quiet()
    assert (await preview(market, draft(payment))).made.amount == 3102
    await market.prove()


async def test_an_answer_that_was_lost_is_looked_up_and_no_buyer_is_paid_twice(market: Market) -> None:
    payment = await worked_sale(market)
    await market.machine.advance(days=9)
    asked = await of_line(market, payment, 0, amount=2000)
    made = await create(market, asked, token=(await preview(market, asked)).token)
    market.machine.line.lose_answer("POST /v1/refunds")
    await market.machine.quiet()
    await market.machine.advance(seconds=300)
    assert (await refund_row(market, RefundId(made.id))).status == "SUCCEEDED"
    assert len((await market.stripe("refunds?limit=10"))["data"]) == 1
    await market.prove()


async def test_what_a_bank_disputes_is_not_refunded_beside(market: Market) -> None:
    payment = await worked_sale(market)
    await market.machine.advance(days=9)
    await disputed(market, payment)
    with pytest.raises(NotRefundable) as refusal:
        await refund(market, await of_line(market, payment, 0, amount=2000))
    assert refusal.value.current_state == "DISPUTED"


async def test_what_a_refund_under_way_does_not_give_back_is_not_the_platforms_loss(market: Market) -> None:
    """The provider refuses to refund what was disputed meanwhile: then all of the sale is the dispute's."""
    payment = await worked_sale(market)
    await market.machine.advance(days=9)
    await publish(market, recover_at=RecoverAt.OPENED)
    asked = await of_line(market, payment, 0, amount=2000)
    made = await create(market, asked, token=(await preview(market, asked)).token)
    charge = (await market.payment(payment)).provider_charge
    await market.machine.control(f"charges/{charge}/dispute", {})
    await market.machine.delivered()
    await handle_events(market.machine.services, market.platform)
    await execute_disputes(market.machine.services, market.platform)
    await market.machine.quiet()
    await market.machine.sweep()
    assert (await refund_row(market, RefundId(made.id))).status == "REFUSED"
    assert (await market.books()).get(("expenses:dispute-loss", "EUR"), 0) == 0
    await market.prove()
