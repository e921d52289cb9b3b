"""Keeping a planned order: the payment, its lines and its shares, written in one statement (this is the hot path)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import WriteScope
from marketbill.ids import PaymentId, new_id, parse_id
from marketbill.payments.model import PaymentStatus, payment
from marketbill.payments.planning import PlannedOrder
from marketbill.prepared import prepared

_KEEP = prepared(
    text(
        """
        with kept as (
          insert into payment (platform_id, id, reference, buyer_id, payment_method_id, currency, gross, tax, fee,
                               fee_tax, seller_net, fee_schedule_id, hold_from, hold_days, tax_country, status,
                               created_at, updated_at, trace, ordered_at, channel, method, promo, buyer_fee,
                               buyer_fee_tax, deemed_tax, withheld, processor_fee, buyer_legs)
          values (:platform, :payment, :reference, cast(:buyer as uuid), cast(:payment_method as uuid), :currency,
                  :gross, :tax, :fee, :fee_tax, :seller_net, :fee_schedule, :hold_from, :hold_days, :tax_country,
                  :status, :now, :now, :trace, cast(:ordered_at as timestamptz), :channel, :method, :promo, :buyer_fee,
                  :buyer_fee_tax, :deemed_tax, :withheld, :processor_fee, :buyer_legs)
          returning *
        ), lines as (
          insert into payment_line (platform_id, payment_id, id, ordinal, seller_id, description, category, quantity,
                                    unit_price, tax_rate, tax_inclusive, external_refs, product, tax_category, gross,
                                    tax, net, fee, fee_tax, seller_net, shipping, shipping_tax, discount, promo,
                                    buyer_fee, buyer_fee_tax, deemed_tax, withheld, processor_fee, passed_on)
          select :platform, :payment, line.*
          from jsonb_to_recordset(:lines) as line
            (id uuid, ordinal integer, seller_id uuid, description text, category text, quantity integer,
             unit_price bigint, tax_rate numeric, tax_inclusive boolean, external_refs jsonb, product text,
             tax_category text, gross bigint, tax bigint, net bigint, fee bigint, fee_tax bigint, seller_net bigint,
             shipping bigint, shipping_tax bigint, discount bigint, promo bigint, buyer_fee bigint,
             buyer_fee_tax bigint, deemed_tax bigint, withheld bigint, processor_fee bigint, passed_on bigint)
        ), shares as (
          insert into payment_share (platform_id, payment_id, seller_id, gross, tax, fee, fee_tax, seller_net,
                                     fee_tax_rule, promo, deemed_tax, withheld, processor_fee, received, passed_on,
                                     legs, hold_from, hold_days, release_rule_id, held_days_max)
          select :platform, :payment, share.*
          from jsonb_to_recordset(:shares) as share
            (seller_id uuid, gross bigint, tax bigint, fee bigint, fee_tax bigint, seller_net bigint,
             fee_tax_rule text, promo bigint, deemed_tax bigint, withheld bigint, processor_fee bigint,
             received bigint, passed_on bigint, legs jsonb, hold_from text, hold_days integer, release_rule_id uuid,
             held_days_max integer)
        )
        select * from kept
        """
    )
    .bindparams(*(bindparam(name, type_=JSONB) for name in ("trace", "lines", "shares", "buyer_legs")))
    .columns(*payment.c)
)


_TOTALS = (
    "tax", "fee", "fee_tax", "seller_net", "promo", "buyer_fee", "buyer_fee_tax", "deemed_tax", "withheld",
    "processor_fee",
)  # fmt: skip
_LINE_AMOUNTS = (
    "gross", "tax", "net", "fee", "fee_tax", "seller_net", "shipping", "shipping_tax", "discount", "promo",
    "buyer_fee", "buyer_fee_tax", "deemed_tax", "withheld", "processor_fee", "passed_on",
)  # fmt: skip
_SHARE_AMOUNTS = (
    "gross", "tax", "fee", "fee_tax", "seller_net", "promo", "deemed_tax", "withheld", "processor_fee", "received",
    "passed_on",
)  # fmt: skip


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
    terms, trace = order.terms, order.plan.to_trace()
    totals = trace["totals"]
    return await scope.one(
        _KEEP,
        {
            "platform": scope.platform,
            "payment": id,
            "reference": reference,
            "buyer": buyer_id,
            "payment_method": method_id,
            "currency": order.plan.currency,
            "gross": totals["charged"],
            **{name: totals[name] for name in _TOTALS},
            "fee_schedule": terms.id,
            "hold_from": terms.hold_from,
            "hold_days": terms.hold_days,
            "tax_country": terms.country,
            "status": PaymentStatus.CREATED.value,
            "now": scope.now,
            "trace": trace,
            "ordered_at": ordered_at,
            "channel": order.order.channel,
            "method": order.order.method,
            "buyer_legs": trace["buyer_legs"],
            "lines": _lines(order, trace),
            "shares": _shares(order, trace),
        },
    )


def _lines(order: PlannedOrder, trace: Mapping[str, Any]) -> list[dict[str, Any]]:
    inputs = trace["inputs"]["lines"]
    return [
        {
            "id": str(new_id()),
            "ordinal": index,
            "seller_id": str(order.seller_ids[index]),
            "description": line.description,
            "category": line.category,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "tax_rate": inputs[planned["line_id"]]["tax"]["rate"],
            "tax_inclusive": line.tax_inclusive,
            "external_refs": line.external_refs,
            "product": line.product,
            "tax_category": line.tax_category,
            **{name: planned[name] for name in _LINE_AMOUNTS},
        }
        for index, (line, planned) in enumerate(zip(order.order.lines, trace["lines"], strict=True))
    ]


def _shares(order: PlannedOrder, trace: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "seller_id": str(parse_id("seller", share["seller_id"])),
            "fee_tax_rule": share["fee_tax_rule"],
            "legs": share["legs"],
            **{name: share[name] for name in _SHARE_AMOUNTS},
            "hold_from": order.holds[share["seller_id"]].start,
            "hold_days": order.holds[share["seller_id"]].days,
            "held_days_max": order.legal_days[share["seller_id"]],
            "release_rule_id": str(order.terms.release_rule_id) if order.terms.release_rule_id else None,
        }
        for share in trace["sellers"]
    ]
