"""A split, explained: what the buyer pays, what each seller gets, the fee and its tax, and how each amount came about.

A preview and a payment answer with the same types, filled from the same trace that the split leaves behind.
"""

from decimal import Decimal
from typing import Any

import strawberry

from marketbill.ids import parse_id
from marketbill.rules.explanation import Rounding
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, SELLER
from marketbill_graphql.context import Info
from marketbill_graphql.money import Money, amount
from marketbill_graphql.scalars import CurrencyCode
from marketbill_graphql.sellers import Seller, load_seller

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(Rounding, description="How an exact result became whole minor units.")


@declare.output(PARTIES)
class SplitStep:
    """One amount of a line: the arithmetic over minor units and percentages, and the rule that asks for it."""

    name: str = strawberry.field(description="The amount that this step sets; a later step of a name replaces it.")
    formula: str
    exact: str = strawberry.field(description="The result before rounding, as a fraction.")
    rounded: Money
    rounding: Rounding
    rule: str


@declare.output(PARTIES)
class SplitAmounts:
    """Sums: gross = net + tax, and gross = seller net + fee + fee tax."""

    gross: Money = strawberry.field(description="What the buyer pays, sales tax included.")
    tax: Money = strawberry.field(description="The sales tax within it, which the seller owes.")
    net: Money = strawberry.field(description="Without the sales tax.")
    fee: Money = strawberry.field(description="The platform's fee, without the tax on it.")
    fee_tax: Money = strawberry.field(description="The tax on the fee.")
    seller_net: Money = strawberry.field(description="What the seller gets.")


@declare.output(PARTIES)
class FeeTax:
    """The one decision on tax that a seller's fee falls under."""

    rate: Decimal = strawberry.field(description="Percent.")
    rule: str
    label: str = strawberry.field(description='For an invoice, such as "Reverse charge".')


@declare.output(PARTIES)
class SplitLine:
    """One line of the basket, split."""

    trace: strawberry.Private[dict[str, Any]]
    currency: strawberry.Private[str]
    line_id: str = strawberry.field(description="The line's place in the basket, from 001.")
    amounts: SplitAmounts
    fee_percent_part: Money = strawberry.field(description="The fee's percentage.")
    fee_fixed_part: Money = strawberry.field(description="The line's share of the fixed fee.")
    fee_tax: FeeTax
    flags: list[str] = strawberry.field(description="FEE_BOUNDED: the fee was cut to what the line pays its seller.")

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Whose line it is."""
        return await load_seller(info.context, parse_id("seller", self.trace["seller_id"]))

    @declare.computed
    def explanation(self) -> list[SplitStep]:
        """Every step to these amounts, in order."""
        return steps_of(self.trace, self.currency)


@declare.output(PARTIES)
class SplitShare:
    """One seller's lines together."""

    trace: strawberry.Private[dict[str, Any]]
    amounts: SplitAmounts
    fee_tax: FeeTax

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Whose share it is."""
        return await load_seller(info.context, parse_id("seller", self.trace["seller_id"]))


@declare.output(PLATFORM_READERS)
class Split:
    """A whole basket, split."""

    currency: CurrencyCode
    totals: SplitAmounts
    lines: list[SplitLine]
    sellers: list[SplitShare]
    fee_rule_id: strawberry.ID
    fee_rule_version: int


def split_of(trace: dict[str, Any]) -> Split:
    """The split of a stored or fresh trace."""
    currency = trace["currency"]
    fee_taxes = {share["seller_id"]: fee_tax_of(share) for share in trace["sellers"]}
    return Split(
        currency=CurrencyCode(currency),
        totals=amounts_of(trace["totals"], currency),
        lines=[_line(line, fee_taxes[line["seller_id"]], currency) for line in trace["lines"]],
        sellers=[
            SplitShare(trace=share, amounts=amounts_of(share, currency), fee_tax=fee_taxes[share["seller_id"]])
            for share in trace["sellers"]
        ],
        fee_rule_id=strawberry.ID(trace["schedule"]["id"]),
        fee_rule_version=trace["schedule"]["version"],
    )


def amounts_of(source: dict[str, Any], currency: str) -> SplitAmounts:
    return SplitAmounts(
        **{name: amount(source[name], currency) for name in ("gross", "tax", "net", "fee", "fee_tax", "seller_net")}
    )


def fee_tax_of(source: dict[str, Any]) -> FeeTax:
    return FeeTax(rate=Decimal(source["fee_tax_rate"]), rule=source["fee_tax_rule"], label=source["fee_tax_label"])


def steps_of(line: dict[str, Any], currency: str) -> list[SplitStep]:
    return [
        SplitStep(
            name=step["name"],
            formula=step["formula"],
            exact=step["exact"],
            rounded=amount(step["rounded"], currency),
            rounding=Rounding(step["rounding"]),
            rule=step["rule"],
        )
        for step in line["explanation"]
    ]


def _line(line: dict[str, Any], fee_tax: FeeTax, currency: str) -> SplitLine:
    own = [fee for fee in line["fees"] if fee["kind"] == "PLATFORM" and fee["payer"] == "SELLER"]
    return SplitLine(
        trace=line,
        currency=currency,
        line_id=line["line_id"],
        amounts=amounts_of(line, currency),
        fee_percent_part=amount(sum(fee["percent_part"] for fee in own), currency),
        fee_fixed_part=amount(sum(fee["fixed_part"] for fee in own), currency),
        fee_tax=fee_tax,
        flags=line["flags"],
    )
