"""A split, explained: what the buyer pays, what each seller gets, the fee and its tax, and how each amount came about.

A preview and a payment answer with the same types, filled from the same trace that the split leaves behind.
"""

from decimal import Decimal
from typing import Any

import strawberry

from marketbill.ids import parse_id
from marketbill.rules.explanation import Rounding
from marketbill.rules.fees.schedule import FeeKind, FeePayer
from marketbill.rules.plan import Totals
from marketbill.rules.tax.line_tax import Liable
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, SELLER
from marketbill_graphql.context import Info
from marketbill_graphql.money import Money, amount
from marketbill_graphql.scalars import CurrencyCode
from marketbill_graphql.sellers import Seller, load_seller

PARTIES = PLATFORM_READERS | SELLER
AMOUNTS = Totals._fields
strawberry.enum(FeeKind, description="Whose money a fee becomes.")
strawberry.enum(FeePayer, description="Who bears a fee; one of the buyer's comes on top of the price.")
strawberry.enum(Liable, description="Who accounts for the tax on a sale to the tax office.")
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
    """Sums: gross = net + tax, and gross + received = what the seller gets with all that leaves his money."""

    gross: Money = strawberry.field(description="The price after the seller's discounts, with shipping and sales tax.")
    tax: Money = strawberry.field(description="The sales tax within it.")
    net: Money = strawberry.field(description="Without the sales tax.")
    shipping: Money = strawberry.field(description="Shipping within gross, its tax included.")
    shipping_tax: Money = strawberry.field(description="The tax on shipping, within the sales tax.")
    discount: Money = strawberry.field(description="Discounts that the seller paid, in prices as stated.")
    promo: Money = strawberry.field(description="Discounts that the platform paid: this part of gross is not charged.")
    fee: Money = strawberry.field(description="The platform's fees of the seller, without the tax on them.")
    fee_tax: Money = strawberry.field(description="The tax on these fees.")
    buyer_fee: Money = strawberry.field(description="The buyer's fees, on top of the price, without tax.")
    buyer_fee_tax: Money = strawberry.field(description="The tax on these.")
    deemed_tax: Money = strawberry.field(description="The part of the sales tax that the platform owes.")
    withheld: Money = strawberry.field(description="Tax that the platform keeps back by law.")
    processor_fee: Money = strawberry.field(description="The seller's part of the payment provider's fee.")
    passed_on: Money = strawberry.field(description="What goes to other participants.")
    received: Money = strawberry.field(description="What comes from others' lines.")
    seller_net: Money = strawberry.field(description="What the seller gets.")


@declare.output(PARTIES)
class FeeTax:
    """The one decision on tax that a seller's fee falls under."""

    rate: Decimal = strawberry.field(description="Percent.")
    rule: str
    label: str = strawberry.field(description='For an invoice, such as "Reverse charge".')


@declare.output(PARTIES)
class SalesTax:
    """The decision on a line's sales tax."""

    rate: Decimal = strawberry.field(description="Percent.")
    liable: Liable
    rule: str
    label: str = strawberry.field(description='For an invoice, such as "Reverse charge".')
    jurisdiction: str = strawberry.field(description="Where it is owed; empty where nobody said.")
    source: str = strawberry.field(description="The law that says so; empty for a rate that the request stated.")
    known: bool = strawberry.field(description="False: only the seller knows it, and it counts as zero.")


@declare.output(PARTIES)
class LineFee:
    """One fee of a line: the rule that won in its stack, and what it came to."""

    stack: str
    rule: str = strawberry.field(description="The rule with its schedule and version.")
    name: str
    kind: FeeKind
    payer: FeePayer
    account: str | None = strawberry.field(description="Its own account under revenue:platform-fee, where it has one.")
    percent_part: Money
    fixed_part: Money
    amount: Money = strawberry.field(description="Without the tax on it.")
    tax: Money
    fee_tax: FeeTax
    was_bounded: bool = strawberry.field(description="It was cut to what the line pays its seller.")


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
    sale_tax: SalesTax
    fees: list[LineFee]
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
    charged: Money = strawberry.field(description="What the buyer pays: gross, less promo, and his fees.")
    totals: SplitAmounts
    lines: list[SplitLine]
    sellers: list[SplitShare]
    fee_schedule_id: strawberry.ID
    fee_schedule_version: int


def split_of(trace: dict[str, Any]) -> Split:
    """The split of a stored or fresh trace."""
    currency = trace["currency"]
    fee_taxes = {share["seller_id"]: fee_tax_of(share) for share in trace["sellers"]}
    return Split(
        currency=CurrencyCode(currency),
        charged=amount(trace["totals"]["charged"], currency),
        totals=amounts_of(trace["totals"], currency),
        lines=[
            _line(line, fee_taxes[line["seller_id"]], trace["inputs"]["lines"], currency) for line in trace["lines"]
        ],
        sellers=[
            SplitShare(trace=share, amounts=amounts_of(share, currency), fee_tax=fee_taxes[share["seller_id"]])
            for share in trace["sellers"]
        ],
        fee_schedule_id=strawberry.ID(trace["schedule"]["id"]),
        fee_schedule_version=trace["schedule"]["version"],
    )


def amounts_of(source: dict[str, Any], currency: str) -> SplitAmounts:
    return SplitAmounts(**{name: amount(source.get(name, 0), currency) for name in AMOUNTS})


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


def _line(line: dict[str, Any], fee_tax: FeeTax, inputs: dict[str, Any], currency: str) -> SplitLine:
    own = [fee for fee in line["fees"] if fee["kind"] == FeeKind.PLATFORM and fee["payer"] == FeePayer.SELLER]
    return SplitLine(
        trace=line,
        currency=currency,
        line_id=line["line_id"],
        amounts=amounts_of(line, currency),
        fee_percent_part=amount(sum(fee["percent_part"] for fee in own), currency),
        fee_fixed_part=amount(sum(fee["fixed_part"] for fee in own), currency),
        fee_tax=fee_tax,
        sale_tax=_sale_tax(inputs[line["line_id"]]["tax"]),
        fees=[_fee(fee, currency) for fee in line["fees"]],
        flags=line["flags"],
    )


def _sale_tax(tax: dict[str, Any]) -> SalesTax:
    return SalesTax(
        rate=Decimal(tax["rate"]),
        liable=Liable(tax["liable"]),
        rule=tax["rule"],
        label=tax["label"],
        jurisdiction=tax["jurisdiction"],
        source=tax["source"],
        known=tax["known"],
    )


def _fee(fee: dict[str, Any], currency: str) -> LineFee:
    return LineFee(
        stack=fee["stack"],
        rule=fee["rule"],
        name=fee["name"],
        kind=FeeKind(fee["kind"]),
        payer=FeePayer(fee["payer"]),
        account=fee["account"],
        percent_part=amount(fee["percent_part"], currency),
        fixed_part=amount(fee["fixed_part"], currency),
        amount=amount(fee["amount"], currency),
        tax=amount(fee["tax"], currency),
        fee_tax=FeeTax(rate=Decimal(fee["tax_rate"]), rule=fee["tax_rule"], label=fee["tax_label"]),
        was_bounded=fee["was_bounded"],
    )
