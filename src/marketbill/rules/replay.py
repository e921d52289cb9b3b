"""A sale computed again from its trace, under any schedule: what a changed fee would have been, and proof that the
unchanged one gives the same cents. No tax is decided again: the trace keeps every decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from marketbill.errors import InvalidInput
from marketbill.rules.basket import Basket, BasketLine, Discount, Shipping
from marketbill.rules.fees.schedule import Period, Schedule
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.fx import ExchangeRate, Rates
from marketbill.rules.plan import Decisions, SplitPlan
from marketbill.rules.split import split_decided
from marketbill.rules.tax.fee_tax import FeeTaxDecision
from marketbill.rules.tax.line_tax import Liable, LineTax, TaxRounding, Withholding
from marketbill.rules.tax.parties import BuyerTax, PlatformTax, SellerTax
from marketbill.rules.tax.terms import TaxTerms

#: The shape of traces that hold all that their sale was computed from.
REPLAYABLE_VERSION = 2


class TraceNotReplayable(InvalidInput):
    """A trace of a shape that does not hold the inputs of its sale."""

    def __init__(self, version: object) -> None:
        super().__init__(
            f"A trace of version {version} does not hold what its sale was computed from: only version "
            f"{REPLAYABLE_VERSION} does.",
            path=("trace_version",),
            constraint=str(REPLAYABLE_VERSION),
        )
        self.version = version


@dataclass(frozen=True, slots=True)
class Sale:
    """What a sale was computed from, but for its schedule. Texts that no amount depends on are empty."""

    basket: Basket
    decisions: Decisions
    tax: TaxTerms
    rates: Rates
    at: datetime
    groups: Mapping[str, frozenset[str]]
    volumes: Mapping[str, Mapping[Period, int]]


def sale_of(trace: Mapping[str, Any]) -> Sale:
    """The sale of a trace. Raises `TraceNotReplayable`."""
    if trace.get("trace_version") != REPLAYABLE_VERSION:
        raise TraceNotReplayable(trace.get("trace_version"))
    inputs = trace["inputs"]
    sellers = inputs["sellers"]
    return Sale(
        basket=basket_of(trace),
        decisions=Decisions(
            lines={id: _tax(line["tax"]) for id, line in inputs["lines"].items()},
            seller_fees={id: _fee_tax(told["fee_tax"]) for id, told in sellers.items()},
            buyer_fee=_fee_tax(inputs["buyer"]["fee_tax"]),
        ),
        tax=TaxTerms(
            platform=PlatformTax(inputs["platform"]["country"], Decimal(inputs["platform"]["rate"])),
            sellers={id: SellerTax(told["country"], told["vat_number_valid"]) for id, told in sellers.items()},
            buyer=BuyerTax(
                inputs["buyer"]["country"], region=inputs["buyer"]["region"], business=inputs["buyer"]["business"]
            ),
        ),
        rates=Rates({(row[0], row[1]): _rate(row) for row in inputs["rates"]}),
        at=datetime.fromisoformat(trace["at"]),
        groups={id: frozenset(told["groups"]) for id, told in sellers.items()},
        volumes={
            id: {Period(period): volume for period, volume in told["volumes"].items()} for id, told in sellers.items()
        },
    )


def split_again(trace: Mapping[str, Any], schedule: Schedule) -> SplitPlan:
    """The sale of a trace, split by a schedule at the instant of the sale. Raises what `split` raises for fees, and
    `TraceNotReplayable`."""
    sale = sale_of(trace)
    fees = FeeTerms(schedule, sale.at, sale.groups, sale.volumes)
    return split_decided(sale.basket, fees, sale.tax, sale.decisions, sale.rates)


def basket_of(trace: Mapping[str, Any]) -> Basket:
    """The basket of a trace, its lines in their first order."""
    inputs = trace["inputs"]
    seller_ids = {line["line_id"]: line["seller_id"] for line in trace["lines"]}
    return Basket(
        currency=trace["currency"],
        lines=tuple(_line(id, seller_id, inputs["lines"][id]) for id, seller_id in seller_ids.items()),
        shipping=tuple(Shipping(seller_id, amount) for seller_id, amount in inputs["shipping"]),
        discounts=tuple(
            Discount(
                id=told["id"],
                amount=told["amount"],
                percent=None if told["percent"] is None else Decimal(told["percent"]),
                line_ids=tuple(told["line_ids"]),
                platform_percent=Decimal(told["platform_percent"]),
            )
            for told in inputs["discounts"]
        ),
        channel=inputs["channel"],
        payment_method=inputs["payment_method"],
    )


def _line(id: str, seller_id: str, told: Mapping[str, Any]) -> BasketLine:
    tax = told["tax"]
    return BasketLine(
        id=id,
        seller_id=seller_id,
        description="",
        category=told["category"],
        quantity=told["quantity"],
        unit_price=told["unit_price"],
        tax_rate=Decimal(tax["rate"]) if tax["known"] else None,
        tax_inclusive=told["tax_inclusive"],
        product=told["product"],
        tax_category=tax["category"],
        tax_unknown=not tax["known"],
    )


def _tax(told: Mapping[str, Any]) -> LineTax:
    return LineTax(
        rate=Decimal(told["rate"]),
        liable=Liable(told["liable"]),
        rule=told["rule"],
        label=told["label"],
        jurisdiction=told["jurisdiction"],
        category=told["category"],
        source=told["source"],
        rounding=TaxRounding(told["rounding"]),
        withheld=tuple(Withholding(scheme, Decimal(rate), rule) for scheme, rate, rule in told["withheld"]),
        evidence=told["evidence"],
        known=told["known"],
    )


def _fee_tax(told: Mapping[str, str]) -> FeeTaxDecision:
    return FeeTaxDecision(Decimal(told["rate"]), told["rule"], told["label"], told["jurisdiction"])


def _rate(row: list[Any]) -> ExchangeRate:
    base, quote, numerator, denominator, source, at = row
    return ExchangeRate(base, quote, numerator, denominator, source, datetime.fromisoformat(at))
