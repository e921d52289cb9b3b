"""Keeping a planned order: the payment, its lines and its shares, written in one statement (this is the hot path)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import WriteScope
from marketbill.ids import PaymentId, new_id, parse_id
from marketbill.payments.model import PaymentStatus, payment
from marketbill.payments.order import PlannedOrder
from marketbill.prepared import prepared

_KEEP = prepared(
    text(
        """
        with kept as (
          insert into payment (platform_id, id, reference, buyer_id, payment_method_id, currency, gross, tax, fee,
                               fee_tax, seller_net, fee_schedule_id, hold_from, hold_days, tax_country, status,
                               created_at, updated_at, trace, ordered_at)
          values (:platform, :payment, :reference, cast(:buyer as uuid), cast(:method as uuid), :currency, :gross, :tax,
                  :fee, :fee_tax, :seller_net, :fee_schedule, :hold_from, :hold_days, :tax_country, :status, :now, :now,
                  :trace, cast(:ordered_at as timestamptz))
          returning *
        ), lines as (
          insert into payment_line (platform_id, payment_id, id, ordinal, seller_id, description, category, quantity,
                                    unit_price, tax_rate, tax_inclusive, external_refs, gross, tax, net, fee, fee_tax,
                                    seller_net)
          select :platform, :payment, line.*
          from jsonb_to_recordset(:lines) as line
            (id uuid, ordinal integer, seller_id uuid, description text, category text, quantity integer,
             unit_price bigint, tax_rate numeric, tax_inclusive boolean, external_refs jsonb, gross bigint, tax bigint,
             net bigint, fee bigint, fee_tax bigint, seller_net bigint)
        ), shares as (
          insert into payment_share (platform_id, payment_id, seller_id, gross, tax, fee, fee_tax, seller_net,
                                     fee_tax_rule)
          select :platform, :payment, share.*
          from jsonb_to_recordset(:shares) as share
            (seller_id uuid, gross bigint, tax bigint, fee bigint, fee_tax bigint, seller_net bigint,
             fee_tax_rule text)
        )
        select * from kept
        """
    )
    .bindparams(*(bindparam(name, type_=JSONB) for name in ("trace", "lines", "shares")))
    .columns(*payment.c)
)


async def keep(
    scope: WriteScope,
    id: PaymentId,
    order: PlannedOrder,
    *,
    reference: str | None,
    buyer_id: UUID | None,
    method_id: UUID | None,
    ordered_at: datetime | None,
) -> Row[Any]:
    """Writes the order as a payment in state CREATED and gives its row."""
    plan, terms = order.plan, order.terms
    return await scope.one(
        _KEEP,
        {
            "platform": scope.platform,
            "payment": id,
            "reference": reference,
            "buyer": buyer_id,
            "method": method_id,
            "currency": plan.currency,
            "gross": plan.totals.charged,
            "tax": plan.totals.tax,
            "fee": plan.totals.fee,
            "fee_tax": plan.totals.fee_tax,
            "seller_net": plan.totals.seller_net,
            "fee_schedule": terms.id,
            "hold_from": terms.hold_from,
            "hold_days": terms.hold_days,
            "tax_country": terms.country,
            "status": PaymentStatus.CREATED.value,
            "now": scope.now,
            "trace": plan.to_trace(),
            "ordered_at": ordered_at,
            "lines": _lines(order),
            "shares": _shares(order),
        },
    )


def _lines(order: PlannedOrder) -> list[dict[str, Any]]:
    return [
        {
            "id": str(new_id()),
            "ordinal": index,
            "seller_id": str(order.seller_ids[index]),
            "description": line.description,
            "category": line.category,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "tax_rate": str(line.tax_rate),
            "tax_inclusive": line.tax_inclusive,
            "external_refs": line.external_refs,
            "gross": planned.amounts.gross,
            "tax": planned.amounts.tax,
            "net": planned.amounts.net,
            "fee": planned.amounts.fee,
            "fee_tax": planned.amounts.fee_tax,
            "seller_net": planned.amounts.seller_net,
        }
        for index, (line, planned) in enumerate(zip(order.lines, order.plan.lines, strict=True))
    ]


def _shares(order: PlannedOrder) -> list[dict[str, Any]]:
    return [
        {
            "seller_id": str(parse_id("seller", share.seller_id)),
            "gross": share.totals.gross,
            "tax": share.totals.tax,
            "fee": share.totals.fee,
            "fee_tax": share.totals.fee_tax,
            "seller_net": share.totals.seller_net,
            "fee_tax_rule": share.fee_tax.rule,
        }
        for share in order.plan.sellers
    ]
