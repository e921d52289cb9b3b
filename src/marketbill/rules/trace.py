"""The trace of a split: everything it was computed from and every amount with its steps, as plain data for JSON."""

from decimal import Decimal
from typing import Any

from marketbill.rules.explanation import Step
from marketbill.rules.fees.charge import LineFee
from marketbill.rules.plan import Legs, LinePlan, SellerShare, SplitPlan, Totals
from marketbill.rules.tax.fee_tax import FeeTaxDecision
from marketbill.rules.tax.line_tax import LineTax

#: The shape of a trace, kept in every one so that old ones stay readable.
TRACE_VERSION = 2

#: The names of amounts, as lines, sellers and the whole sale have them.
AMOUNTS = Totals._fields


def trace_of(plan: SplitPlan) -> dict[str, Any]:
    """The plan as strings, integers, lists and dictionaries."""
    return {
        "trace_version": TRACE_VERSION,
        "currency": plan.currency,
        "schedule": {"id": plan.schedule_id, "version": plan.schedule_version},
        "at": plan.fees.at.isoformat(),
        "inputs": _inputs(plan),
        "lines": [_line(line) for line in plan.lines],
        "sellers": [_share(share) for share in plan.sellers],
        "totals": {**dict(zip(AMOUNTS, plan.totals, strict=True)), "charged": plan.totals.charged},
        "buyer_legs": _legs(plan.buyer_legs),
    }


def _inputs(plan: SplitPlan) -> dict[str, Any]:
    basket, fees, tax = plan.basket, plan.fees, plan.tax
    return {
        "channel": basket.channel,
        "payment_method": basket.payment_method,
        "buyer": {
            "country": tax.buyer.country,
            "region": tax.buyer.region,
            "business": tax.buyer.business,
            "fee_tax": _fee_tax(plan.decisions.buyer_fee),
        },
        "platform": {"country": tax.platform.country, "rate": _percent(tax.platform.rate)},
        "sellers": {
            id: {
                "country": tax.sellers[id].country,
                "vat_number_valid": tax.sellers[id].vat_number_valid,
                "fee_tax": _fee_tax(plan.decisions.seller_fees[id]),
                "groups": sorted(fees.groups.get(id, ())),
                "volumes": {period._value_: volume for period, volume in fees.volumes.get(id, {}).items()},
            }
            for id in dict.fromkeys(line.seller_id for line in basket.lines)
        },
        "shipping": [[shipping.seller_id, shipping.amount] for shipping in basket.shipping],
        "discounts": [
            {
                "id": discount.id,
                "amount": discount.amount,
                "percent": None if discount.percent is None else _percent(discount.percent),
                "line_ids": list(discount.line_ids),
                "platform_percent": _percent(discount.platform_percent),
            }
            for discount in basket.discounts
        ],
        "lines": {
            line.id: {
                "quantity": line.quantity,
                "unit_price": line.unit_price,
                "category": line.category,
                "product": line.product,
                "tax_inclusive": line.tax_inclusive,
                "tax": _tax(planned.sale_tax),
            }
            for line, planned in zip(basket.lines, plan.lines, strict=True)
        },
        "rates": [
            [rate.base, rate.quote, rate.numerator, rate.denominator, rate.source, rate.at.isoformat()]
            for rate in (plan.rates.by_pair.values() if _compared(plan) else ())
        ],
    }


def _compared(plan: SplitPlan) -> bool:
    """Whether the decision on a line compared amounts of two currencies: nothing else in a split uses rates."""
    return any("consignment_rate" in line.sale_tax.evidence for line in plan.lines)


def _tax(tax: LineTax) -> dict[str, Any]:
    return {
        "rate": _percent(tax.rate),
        "liable": tax.liable._value_,
        "rule": tax.rule,
        "label": tax.label,
        "jurisdiction": tax.jurisdiction,
        "category": tax.category,
        "source": tax.source,
        "rounding": tax.rounding._value_,
        "known": tax.known,
        "withheld": [[held.scheme, _percent(held.rate), held.rule] for held in tax.withheld],
        "evidence": dict(tax.evidence),
    }


def _fee_tax(decision: FeeTaxDecision) -> dict[str, str]:
    return {
        "rate": _percent(decision.rate),
        "rule": decision.rule,
        "label": decision.label,
        "jurisdiction": decision.jurisdiction,
    }


def _line(line: LinePlan) -> dict[str, Any]:
    return {
        "line_id": line.line_id,
        "seller_id": line.seller_id,
        **dict(zip(AMOUNTS, line.amounts, strict=True)),
        "sale_tax_rule": line.sale_tax.rule,
        "flags": list(line.flags),
        "fees": [_fee(fee) for fee in line.fees],
        "explanation": [_step(step) for step in line.explanation],
    }


def _fee(fee: LineFee) -> dict[str, Any]:
    decision = fee.tax_decision
    return {
        "stack": fee.stack,
        "rule": fee.rule,
        "name": fee.name,
        "kind": fee.kind._value_,
        "payer": fee.payer._value_,
        "account": fee.account,
        "recipient": fee.recipient,
        "base": fee.base,
        "slices": [[part, _percent(percent)] for part, percent in fee.slices],
        "percent_part": fee.percent_part,
        "fixed_part": fee.fixed_part,
        "amount": fee.amount,
        "tax": fee.tax,
        "tax_mode": fee.tax_mode._value_,
        "tax_rate": _percent(decision.rate),
        "tax_rule": decision.rule,
        "tax_label": decision.label,
        "tax_jurisdiction": decision.jurisdiction,
        "was_bounded": fee.was_bounded,
    }


def _step(step: Step) -> dict[str, Any]:
    # Taken apart at once: there are ten steps or more on every line.
    name, template, operands, numerator, denominator, rounded, rounding, rule = step
    return {
        "name": name,
        "formula": template.format(*operands),
        "exact": str(numerator) if denominator == 1 else step.exact,
        "rounded": rounded,
        "rounding": rounding._value_,
        "rule": rule,
    }


def _share(share: SellerShare) -> dict[str, Any]:
    return {
        "seller_id": share.seller_id,
        **dict(zip(AMOUNTS, share.totals, strict=True)),
        "fee_tax_rate": _percent(share.fee_tax.rate),
        "fee_tax_rule": share.fee_tax.rule,
        "fee_tax_label": share.fee_tax.label,
        "legs": _legs(share.legs),
    }


def _legs(legs: Legs) -> dict[str, Any]:
    return {
        "fees": dict(legs.fees),
        "fee_tax": dict(legs.fee_tax),
        "deemed": dict(legs.deemed),
        "withheld": dict(legs.withheld),
        "parts": dict(legs.parts),
        "processor": legs.processor,
        "promo": legs.promo,
    }


def _percent(rate: Decimal) -> str:
    return f"{rate:f}"
