"""Early fraud warnings by policy: noted, held, or refunded when the sale is not above an amount."""

from typing import Any

import pytest
from sqlalchemy import Row, select
from tests.disputes.court import charge_of, disputed, publish
from tests.market.market import Market

from marketbill.disputes.model import OnFraudWarning, fraud_warning
from marketbill.errors import InvalidInput
from marketbill.refunds.model import refund


async def warned(market: Market, payment: Any) -> Row[Any]:
    """The issuer warns of a payment, and we have heard of it."""
    await market.machine.control(f"charges/{await charge_of(market, payment)}/fraud_warning", {})
    await market.machine.quiet()
    return await warning_of(market, payment)


async def warning_of(market: Market, payment: Any) -> Row[Any]:
    async with market.machine.services.db.read(market.platform) as scope:
        return await scope.one(
            select(fraud_warning).where(
                fraud_warning.c.platform_id == market.platform, fraud_warning.c.payment_id == payment
            )
        )


async def test_nothing_a_hold_or_a_refund(market: Market) -> None:
    await market.seller("A")
    noted = await market.sale(market.line("A", 5000))
    assert (await warned(market, noted)).action == "NOTHING"

    await publish(market, on_fraud_warning=OnFraudWarning.REFUND_BELOW, refund_below={"EUR": 3000})
    small, large = await market.sale(market.line("A", 3000)), await market.sale(market.line("A", 3001))
    assert [(await warned(market, one)).action for one in (small, large)] == ["REFUND", "HOLD"]
    await market.machine.advance(days=9)
    told = await warning_of(market, small)
    async with market.machine.services.db.read(market.platform) as scope:
        made = await scope.one(select(refund).where(refund.c.platform_id == market.platform))
    assert (made.id, made.payment_id, made.amount, made.cause) == (told.refund_id, small, 3000, "FRAUD")
    assert (made.status, told.act_since, told.actionable) == ("SUCCEEDED", None, False)
    assert len(await market.transfers(noted)) == 1
    assert await market.transfers(large) == []

    # What was warned of is disputed: its own hold takes the place of the warning's, and ends with the dispute.
    row = await disputed(market, large)
    assert (await warning_of(market, large)).actionable is False
    await market.machine.control(f"disputes/{row.provider_dispute}/decide", {"outcome": "won"})
    await market.machine.quiet()
    await market.machine.advance(days=1)
    assert [one.status for one in await market.transfers(large)] == ["SENT"]
    await market.prove()


async def test_a_policy_that_refunds_says_up_to_which_amount(market: Market) -> None:
    below: dict[str, int]
    for below in ({}, {"EUR": -1}):
        with pytest.raises(InvalidInput) as refused:
            await publish(market, on_fraud_warning=OnFraudWarning.REFUND_BELOW, refund_below=below)
        assert refused.value.path == ("refundBelow",)
