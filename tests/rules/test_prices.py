"""What a line brings, by hand: discounts and who pays them, shipping over mixed rates, tax by line and by document, tax
that the platform owes and tax that it withholds."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.rules.shop import WORKED, basket, decisions, divide, fees, line, rule, tax

from marketbill.errors import InvalidInput
from marketbill.money import AmountTooLarge
from marketbill.rules.basket import (
    DISCOUNTS_MAX,
    AmountNotPositive,
    Discount,
    DiscountLineUnknown,
    DiscountUnclear,
    DuplicateDiscount,
    Shipping,
    ShippingUnplaced,
    TextMissing,
    TextTooLong,
    TooManyDiscounts,
)
from marketbill.rules.discounts import DiscountAboveLines
from marketbill.rules.fees.schedule import FeeBase
from marketbill.rules.rates import RateOutOfRange
from marketbill.rules.split import split_decided
from marketbill.rules.tax.line_tax import Liable, LineTax, TaxRounding, Withholding
from marketbill.rules.tax.parties import PlatformTax

TEN = fees(rule(percent=10))


def coupon(percent: int = 10, platform: int = 0, **more: Any) -> Discount:
    return Discount("WELCOME", percent=Decimal(percent), platform_percent=Decimal(platform), **more)


@pytest.mark.parametrize(
    ("platform", "promo", "gross", "discounts", "fee_parts"),
    [
        (0, 0, [4499, 3599, 2792], [500, 400, 310], [450, 360, 279]),
        (100, 1210, [4999, 3999, 3102], [0, 0, 0], [500, 400, 310]),
        (40, 484, [4699, 3759, 2916], [300, 240, 186], [470, 376, 292]),
    ],
)
def test_ten_percent_off_121_euro_by_who_pays_it(
    platform: int, promo: int, gross: list[int], discounts: list[int], fee_parts: list[int]
) -> None:
    plan = divide(replace(WORKED, discounts=(coupon(platform=platform),)), TEN)
    assert (plan.totals.charged, plan.totals.promo) == (10890, promo)
    assert [part.amounts.gross for part in plan.lines] == gross
    assert [part.amounts.discount for part in plan.lines] == discounts
    assert [part.amounts.fee for part in plan.lines] == fee_parts
    assert sum(share.legs.promo for share in plan.sellers) == promo


def test_the_shared_discount_tells_its_steps() -> None:
    first = divide(replace(WORKED, discounts=(coupon(platform=40),)), TEN).lines[0]
    told = {step.name: (step.formula, step.rounded) for step in first.explanation}
    assert told["price"] == ("1 * 4999", 4999)
    assert told["discount:WELCOME.amount"] == ("1210 * 4999 / 12100", 500)
    assert told["discount:WELCOME.promo"] == ("484 * 500 / 1210", 200)
    assert told["discount"] == ("500 - 200", 300)
    assert told["promo"] == ("200", 200)
    assert told["goods"] == ("4999 - 300", 4699)
    assert told["tax"] == ("4699 * 21 / (100 + 21)", 816)
    assert told["gross"] == ("4699 + 0", 4699)
    assert told["net"] == ("4699 - 816", 3883)


def test_discounts_follow_one_another_each_on_what_is_left() -> None:
    off = (
        Discount("five", amount=500, line_ids=("1",)),
        Discount("half", percent=Decimal(50)),
        Discount("gift", amount=10, platform_percent=Decimal(100)),
    )
    plan = divide(basket(line("1", 1000), line("2", 100), discounts=off), TEN)
    # 10.00 - 5.00 = 5.00; of 5.00 and 1.00 half is 2.50 and 0.50; of 0.10 over 2.50 and 0.50, 0.08 and 0.02.
    assert [(part.amounts.discount, part.amounts.promo) for part in plan.lines] == [(750, 8), (50, 2)]
    assert plan.totals.charged == 300 - 10


def test_a_line_may_become_free() -> None:
    plan = divide(basket(line("1", 100), discounts=(coupon(100),)), fees(rule(fixed={"EUR": 30})))
    assert (plan.totals.gross, plan.totals.discount, plan.totals.charged, plan.totals.fee) == (0, 100, 0, 0)
    assert plan.lines[0].flags == ("FEE_BOUNDED",)
    paid = divide(basket(line("1", 100), discounts=(coupon(100, 100),)), TEN)
    assert (paid.totals.gross, paid.totals.charged, paid.totals.fee) == (100, 0, 10)


def test_a_discount_above_its_lines_is_refused() -> None:
    off = Discount("big", amount=101, line_ids=("2",))
    with pytest.raises(DiscountAboveLines) as refusal:
        divide(basket(line("1", 1000), line("2", 100), discounts=(off,)), TEN)
    assert (refusal.value.left, refusal.value.path) == (100, ("discounts", "0", "amount"))


def test_a_platforms_discount_on_a_price_without_tax_comes_off_what_the_buyer_pays() -> None:
    plan = divide(basket(line("1", 10000, inclusive=False), discounts=(coupon(10, 100),)), TEN)
    assert (plan.totals.gross, plan.totals.tax, plan.totals.promo, plan.totals.charged) == (12100, 2100, 1000, 11100)


def test_shipping_over_mixed_rates_before_tax() -> None:
    plan = divide(
        basket(
            line("1", 10000, inclusive=False),
            line("2", 5000, rate=9, inclusive=False),
            line("3", 100, seller="B"),
            shipping=(Shipping("A", 1000),),
        ),
        TEN,
    )
    told = [(*part.amounts[:5], part.amounts.fee) for part in plan.lines]
    assert told == [
        (12907, 2240, 10667, 807, 140, 1210),
        (5813, 480, 5333, 363, 30, 545),
        (100, 17, 83, 0, 0, 10),
    ]


def test_shipping_over_mixed_rates_with_tax_within() -> None:
    plan = divide(basket(line("1", 12100), line("2", 5450, rate=9), shipping=(Shipping("A", 1200),)), TEN)
    assert [part.amounts[:5] for part in plan.lines] == [(12900, 2239, 10661, 800, 139), (5850, 483, 5367, 400, 33)]
    told = {step.name: (step.formula, step.rounded) for step in plan.lines[0].explanation}
    assert told["shipping_share"] == ("1200 * 10000 / 15000", 800)
    assert told["goods_tax"] == ("12100 * 21 / (100 + 21)", 2100)
    assert told["shipping_tax"] == ("800 * 21 / (100 + 21)", 139)
    assert told["tax"] == ("2100 + 139", 2239)
    assert told["gross"] == ("12100 + 800", 12900)


def test_shipping_of_free_goods_is_shared_evenly() -> None:
    plan = divide(basket(line("1", 500), line("2", 100), discounts=(coupon(100),), shipping=(Shipping("A", 201),)), TEN)
    assert [part.amounts.gross for part in plan.lines] == [101, 100]


def decided(*lines: Any, decision: LineTax, platform: PlatformTax | None = None, terms: Any = TEN) -> Any:
    whole = basket(*lines)
    terms_of_tax = tax() if platform is None else tax(platform)
    found = decisions(whole, terms_of_tax, {one.id: decision for one in lines})
    return split_decided(whole, terms, terms_of_tax, found)


def test_three_times_099_is_052_of_tax_by_document_for_each_seller_apart() -> None:
    document = LineTax(Decimal(21), Liable.SELLER, "x", rounding=TaxRounding.DOCUMENT)
    one = decided(line("1", 99), line("2", 99), line("3", 99), decision=document)
    assert [part.amounts.tax for part in one.lines] == [18, 17, 17]
    first = {step.name: step for step in one.lines[0].explanation}
    assert (first["document_tax"].formula, first["document_tax"].rounded) == ("297 * 21 / (100 + 21)", 52)
    assert (first["tax"].formula, first["tax"].rounding.value) == ("52 * 99 / 297", "LARGEST_REMAINDER")
    two = decided(line("1", 99), line("2", 99), line("3", 99, seller="B"), decision=document)
    assert [part.amounts.tax for part in two.lines] == [17, 17, 17]


def test_a_document_holds_shipping_too_and_prices_without_tax() -> None:
    document = LineTax(Decimal(21), Liable.SELLER, "x", rounding=TaxRounding.DOCUMENT)
    whole = basket(line("1", 102, inclusive=False), line("2", 102, inclusive=False), shipping=(Shipping("A", 102),))
    plan = split_decided(whole, TEN, tax(), decisions(whole, tax(), dict.fromkeys("12", document)))
    # 3.06 at 21 % is 0.6426; by line, 0.21 four times.
    assert plan.totals.tax == 64
    assert [part.amounts[:5] for part in plan.lines] == [(185, 32, 153, 62, 11), (185, 32, 153, 62, 11)]


def test_tax_that_the_platform_owes_leaves_the_sellers() -> None:
    deemed = LineTax(Decimal(21), Liable.PLATFORM, "deemed", jurisdiction="NL")
    plan = decided(*WORKED.lines, decision=deemed, terms=fees(rule(percent=10, fixed={"EUR": 30})))
    assert [part.amounts.seller_net for part in plan.lines] == [3511, 2895, 2179]
    assert (plan.totals.deemed_tax, plan.totals.seller_net) == (2100, 8585)
    assert [share.legs.deemed for share in plan.sellers] == [{"NL": 868}, {"NL": 694}, {"NL": 538}]


def test_a_fee_is_bounded_by_what_the_platforms_tax_leaves() -> None:
    deemed = LineTax(Decimal(21), Liable.PLATFORM, "deemed", jurisdiction="NL")
    plan = decided(line("1", 121, seller="US"), decision=deemed, terms=fees(rule(fixed={"EUR": 110})))
    assert (plan.totals.fee, plan.totals.seller_net) == (100, 0)


def test_what_india_makes_a_platform_withhold() -> None:
    collected = Withholding("in-tcs", Decimal("0.5"), "in-tcs:2024")
    gst = LineTax(Decimal(18), Liable.SELLER, "in-gst", jurisdiction="IN", withheld=(collected,))
    plan = decided(
        line("1", 100000, seller="IN", inclusive=False),
        decision=gst,
        platform=PlatformTax("IN", Decimal(18)),
        terms=fees(rule(percent=10, base=FeeBase.NET)),
    )
    told = plan.totals
    assert (told.gross, told.tax, told.fee, told.fee_tax, told.withheld) == (118000, 18000, 10000, 1800, 500)
    assert told.seller_net == 105700
    assert plan.sellers[0].legs.withheld == {"in-tcs": 500}
    assert plan.lines[0].withholdings == (("in-tcs", 500),)


@pytest.mark.parametrize(
    ("more", "error", "path"),
    [
        ({"shipping": (Shipping("B", 1),)}, ShippingUnplaced, ("shipping", "0", "sellerId")),
        ({"shipping": (Shipping("A", 1), Shipping("A", 1))}, ShippingUnplaced, ("shipping", "1", "sellerId")),
        ({"shipping": (Shipping("A", 0),)}, AmountNotPositive, ("shipping", "0", "amount")),
        ({"shipping": (Shipping("A", 10**15 + 1),)}, AmountTooLarge, ("shipping", "0", "amount")),
        ({"shipping": (Shipping("A", 10**15),)}, AmountTooLarge, ("lines", "0", "unitPrice")),
        ({"discounts": (Discount("", amount=1),)}, TextMissing, ("discounts", "0", "id")),
        ({"discounts": (Discount("a"),)}, DiscountUnclear, ("discounts", "0")),
        ({"discounts": (Discount("a", 1, Decimal(1)),)}, DiscountUnclear, ("discounts", "0")),
        ({"discounts": (Discount("a", 0),)}, AmountNotPositive, ("discounts", "0", "amount")),
        ({"discounts": (Discount("a", 1), Discount("a", 1))}, DuplicateDiscount, ("discounts", "1", "id")),
        ({"discounts": (coupon(101),)}, RateOutOfRange, ("discounts", "0", "percent")),
        ({"discounts": (coupon(1, 101),)}, RateOutOfRange, ("discounts", "0", "platformPercent")),
        (
            {"discounts": (coupon(line_ids=("1", "9")),)},
            DiscountLineUnknown,
            ("discounts", "0", "lineIds", "1"),
        ),
        (
            {"discounts": (coupon(line_ids=("1", "1")),)},
            DiscountLineUnknown,
            ("discounts", "0", "lineIds", "1"),
        ),
        (
            {"discounts": tuple(Discount(f"{n}", 1) for n in range(DISCOUNTS_MAX + 1))},
            TooManyDiscounts,
            ("discounts",),
        ),
        ({"channel": "x" * 101}, TextTooLong, ("channel",)),
        ({"payment_method": "x" * 101}, TextTooLong, ("paymentMethod",)),
    ],
)
def test_a_basket_with_wrong_extras_is_refused(
    more: dict[str, Any], error: type[InvalidInput], path: tuple[str, ...]
) -> None:
    with pytest.raises(error) as refusal:
        divide(basket(line("1", 1000), **more), TEN)
    assert refusal.value.path == path
