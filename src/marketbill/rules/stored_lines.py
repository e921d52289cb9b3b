"""The lines of a sale as they were split, read back from its stored trace: what a refund is computed from."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from marketbill.money import round_ratio
from marketbill.rules.fees.charge import LineFee
from marketbill.rules.fees.rule import FeeTaxMode
from marketbill.rules.fees.schedule import FeeKind, FeePayer
from marketbill.rules.fees.tiers import Slice
from marketbill.rules.plan import LinePlan, Totals
from marketbill.rules.rates import WHOLE, rate_parts
from marketbill.rules.replay import sale_of
from marketbill.rules.tax.fee_tax import FeeTaxDecision


def stored_lines(trace: Mapping[str, Any]) -> tuple[LinePlan, ...]:
    """The lines of a trace in the order of the basket, without their steps. Raises `TraceNotReplayable`."""
    taxes = sale_of(trace).decisions.lines
    inputs = trace["inputs"]["lines"]
    return tuple(
        LinePlan(
            line_id=line["line_id"],
            seller_id=line["seller_id"],
            amounts=Totals(*(line[name] for name in Totals._fields)),
            sale_tax=taxes[line["line_id"]],
            fees=tuple(_fee(fee) for fee in line["fees"]),
            withholdings=tuple(
                (scheme[0], amount) for scheme, amount in withheld(line, inputs[line["line_id"]]["tax"]["withheld"])
            ),
            flags=tuple(line["flags"]),
            explanation=(),
        )
        for line in trace["lines"]
    )


def withheld(line: Mapping[str, Any], schemes: Sequence[Sequence[str]]) -> list[tuple[Sequence[str], int]]:
    """What each scheme (its name, rate and rule) keeps of a line of a trace; the last one's is what the others leave of
    the whole. Those that keep nothing are left out."""
    left, parts = line["withheld"], []
    for scheme in schemes[:-1]:
        amount = round_ratio(line["net"] * rate_parts(Decimal(scheme[1])), WHOLE)
        parts.append((scheme, amount))
        left -= amount
    parts += [(scheme, left) for scheme in schemes[-1:]]
    return [(scheme, amount) for scheme, amount in parts if amount]


def _fee(told: Mapping[str, Any]) -> LineFee:
    return LineFee(
        stack=told["stack"],
        rule=told["rule"],
        name=told["name"],
        kind=FeeKind(told["kind"]),
        payer=FeePayer(told["payer"]),
        account=told["account"],
        recipient=told["recipient"],
        base=told["base"],
        slices=tuple(Slice(part, Decimal(percent)) for part, percent in told["slices"]),
        percent_part=told["percent_part"],
        fixed_part=told["fixed_part"],
        amount=told["amount"],
        tax=told["tax"],
        tax_mode=FeeTaxMode(told["tax_mode"]),
        tax_decision=FeeTaxDecision(
            Decimal(told["tax_rate"]), told["tax_rule"], told["tax_label"], told["tax_jurisdiction"]
        ),
        was_bounded=told["was_bounded"],
    )
