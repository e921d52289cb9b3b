"""The result of a split: amounts by line and by seller, in minor units, with the steps that explain them."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marketbill.rules.explanation import Step

#: The shape of `SplitPlan.to_trace`, kept in every trace so that old ones stay readable.
TRACE_VERSION = 1

#: The flag of a line whose fee was cut to what the line pays its seller.
FEE_BOUNDED = "FEE_BOUNDED"


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of lines: gross = net + tax, and gross = seller net + fee + fee tax."""

    gross: int
    tax: int
    net: int
    fee: int
    fee_tax: int
    seller_net: int


@dataclass(frozen=True, slots=True)
class LinePlan:
    """One line of a sale.

    `tax` is the sales tax the seller owes, within `gross`. `fee` is without the tax on it. The two parts of the fee are
    as charged: they sum to `fee`, or to `fee` + `fee_tax` where the rule states its fee tax included. `fee_tax_rate` is
    in percent; `flags` holds `FEE_BOUNDED` or nothing.
    """

    line_id: str
    seller_id: str
    gross: int
    tax: int
    net: int
    fee_percent_part: int
    fee_fixed_part: int
    fee: int
    fee_tax: int
    fee_tax_rate: Decimal
    fee_tax_rule: str
    fee_tax_label: str
    seller_net: int
    flags: tuple[str, ...]
    explanation: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class SellerShare:
    """One seller's lines together, and the one decision on tax that his fee falls under."""

    seller_id: str
    totals: Totals
    fee_tax_rate: Decimal
    fee_tax_rule: str
    fee_tax_label: str


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """A sale, split. Lines are in the order of the basket, sellers in the order of their first line."""

    currency: str
    fee_rule_id: str
    fee_rule_version: int
    lines: tuple[LinePlan, ...]
    sellers: tuple[SellerShare, ...]
    totals: Totals

    def to_trace(self) -> dict[str, Any]:
        """The whole plan as plain data (strings, integers, lists) for a JSON column; every amount can be recomputed."""
        return {
            "trace_version": TRACE_VERSION,
            "currency": self.currency,
            "fee_rule": {"id": self.fee_rule_id, "version": self.fee_rule_version},
            "lines": [_line_trace(line) for line in self.lines],
            "sellers": [_seller_trace(seller) for seller in self.sellers],
            "totals": _totals_trace(self.totals),
        }


def sum_lines(lines: Iterable[LinePlan]) -> Totals:
    """The totals of some lines."""
    gross = tax = net = fee = tax_on_fee = seller_net = 0
    for line in lines:
        gross += line.gross
        tax += line.tax
        net += line.net
        fee += line.fee
        tax_on_fee += line.fee_tax
        seller_net += line.seller_net
    return Totals(gross=gross, tax=tax, net=net, fee=fee, fee_tax=tax_on_fee, seller_net=seller_net)


def sum_by_seller(lines: Iterable[LinePlan]) -> tuple[SellerShare, ...]:
    """The lines of each seller together, in the order of his first line."""
    by_seller: dict[str, list[LinePlan]] = {}
    for line in lines:
        by_seller.setdefault(line.seller_id, []).append(line)
    return tuple(
        SellerShare(
            seller_id=seller_id,
            totals=sum_lines(group),
            fee_tax_rate=group[0].fee_tax_rate,
            fee_tax_rule=group[0].fee_tax_rule,
            fee_tax_label=group[0].fee_tax_label,
        )
        for seller_id, group in by_seller.items()
    )


def _line_trace(line: LinePlan) -> dict[str, Any]:
    return {
        "line_id": line.line_id,
        "seller_id": line.seller_id,
        "gross": line.gross,
        "tax": line.tax,
        "net": line.net,
        "fee_percent_part": line.fee_percent_part,
        "fee_fixed_part": line.fee_fixed_part,
        "fee": line.fee,
        "fee_tax": line.fee_tax,
        "fee_tax_rate": f"{line.fee_tax_rate:f}",
        "fee_tax_rule": line.fee_tax_rule,
        "fee_tax_label": line.fee_tax_label,
        "seller_net": line.seller_net,
        "flags": list(line.flags),
        "explanation": [_step_trace(step) for step in line.explanation],
    }


def _step_trace(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "formula": step.formula,
        "exact": step.exact,
        "rounded": step.rounded,
        "rounding": step.rounding.value,
        "rule": step.rule,
    }


def _seller_trace(seller: SellerShare) -> dict[str, Any]:
    return {
        "seller_id": seller.seller_id,
        **_totals_trace(seller.totals),
        "fee_tax_rate": f"{seller.fee_tax_rate:f}",
        "fee_tax_rule": seller.fee_tax_rule,
        "fee_tax_label": seller.fee_tax_label,
    }


def _totals_trace(totals: Totals) -> dict[str, int]:
    return {
        "gross": totals.gross,
        "tax": totals.tax,
        "net": totals.net,
        "fee": totals.fee,
        "fee_tax": totals.fee_tax,
        "seller_net": totals.seller_net,
    }
