"""A basket that cannot be split is refused with a typed error that names the field."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from marketbill.errors import InvalidInput
from marketbill.money import AmountTooLarge, UnknownCurrency
from marketbill.rules.basket import (
    LINES_MAX,
    QUANTITY_MAX,
    Basket,
    BasketEmpty,
    BasketLine,
    DuplicateLine,
    PriceNotPositive,
    QuantityOutOfRange,
    TextMissing,
    TextTooLong,
    TooManyLines,
)
from marketbill.rules.fees.schedule import FeeRule, Schedule
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.plan import SplitPlan
from marketbill.rules.rates import RateOutOfRange, RateTooPrecise
from marketbill.rules.split import split
from marketbill.rules.tax.parties import PlatformTax, SellerTax
from marketbill.rules.tax.terms import TaxTerms
from marketbill.text import TextUnusable

GOOD = BasketLine(
    id="0",
    seller_id="anna",
    description="Ein schönes Ding 🎁",
    category="things",
    quantity=1,
    unit_price=100,
    tax_rate=Decimal(21),
    tax_inclusive=True,
)
FEES = FeeTerms(
    Schedule(id="standard", version=1, rules=(FeeRule("commission", percent=Decimal(10)),)),
    at=datetime(2026, 3, 1, tzinfo=UTC),
)
TAX = TaxTerms(
    platform=PlatformTax(country="NL", rate=Decimal(21)),
    sellers={"anna": SellerTax(country="NL", vat_number_valid=True)},
)


def divide(basket: Basket) -> SplitPlan:
    return split(basket, FEES, TAX)


def of(*lines: BasketLine, currency: str = "EUR") -> Basket:
    return Basket(currency=currency, lines=lines)


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"unit_price": 0}, PriceNotPositive, "unitPrice"),
        ({"unit_price": -1}, PriceNotPositive, "unitPrice"),
        ({"unit_price": 10**15 + 1}, AmountTooLarge, "unitPrice"),
        ({"unit_price": 10**12, "quantity": 1001}, AmountTooLarge, "unitPrice"),
        ({"unit_price": 10**15, "tax_inclusive": False}, AmountTooLarge, "unitPrice"),
        ({"quantity": 0}, QuantityOutOfRange, "quantity"),
        ({"quantity": -3}, QuantityOutOfRange, "quantity"),
        ({"quantity": QUANTITY_MAX + 1}, QuantityOutOfRange, "quantity"),
        ({"tax_rate": Decimal("100.01")}, RateOutOfRange, "taxRate"),
        ({"tax_rate": Decimal(-1)}, RateOutOfRange, "taxRate"),
        ({"tax_rate": Decimal("NaN")}, RateOutOfRange, "taxRate"),
        ({"tax_rate": Decimal("19.00001")}, RateTooPrecise, "taxRate"),
        ({"id": ""}, TextMissing, "id"),
        ({"id": "0"}, DuplicateLine, "id"),
        ({"id": "x" * 101}, TextTooLong, "id"),
        ({"id": "a\x00b"}, TextUnusable, "id"),
        ({"seller_id": ""}, TextMissing, "sellerId"),
        ({"seller_id": "x" * 101}, TextTooLong, "sellerId"),
        ({"description": "x" * 501}, TextTooLong, "description"),
        ({"description": "schön\x00"}, TextUnusable, "description"),
        ({"description": "\ud83d"}, TextUnusable, "description"),
        ({"category": "x" * 101}, TextTooLong, "category"),
    ],
)
def test_a_bad_line_is_refused_by_its_field(changes: dict[str, object], error: type[InvalidInput], field: str) -> None:
    bad = replace(GOOD, **{"id": "1", **changes})
    with pytest.raises(error) as refusal:
        divide(of(GOOD, bad))
    assert refusal.value.path == ("lines", "1", field)
    assert refusal.value.constraint
    assert "\x00" not in refusal.value.message


@pytest.mark.parametrize(
    ("basket", "error", "path"),
    [
        (of(), BasketEmpty, ("lines",)),
        (of(*(replace(GOOD, id=str(n)) for n in range(LINES_MAX + 1))), TooManyLines, ("lines",)),
        (of(GOOD, currency="EURO"), UnknownCurrency, ("currency",)),
        (of(GOOD, currency="HRK"), UnknownCurrency, ("currency",)),
        (of(replace(GOOD, unit_price=10**15), replace(GOOD, id="1", unit_price=1)), AmountTooLarge, ("lines",)),
    ],
)
def test_a_bad_basket_is_refused(basket: Basket, error: type[InvalidInput], path: tuple[str, ...]) -> None:
    with pytest.raises(error) as refusal:
        divide(basket)
    assert refusal.value.path == path


def test_the_largest_basket_and_the_largest_amount_are_still_split() -> None:
    full = divide(of(*(replace(GOOD, id=str(n)) for n in range(LINES_MAX))))
    assert full.totals.gross == LINES_MAX * 100
    huge = divide(of(replace(GOOD, unit_price=10**15)))
    assert huge.totals.gross == 10**15
    assert huge.totals.fee == 10**14
