"""What the stories of the split are told with: short makers of lines, rules and terms."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from marketbill.rules.basket import Basket, BasketLine
from marketbill.rules.fees.schedule import FeeRule, Period, Schedule
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.plan import Decisions, SplitPlan
from marketbill.rules.split import split
from marketbill.rules.tax.fee_tax import buyer_fee_tax, fee_tax
from marketbill.rules.tax.line_tax import LineTax
from marketbill.rules.tax.parties import BuyerTax, PlatformTax, SellerTax
from marketbill.rules.tax.terms import TaxTerms

AT = datetime(2026, 3, 1, tzinfo=UTC)
SELLERS = {
    "A": SellerTax(country="NL", vat_number_valid=True),
    "B": SellerTax(country="DE", vat_number_valid=True),
    "C": SellerTax(country="NL", vat_number_valid=False),
    "US": SellerTax(country="US", vat_number_valid=False),
    "IN": SellerTax(country="IN", vat_number_valid=False),
}
NL = PlatformTax(country="NL", rate=Decimal(21))


def line(id: str, unit_price: int, **changes: Any) -> BasketLine:
    """A line of seller A at 21 %, tax within."""
    changes["tax_rate"] = Decimal(changes.pop("rate", 21))
    return BasketLine(
        **{
            "id": id,
            "seller_id": changes.pop("seller", "A"),
            "description": "",
            "category": "",
            "quantity": 1,
            "unit_price": unit_price,
            "tax_inclusive": changes.pop("inclusive", True),
            **changes,
        }
    )


def basket(*lines: BasketLine, currency: str = "EUR", **more: Any) -> Basket:
    return Basket(currency=currency, lines=lines, **more)


def rule(name: str = "commission", percent: str | int = 0, **more: Any) -> FeeRule:
    return FeeRule(name, percent=Decimal(percent), **more)


def schedule(*rules: FeeRule, **more: Any) -> Schedule:
    return Schedule("fee_1", 3, rules, **more)


def fees(
    *rules: FeeRule,
    at: datetime = AT,
    groups: Mapping[str, frozenset[str]] | None = None,
    volumes: Mapping[str, Mapping[Period, int]] | None = None,
    **more: Any,
) -> FeeTerms:
    return FeeTerms(schedule(*rules, **more), at, groups or {}, volumes or {})


def tax(platform: PlatformTax = NL, **more: Any) -> TaxTerms:
    return TaxTerms(platform=platform, sellers=SELLERS, **more)


def decisions(basket: Basket, terms: TaxTerms, lines: Mapping[str, LineTax]) -> Decisions:
    """The lines' taxes as given, the fees' as the rules say."""
    sellers = {one.seller_id: fee_tax(platform=terms.platform, seller=SELLERS[one.seller_id]) for one in basket.lines}
    return Decisions(lines, sellers, buyer_fee_tax(platform=terms.platform, buyer=terms.buyer))


def divide(basket: Basket, fees: FeeTerms, *, buyer: BuyerTax | None = None) -> SplitPlan:
    return split(basket, fees, tax() if buyer is None else tax(buyer=buyer))


#: The basket of 121.00 of three sellers.
WORKED = basket(line("1", 4999, seller="A"), line("2", 3999, seller="B"), line("3", 3102, seller="C"))
