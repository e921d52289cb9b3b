"""The result of a split: amounts by line and by seller, in minor units, with the steps that explain them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from marketbill.rules.explanation import Step
from marketbill.rules.fees.charge import LineFee
from marketbill.rules.tax.fee_tax import FeeTaxDecision
from marketbill.rules.tax.line_tax import LineTax

if TYPE_CHECKING:
    from marketbill.rules.basket import Basket
    from marketbill.rules.fees.terms import FeeTerms
    from marketbill.rules.fx import Rates
    from marketbill.rules.tax.terms import TaxTerms

#: The flag of a line whose fees were cut to what the line pays its seller.
FEE_BOUNDED = "FEE_BOUNDED"


class Totals(NamedTuple):
    """The amounts of a line, of a seller or of a whole sale.

    gross = net + tax, and gross + received = seller_net + fee + fee_tax + deemed_tax + withheld + processor_fee +
    passed_on. `gross` is the price after the seller's discounts with shipping and tax; `promo` is the part of it that
    the platform pays in the buyer's place. `shipping` (its tax included) and `shipping_tax` are within `gross` and
    `tax`; `discount` is what the seller gave, in the prices as stated. `fee` is the platform's fee that the seller
    bears, without `fee_tax`; `buyer_fee` and `buyer_fee_tax` come on top of the price. `deemed_tax` is the part of the
    `tax` that the platform owes. `processor_fee` is the seller's part of the provider's fee, `passed_on` what goes to
    other participants and `received` what comes from others' lines.
    """

    gross: int = 0
    tax: int = 0
    net: int = 0
    shipping: int = 0
    shipping_tax: int = 0
    discount: int = 0
    promo: int = 0
    fee: int = 0
    fee_tax: int = 0
    buyer_fee: int = 0
    buyer_fee_tax: int = 0
    deemed_tax: int = 0
    withheld: int = 0
    processor_fee: int = 0
    received: int = 0
    passed_on: int = 0
    seller_net: int = 0

    @property
    def charged(self) -> int:
        """What the buyer pays."""
        return self.gross - self.promo + self.buyer_fee + self.buyer_fee_tax


@dataclass(frozen=True, slots=True)
class LinePlan:
    """One line of a sale: its amounts, the decision on its tax, its fees, what is withheld by scheme, and the steps.

    `flags` holds `FEE_BOUNDED` or nothing.
    """

    line_id: str
    seller_id: str
    amounts: Totals
    sale_tax: LineTax
    fees: tuple[LineFee, ...]
    withholdings: tuple[tuple[str, int], ...]
    flags: tuple[str, ...]
    explanation: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Decisions:
    """All that was decided about the taxes of a sale: on each line by line id, on the fees of each seller with lines by
    seller id, and on the buyer's fees."""

    lines: Mapping[str, LineTax]
    seller_fees: Mapping[str, FeeTaxDecision]
    buyer_fee: FeeTaxDecision


@dataclass(frozen=True, slots=True)
class Legs:
    """Where amounts are booked: fees by the name of their account under `revenue:platform-fee` (empty for the account
    itself), taxes on fees by country, deemed taxes by jurisdiction, withheld taxes by scheme, parts by the public id of
    who receives them, and the provider's fee and the platform's part of discounts. Zero amounts are left out."""

    fees: dict[str, int] = field(default_factory=dict)
    fee_tax: dict[str, int] = field(default_factory=dict)
    deemed: dict[str, int] = field(default_factory=dict)
    withheld: dict[str, int] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    processor: int = 0
    promo: int = 0


@dataclass(frozen=True, slots=True)
class SellerShare:
    """One seller's lines together, what he receives of others', and the decision on tax that his fees fall under.

    Who only receives has a share too, of no gross.
    """

    seller_id: str
    totals: Totals
    fee_tax: FeeTaxDecision
    legs: Legs


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """A sale, split. Lines are in the order of the basket, sellers in the order of their first line; who only receives
    comes last. `basket`, `fees`, `tax`, `rates` and `decisions` are what it was computed from."""

    currency: str
    schedule_id: str
    schedule_version: int
    lines: tuple[LinePlan, ...]
    sellers: tuple[SellerShare, ...]
    totals: Totals
    buyer_legs: Legs
    basket: "Basket"
    fees: "FeeTerms"
    tax: "TaxTerms"
    rates: "Rates"
    decisions: Decisions

    def to_trace(self) -> dict[str, Any]:
        """The whole plan as plain data (strings, integers, lists) for a JSON column; every amount can be recomputed."""
        from marketbill.rules.trace import trace_of

        return trace_of(self)


def sum_amounts(amounts: Sequence[Totals]) -> Totals:
    """The sums of some amounts, field by field."""
    if len(amounts) == 1:
        return amounts[0]
    return Totals(*map(sum, zip(*amounts, strict=True)))


def add_leg(legs: dict[str, int], name: str, amount: int) -> None:
    """Adds an amount to what is there of its name; a zero one is left out."""
    if amount:
        legs[name] = legs.get(name, 0) + amount
