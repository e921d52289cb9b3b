"""The split of a sale, by hand: every number here was computed on paper from the rule it names."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from marketbill.rules.basket import Basket, BasketLine
from marketbill.rules.fees.fixed import FixedFeeMissing
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope
from marketbill.rules.fees.schedule import FeeBase, FeeRule, Schedule
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.plan import FEE_BOUNDED, SplitPlan, Totals
from marketbill.rules.split import SellerTermsMissing
from marketbill.rules.split import split as pure_split
from marketbill.rules.tax.parties import PlatformTax, SellerTax
from marketbill.rules.tax.terms import TaxTerms

SELLERS = {
    "A": SellerTax(country="NL", vat_number_valid=True),
    "B": SellerTax(country="DE", vat_number_valid=True),
    "C": SellerTax(country="NL", vat_number_valid=False),
    "US": SellerTax(country="US", vat_number_valid=False),
}


def line(
    id: str, unit_price: int, *, seller: str = "A", quantity: int = 1, rate: str = "21", inclusive: bool = True
) -> BasketLine:
    return BasketLine(
        id=id,
        seller_id=seller,
        description="a thing",
        category="things",
        quantity=quantity,
        unit_price=unit_price,
        tax_rate=Decimal(rate),
        tax_inclusive=inclusive,
    )


def basket(*lines: BasketLine, currency: str = "EUR") -> Basket:
    return Basket(currency=currency, lines=lines)


def terms(
    *,
    percent: str = "10",
    fixed: dict[str, int] | None = None,
    scope: FixedScope = FixedScope.ORDER,
    base: FeeBase = FeeBase.GROSS,
    mode: FeeTaxMode = FeeTaxMode.EXCLUSIVE,
) -> FeeTerms:
    rule = FeeRule(
        "commission",
        percent=Decimal(percent),
        fixed={"EUR": 30} if fixed is None else fixed,
        fixed_scope=scope,
        base=base,
        tax_mode=mode,
    )
    return FeeTerms(Schedule("standard", 3, (rule,)), at=datetime(2026, 3, 1, tzinfo=UTC))


TAX = TaxTerms(platform=PlatformTax(country="NL", rate=Decimal(21)), sellers=SELLERS)


def split(basket: Basket, fees: FeeTerms) -> SplitPlan:
    return pure_split(basket, fees, TAX)


RULE = "fee:standard@3/commission"
WORKED = basket(line("1", 4999, seller="A"), line("2", 3999, seller="B"), line("3", 3102, seller="C"))


def test_the_worked_basket_of_121_euro_comes_out_cent_for_cent() -> None:
    plan = split(WORKED, terms())
    found = [
        (
            *(part.seller_id, part.amounts.gross, part.amounts.tax, part.amounts.net),
            *(part.fees[0].percent_part, part.fees[0].fixed_part, part.amounts.fee),
            *(part.amounts.fee_tax, part.fees[0].tax_decision.rule, part.amounts.seller_net),
        )
        for part in plan.lines
    ]
    assert found == [
        ("A", 4999, 868, 4131, 500, 12, 512, 108, "fee-vat:domestic", 4379),
        ("B", 3999, 694, 3305, 400, 10, 410, 0, "fee-vat:eu-reverse-charge", 3589),
        ("C", 3102, 538, 2564, 310, 8, 318, 67, "fee-vat:domestic", 2717),
    ]
    assert plan.totals == Totals(gross=12100, tax=2100, net=10000, fee=1240, fee_tax=175, seller_net=10685)
    assert [(share.seller_id, share.totals.seller_net) for share in plan.sellers] == [
        ("A", 4379),
        ("B", 3589),
        ("C", 2717),
    ]
    assert all(part.flags == () for part in plan.lines)
    assert (plan.schedule_id, plan.schedule_version) == ("standard", 3)


def test_the_percentage_is_rounded_per_line_and_never_recomputed_for_the_order() -> None:
    three_lines = split(basket(line("1", 333), line("2", 333), line("3", 333)), terms(fixed={}))
    one_line = split(basket(line("1", 333, quantity=3)), terms(fixed={}))
    assert three_lines.totals.fee == 99
    assert one_line.totals.fee == 100
    assert three_lines.totals.gross == one_line.totals.gross == 999


@pytest.mark.parametrize(
    ("base", "mode", "fee", "fee_tax"),
    [
        (FeeBase.GROSS, FeeTaxMode.EXCLUSIVE, 1240, 260),
        (FeeBase.NET, FeeTaxMode.EXCLUSIVE, 1030, 216),
        (FeeBase.GROSS, FeeTaxMode.INCLUSIVE, 1025, 215),
        (FeeBase.NET, FeeTaxMode.INCLUSIVE, 851, 179),
    ],
)
def test_the_base_and_the_tax_mode_of_the_fee_on_121_euro(
    base: FeeBase, mode: FeeTaxMode, fee: int, fee_tax: int
) -> None:
    plan = split(basket(line("1", 12100)), terms(base=base, mode=mode))
    only = plan.lines[0]
    assert (only.amounts.tax, only.amounts.net) == (2100, 10000)
    assert (only.amounts.fee, only.amounts.fee_tax) == (fee, fee_tax)
    assert only.amounts.seller_net == 12100 - fee - fee_tax
    charged = only.amounts.fee + (only.amounts.fee_tax if mode is FeeTaxMode.INCLUSIVE else 0)
    assert only.fees[0].percent_part + only.fees[0].fixed_part == charged


def test_a_fee_with_its_tax_included_keeps_its_amount_where_no_tax_is_due() -> None:
    only = split(basket(line("1", 12100, seller="B")), terms(mode=FeeTaxMode.INCLUSIVE)).lines[0]
    assert (only.amounts.fee, only.amounts.fee_tax, only.amounts.seller_net) == (1240, 0, 10860)


def test_half_a_yen_goes_up() -> None:
    plan = split(basket(line("1", 1005, rate="10"), currency="JPY"), terms(fixed={}))
    assert plan.totals == Totals(gross=1005, tax=91, net=914, fee=101, fee_tax=21, seller_net=883)


def test_three_decimals_are_split_to_the_last_fils() -> None:
    plan = split(basket(line("1", 5125, seller="US", rate="5"), currency="KWD"), terms(fixed={"KWD": 100}))
    assert plan.totals == Totals(gross=5125, tax=244, net=4881, fee=613, fee_tax=0, seller_net=4512)


def test_tax_on_top_of_the_price_is_part_of_what_the_buyer_pays() -> None:
    only = split(basket(line("1", 10000, inclusive=False)), terms()).lines[0]
    assert (only.amounts.net, only.amounts.tax, only.amounts.gross, only.amounts.fee) == (10000, 2100, 12100, 1240)


def test_three_lines_of_099_hold_051_of_tax() -> None:
    by_line = split(basket(line("1", 99), line("2", 99), line("3", 99)), terms(fixed={}))
    at_once = split(basket(line("1", 99, quantity=3)), terms(fixed={}))
    assert [part.amounts.tax for part in by_line.lines] == [17, 17, 17]
    assert (by_line.totals.tax, at_once.totals.tax) == (51, 52)


@pytest.mark.parametrize(
    ("seller", "mode", "fee", "fee_tax", "parts"),
    [
        # No tax on the fee: all of the 0.35 is fee.
        ("B", FeeTaxMode.EXCLUSIVE, 35, 0, (7, 28)),
        # 29 + 21 % of it (6.09) is 35; 30 + 6.30 would be 36.
        ("A", FeeTaxMode.EXCLUSIVE, 29, 6, (7, 22)),
        # 35 with 6.07 of tax in it.
        ("A", FeeTaxMode.INCLUSIVE, 29, 6, (7, 28)),
    ],
)
def test_a_fee_never_takes_more_than_the_line_pays(
    seller: str, mode: FeeTaxMode, fee: int, fee_tax: int, parts: tuple[int, int]
) -> None:
    only = split(basket(line("1", 35, seller=seller)), terms(percent="20", mode=mode)).lines[0]
    assert (only.amounts.fee, only.amounts.fee_tax, only.amounts.seller_net) == (fee, fee_tax, 0)
    assert (only.fees[0].percent_part, only.fees[0].fixed_part) == parts
    assert only.flags == (FEE_BOUNDED,)


def test_a_percentage_alone_can_reach_the_bound_and_is_then_cut_itself() -> None:
    only = split(basket(line("1", 12100)), terms(percent="100")).lines[0]
    assert (only.fees[0].percent_part, only.fees[0].fixed_part, only.amounts.fee, only.amounts.fee_tax) == (
        10000,
        0,
        10000,
        2100,
    )
    assert (only.amounts.seller_net, only.flags) == (0, (FEE_BOUNDED,))


def test_a_fee_that_just_fits_is_not_flagged() -> None:
    only = split(basket(line("1", 35, seller="B")), terms(percent="0", fixed={"EUR": 35})).lines[0]
    assert (only.amounts.fee, only.amounts.seller_net, only.flags) == (35, 0, ())


def test_the_fixed_part_once_for_each_seller() -> None:
    plan = split(
        basket(line("1", 4999), line("2", 3999, seller="B"), line("3", 3102)), terms(scope=FixedScope.SELLER_ORDER)
    )
    assert [part.fees[0].fixed_part for part in plan.lines] == [19, 30, 11]
    assert [share.seller_id for share in plan.sellers] == ["A", "B"]
    first = plan.sellers[0]
    assert first.totals.gross == 4999 + 3102
    assert (first.fee_tax.rate, first.fee_tax.rule, first.fee_tax.label) == (Decimal(21), "fee-vat:domestic", "VAT")


def test_the_fixed_part_for_each_unit() -> None:
    only = split(basket(line("1", 1000, quantity=4)), terms(scope=FixedScope.UNIT)).lines[0]
    assert (only.fees[0].percent_part, only.fees[0].fixed_part, only.amounts.fee) == (400, 120, 520)


def test_the_explanation_says_how_an_amount_came_about() -> None:
    first = split(WORKED, terms()).lines[0]
    told = [(step.name, step.formula, step.exact, step.rounded, step.rounding, step.rule) for step in first.explanation]
    assert told == [
        ("gross", "1 * 4999", "4999", 4999, "NONE", "sale-tax:inclusive"),
        ("tax", "4999 * 21 / (100 + 21)", "104979/121", 868, "HALF_AWAY", "sale-tax:stated"),
        ("net", "4999 - 868", "4131", 4131, "NONE", "sale-tax:inclusive"),
        ("commission.percent_part", "4999 * 10 / 100", "4999/10", 500, "HALF_AWAY", RULE),
        ("commission.fixed_part", "30 * 4999 / 12100", "14997/1210", 12, "LARGEST_REMAINDER", RULE),
        ("commission.amount", "500 + 12", "512", 512, "NONE", RULE),
        ("commission.tax", "512 * 21 / 100", "2688/25", 108, "HALF_AWAY", "fee-vat:domestic"),
        ("fee", "512", "512", 512, "NONE", "fees"),
        ("fee_tax", "108", "108", 108, "NONE", "fees"),
        ("seller_net", "4999 - 512 - 108", "4379", 4379, "NONE", "seller-net"),
    ]


def test_a_fixed_amount_missing_in_the_baskets_currency_refuses_the_sale() -> None:
    with pytest.raises(FixedFeeMissing):
        split(basket(line("1", 1005), currency="JPY"), terms())


def test_a_seller_without_terms_refuses_the_sale_and_names_the_line() -> None:
    with pytest.raises(SellerTermsMissing) as refusal:
        split(basket(line("1", 100), line("2", 100, seller="unheard-of")), terms())
    assert refusal.value.path == ("lines", "1", "sellerId")
