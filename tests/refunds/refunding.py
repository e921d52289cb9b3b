"""Refunds in the words of a story."""

from typing import Any

from sqlalchemy import Row, select
from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.market import Market

from marketbill.actor import Actor
from marketbill.ids import PaymentId, RefundId, public_id
from marketbill.payments.model import payment_line
from marketbill.refunds import refund as refunds
from marketbill.refunds.draft import LineDraft, Plan, RefundDraft
from marketbill.refunds.model import RefundKind
from marketbill.rules.return_policy import Cause


async def worked_sale(market: Market) -> PaymentId:
    """The worked sale of 121.00, paid and not released yet where the platform has a hold."""
    await worked_sellers(market)
    return await market.sale(*(market.line(name, price) for name, price in WORKED_LINES), reference="order-1")


async def line_id(market: Market, payment: PaymentId, ordinal: int) -> str:
    async with market.machine.services.db.read(market.platform) as scope:
        row = await scope.one(
            select(payment_line.c.id).where(
                payment_line.c.platform_id == market.platform,
                payment_line.c.payment_id == payment,
                payment_line.c.ordinal == ordinal,
            )
        )
    return public_id("payment line", row.id)


def draft(payment: PaymentId, kind: RefundKind = RefundKind.FULL, **changes: Any) -> RefundDraft:
    fields: dict[str, Any] = {"cause": Cause.SELLER_FAULT, "reason": "it came broken"}
    return RefundDraft(public_id("payment", payment), kind, **fields | changes)


async def of_line(market: Market, payment: PaymentId, ordinal: int, **changes: Any) -> RefundDraft:
    """A refund of a line: its `quantity` or `amount`, or all of it."""
    line = LineDraft(
        await line_id(market, payment, ordinal), changes.pop("quantity", None), changes.pop("amount", None)
    )
    return draft(payment, RefundKind.LINES, lines=(line,), **changes)


async def preview(market: Market, asked: RefundDraft) -> Plan:
    return await refunds.preview(market.machine.services, market.operator, asked)


async def create(
    market: Market, asked: RefundDraft, *, token: str, key: str | None = None, actor: Actor | None = None
) -> Row[Any]:
    return await refunds.create(
        market.machine.services,
        actor or market.operator,
        idempotency_key=key or market.machine.key(),
        token=token,
        draft=asked,
    )


async def refund(market: Market, asked: RefundDraft) -> Row[Any]:
    """Previewed, made, and all that follows from it at once."""
    shown = await preview(market, asked)
    row = await create(market, asked, token=shown.token)
    await market.machine.quiet()
    return await refund_row(market, RefundId(row.id))


async def refund_row(market: Market, id: RefundId) -> Row[Any]:
    async with market.machine.services.db.read(market.platform) as scope:
        return await refunds.load(scope, id)
