"""Every fee model by hand: bases, tiers, limits, stacks, buyers' fees, the provider's fee, parts of others."""

from decimal import Decimal

import pytest
from tests.rules.shop import basket, divide, fees, line, rule

from marketbill.rules.basket import Shipping
from marketbill.rules.explanation import Rounding
from marketbill.rules.fees.charge import FeeAboveLine
from marketbill.rules.fees.conditions import Conditions
from marketbill.rules.fees.fixed import FixedFeeMissing
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope
from marketbill.rules.fees.schedule import (
    AboveLine,
    FeeBase,
    FeeKind,
    FeePayer,
    FeeRule,
    Period,
    Tier,
    TierMode,
    Tiers,
    Unmatched,
)
from marketbill.rules.plan import FEE_BOUNDED
from marketbill.rules.shares import PARTS_MAX, TooManyParts
from marketbill.rules.split import FeeBaseUnknown, NoFeeRule
from marketbill.rules.tax.parties import BuyerTax

EXCLUSIVE, INCLUSIVE = FeeTaxMode.EXCLUSIVE, FeeTaxMode.INCLUSIVE


@pytest.mark.parametrize(
    ("base", "mode", "amount", "tax"),
    [
        (FeeBase.GROSS, EXCLUSIVE, 1240, 260),
        (FeeBase.NET, EXCLUSIVE, 1030, 216),
        (FeeBase.GROSS_PLUS_SHIPPING, EXCLUSIVE, 1361, 286),
        (FeeBase.NET_PLUS_SHIPPING, EXCLUSIVE, 1130, 237),
        (FeeBase.GROSS, INCLUSIVE, 1025, 215),
        (FeeBase.NET, INCLUSIVE, 851, 179),
        (FeeBase.GROSS_PLUS_SHIPPING, INCLUSIVE, 1125, 236),
        (FeeBase.NET_PLUS_SHIPPING, INCLUSIVE, 934, 196),
    ],
)
def test_eight_bases_of_121_euro_with_shipping_of_12_10(base: FeeBase, mode: FeeTaxMode, amount: int, tax: int) -> None:
    plan = divide(
        basket(line("1", 12100), shipping=(Shipping("A", 1210),)),
        fees(rule(percent=10, fixed={"EUR": 30}, base=base, tax_mode=mode)),
    )
    only = plan.lines[0].amounts
    assert (only.gross, only.net, only.shipping, only.shipping_tax) == (13310, 11000, 1210, 210)
    assert (only.fee, only.fee_tax, only.seller_net) == (amount, tax, 13310 - amount - tax)


LIMITED = rule(percent=10, fixed={"EUR": 30}, minimum={"EUR": 50}, maximum={"EUR": 800})


@pytest.mark.parametrize(
    ("price", "fee", "parts", "flags"),
    [
        (300, 60, (30, 30), ()),
        (100, 50, (10, 40), ()),
        (200, 50, (20, 30), ()),
        (199, 50, (20, 30), ()),
        (194, 50, (19, 31), ()),
        (9000, 800, (800, 0), ()),
        (7700, 800, (770, 30), ()),
        (7705, 800, (771, 29), ()),
        (35, 35, (4, 31), (FEE_BOUNDED,)),
        (50, 50, (5, 45), ()),
        (49, 49, (5, 44), (FEE_BOUNDED,)),
    ],
)
def test_at_least_and_at_most(price: int, fee: int, parts: tuple[int, int], flags: tuple[str, ...]) -> None:
    only = divide(basket(line("1", price, seller="US", rate=0)), fees(LIMITED)).lines[0]
    assert (only.amounts.fee, only.amounts.seller_net, only.flags) == (fee, price - fee, flags)
    assert (only.fees[0].percent_part, only.fees[0].fixed_part, only.fees[0].was_bounded) == (*parts, bool(flags))


@pytest.mark.parametrize(
    ("price", "rounding", "formula"),
    [(100, Rounding.MINIMUM, "50"), (9000, Rounding.MAXIMUM, "800"), (35, Rounding.BOUND, "35 * 100 / (100 + 0)")],
)
def test_a_limit_says_what_it_did(price: int, rounding: Rounding, formula: str) -> None:
    only = divide(basket(line("1", price, seller="US", rate=0)), fees(LIMITED)).lines[0]
    last = next(step for step in reversed(only.explanation) if step.name == "commission.amount")
    assert (last.rounding, last.formula, last.rule) == (rounding, formula, "fee:fee_1@3/commission")


@pytest.mark.parametrize("amounts", ["fixed", "minimum", "maximum"])
def test_an_amount_that_misses_the_currency_refuses_the_sale(amounts: str) -> None:
    with pytest.raises(FixedFeeMissing) as refusal:
        divide(basket(line("1", 1000), currency="JPY"), fees(rule(percent=10, **{amounts: {"EUR": 30}})))
    assert (refusal.value.rule, refusal.value.currency) == ("fee:fee_1@3/commission", "JPY")


def tiers(mode: TierMode, *steps: tuple[dict[str, int], int], period: Period = Period.MONTH) -> Tiers:
    return Tiers(mode, period, tuple(Tier(start, Decimal(percent)) for start, percent in steps))


THREE_STEPS = (({"EUR": 0}, 10), ({"EUR": 10_000_00}, 8), ({"EUR": 50_000_00}, 5))


@pytest.mark.parametrize(
    ("before", "sale", "graduated", "volume"),
    [
        (0, 1, 0, 0),
        (0, 4, 0, 0),
        (0, 5, 1, 1),
        (0, 100, 10, 10),
        (0, 999_999, 100_000, 100_000),
        (0, 1_000_000, 100_000, 100_000),
        (0, 1_000_001, 100_000, 80_000),
        (0, 1_000_007, 100_001, 80_001),
        (0, 1_500_000, 140_000, 120_000),
        (0, 4_999_999, 420_000, 400_000),
        (0, 5_000_000, 420_000, 400_000),
        (0, 5_000_001, 420_000, 250_000),
        (0, 5_000_010, 420_001, 250_001),
        (0, 10_000_000, 670_000, 500_000),
        (999_000, 2_000, 180, 160),
        (999_900, 100, 10, 10),
        (999_900, 101, 10, 8),
        (999_900, 200, 18, 16),
        (999_995, 10, 1, 1),
        (999_999, 1, 0, 0),
        (999_999, 2, 0, 0),
        (999_999, 10, 1, 1),
        (1_000_000, 1, 0, 0),
        (1_000_000, 100, 8, 8),
        (1_000_000, 4_000_000, 320_000, 320_000),
        (1_000_000, 4_000_001, 320_000, 200_000),
        (1_000_001, 100, 8, 8),
        (4_999_900, 100, 8, 8),
        (4_999_900, 200, 13, 10),
        (4_999_990, 20, 1, 1),
        (4_999_999, 1, 0, 0),
        (5_000_000, 10, 1, 1),
        (5_000_000, 100, 5, 5),
        (900_000, 4_200_000, 335_000, 210_000),
        (-500, 1000, 100, 100),
    ],
)
@pytest.mark.parametrize("mode", TierMode)
def test_ten_percent_to_10_000_then_eight_then_five_beyond_50_000(
    mode: TierMode, before: int, sale: int, graduated: int, volume: int
) -> None:
    plan = divide(
        basket(line("1", sale, seller="US", rate=0)),
        fees(rule(tiers=tiers(mode, *THREE_STEPS)), volumes={"US": {Period.MONTH: before}}),
    )
    assert plan.totals.fee == (graduated if mode is TierMode.GRADUATED else volume)


def test_a_sale_crosses_the_edge_between_its_lines_in_the_order_of_their_ids() -> None:
    terms = fees(rule(tiers=tiers(TierMode.GRADUATED, *THREE_STEPS)), volumes={"US": {Period.MONTH: 998_000}, "B": {}})
    lines = (
        line("2", 2000, seller="US", rate=0),
        line("1", 3000, seller="US", rate=0),
        line("3", 3000, seller="B", rate=0),
    )
    found = {part.line_id: part for part in divide(basket(*lines), terms).lines}
    # 20.00 of the first line are below the edge, 10.00 beyond it: 2.00 + 0.80.
    assert [found[id].amounts.fee for id in ("1", "2", "3")] == [280, 160, 300]
    assert found["1"].fees[0].slices == ((2000, Decimal(10)), (1000, Decimal(8)))
    step = next(step for step in found["1"].explanation if step.name == "commission.percent_part")
    assert (step.formula, step.exact) == ("3000 * (2000 * 10 + 1000 * 8) / (3000 * 100)", "280")


def test_a_tier_over_the_net_takes_the_net_of_each_part() -> None:
    terms = fees(
        rule(tiers=tiers(TierMode.GRADUATED, *THREE_STEPS), base=FeeBase.NET), volumes={"A": {Period.MONTH: 993_950}}
    )
    only = divide(basket(line("1", 12100)), terms).lines[0]
    # Half of the line's gross is below the edge: so is half of its net of 100.00.
    assert (only.fees[0].base, only.fees[0].percent_part) == (10000, 900)


def test_tiers_in_each_currency_and_over_each_period() -> None:
    ladder = tiers(TierMode.GRADUATED, ({}, 10), ({"EUR": 100, "JPY": 100_000}, 8), period=Period.YEAR)
    volumes = {"US": {Period.MONTH: 5, Period.YEAR: 99_990}}
    yen = basket(line("1", 20, seller="US", rate=0), currency="JPY")
    assert divide(yen, fees(rule(tiers=ladder), volumes=volumes)).totals.fee == 2
    with pytest.raises(FixedFeeMissing, match="start of a tier"):
        divide(basket(line("1", 20), currency="USD"), fees(rule(tiers=ladder)))


def test_a_volume_rate_is_reached_by_the_whole_sale() -> None:
    terms = fees(rule(tiers=tiers(TierMode.VOLUME, *THREE_STEPS)), volumes={"A": {Period.MONTH: 990_000}})
    plan = divide(basket(line("1", 6000, rate=0), line("2", 5000, rate=0)), terms)
    assert [part.amounts.fee for part in plan.lines] == [480, 400]


def test_stacks_add_up_each_with_its_account_and_its_tax() -> None:
    plan = divide(
        basket(line("1", 12100)),
        fees(
            rule(percent=10),
            rule("listing", stack="listing", fixed={"EUR": 100}, fixed_scope=FixedScope.LINE, account="listing"),
            rule("ads", 5, stack="ads", base=FeeBase.NET, tax_mode=INCLUSIVE, account="ads"),
            rule("service", 20, stack="service", based_on="commission", account="service"),
        ),
    )
    only = plan.lines[0]
    told = [(fee.stack, fee.account, fee.base, fee.amount, fee.tax) for fee in only.fees]
    assert told == [
        ("commission", None, 12100, 1210, 254),
        ("listing", "listing", 12100, 100, 21),
        ("ads", "ads", 10000, 413, 87),
        ("service", "service", 1210, 242, 51),
    ]
    assert (only.amounts.fee, only.amounts.fee_tax, only.amounts.seller_net) == (1965, 413, 9722)
    share = plan.sellers[0]
    assert share.legs.fees == {"": 1210, "listing": 100, "ads": 413, "service": 242}
    assert share.legs.fee_tax == {"NL": 413}


def test_a_fixed_part_is_shared_among_the_lines_of_its_rule() -> None:
    plan = divide(
        basket(line("1", 3000), line("2", 1000, category="books/old"), line("3", 1000)),
        fees(
            rule(percent=10, fixed={"EUR": 30}),
            rule("books", 5, fixed={"EUR": 20}, when=Conditions(categories=frozenset({"books"}))),
        ),
    )
    assert [(part.fees[0].name, part.fees[0].fixed_part) for part in plan.lines] == [
        ("commission", 23),
        ("books", 20),
        ("commission", 7),
    ]


def test_the_buyer_pays_his_fee_on_top_and_the_sellers_money_is_untouched() -> None:
    service = rule("service", 3, stack="service", payer=FeePayer.BUYER, fixed={"EUR": 50}, account="service")
    plan = divide(basket(line("1", 10000, seller="US", rate=0)), fees(rule(percent=10), service))
    totals = plan.totals
    assert (totals.gross, totals.buyer_fee, totals.buyer_fee_tax, totals.charged) == (10000, 350, 74, 10424)
    assert (totals.fee, totals.seller_net) == (1000, 9000)
    assert (plan.buyer_legs.fees, plan.buyer_legs.fee_tax) == ({"service": 350}, {"NL": 74})
    assert plan.sellers[0].legs.fees == {"": 1000}


@pytest.mark.parametrize(
    ("buyer", "tax", "rule_id"),
    [
        (BuyerTax(), 74, "domestic"),
        (BuyerTax("DE"), 74, "eu-threshold"),
        (BuyerTax("NL", business=True), 74, "domestic"),
        (BuyerTax("DE", business=True), 0, "eu-reverse-charge"),
        (BuyerTax("US", business=True), 0, "outside-scope"),
    ],
)
def test_the_tax_on_the_buyers_fee(buyer: BuyerTax, tax: int, rule_id: str) -> None:
    service = rule("service", 3, stack="service", payer=FeePayer.BUYER, fixed={"EUR": 50})
    plan = divide(basket(line("1", 10000)), fees(rule(), service), buyer=buyer)
    assert plan.totals.buyer_fee_tax == tax
    assert plan.lines[0].fees[1].tax_decision.rule == f"buyer-fee-vat:{rule_id}"


def test_a_buyers_fee_is_not_bounded_by_the_line() -> None:
    service = rule("service", stack="service", payer=FeePayer.BUYER, fixed={"EUR": 500})
    only = divide(basket(line("1", 100)), fees(rule(), service)).lines[0]
    assert (only.amounts.buyer_fee, only.flags) == (500, ())


def test_the_sellers_part_of_the_providers_fee_has_no_tax_of_ours() -> None:
    card = rule("card", "1.5", stack="processor", kind=FeeKind.PROCESSOR, fixed={"EUR": 25})
    plan = divide(basket(line("1", 12100)), fees(rule(percent=10), card))
    assert (plan.totals.processor_fee, plan.totals.fee, plan.totals.fee_tax) == (207, 1210, 254)
    assert plan.totals.seller_net == 12100 - 1210 - 254 - 207
    assert plan.sellers[0].legs.processor == 207


def part(name: str, percent: str | int, recipient: str, **more: object) -> FeeRule:
    return rule(name, percent, stack=name, kind=FeeKind.PART, recipient=recipient, **more)


def test_parts_go_to_others_who_have_a_share_though_they_sell_nothing() -> None:
    plan = divide(
        basket(line("1", 10000, seller="US", rate=0), line("2", 1000, seller="A", rate=0)),
        fees(
            rule(percent=10),
            part("affiliate", 5, "seller_aff"),
            part("courier", 0, "A", fixed={"EUR": 500}, when=Conditions(sellers=frozenset({"US"}))),
        ),
    )
    assert [(share.seller_id, *share.totals[-3:]) for share in plan.sellers] == [
        ("US", 0, 1000, 8000),
        ("A", 500, 50, 1000 - 100 - 21 - 50 + 500),
        ("seller_aff", 550, 0, 550),
    ]
    assert plan.sellers[0].legs.parts == {"seller_aff": 500, "A": 500}
    assert (plan.totals.passed_on, plan.totals.received) == (1050, 1050)
    assert plan.totals.seller_net == 8000 + 1329 + 550
    assert all(fee.tax == 0 for one in plan.lines for fee in one.fees if fee.kind is FeeKind.PART)


def test_two_hundred_parts_of_one_sale_and_not_one_more() -> None:
    rules = [part(f"p{n:02d}", 1, f"seller_{n:02d}") for n in range(19)]
    lines = [line(f"{n:03d}", 1000, seller="US", rate=0) for n in range(200)]
    by_line = [
        rule(
            f"r{n:03d}",
            1,
            stack="part",
            kind=FeeKind.PART,
            recipient=f"to_{n:03d}",
            when=Conditions(products=frozenset({f"p{n}"})),
        )
        for n in range(PARTS_MAX)
    ]
    many = [line(f"{n:03d}", 1000, seller="US", rate=0, product=f"p{n}") for n in range(PARTS_MAX)]
    plan = divide(basket(*many), fees(rule(), *by_line))
    assert len(plan.sellers[0].legs.parts) == PARTS_MAX
    assert {share.totals.received for share in plan.sellers[1:]} == {10}
    assert divide(basket(*lines), fees(rule(), *rules)).totals.passed_on == 19 * 10 * 200
    with pytest.raises(TooManyParts):
        divide(basket(*many), fees(rule(), *by_line, part("more", 1, "seller_more")))


def test_fees_take_what_the_line_still_pays_in_the_order_of_the_stacks() -> None:
    only = divide(
        basket(line("1", 100, seller="US", rate=0)),
        fees(
            rule(fixed={"EUR": 60}),
            rule("second", stack="second", fixed={"EUR": 60}),
            rule("third", stack="third", fixed={"EUR": 60}),
        ),
    ).lines[0]
    assert [(fee.amount, fee.was_bounded) for fee in only.fees] == [(60, False), (40, True), (0, True)]
    assert (only.amounts.seller_net, only.flags) == (0, (FEE_BOUNDED,))


def test_a_fee_above_the_line_can_refuse_the_sale() -> None:
    terms = fees(rule(fixed={"EUR": 100}), above_line=AboveLine.REFUSE)
    with pytest.raises(FeeAboveLine) as refusal:
        divide(basket(line("1", 120)), terms)
    assert (refusal.value.fee, refusal.value.room, refusal.value.line_id) == (100, 120, "1")
    assert refusal.value.rule == "fee:fee_1@3/commission"
    assert divide(basket(line("1", 121)), terms).totals.seller_net == 0


def test_a_line_that_no_rule_holds_for_is_refused_with_the_nearest_miss() -> None:
    books = rule(percent=5, when=Conditions(categories=frozenset({"books"}), channels=frozenset({"web"})))
    games = rule("games", 9, when=Conditions(categories=frozenset({"games"})))
    with pytest.raises(NoFeeRule) as refusal:
        divide(basket(line("1", 100, category="books/old"), line("2", 100, category="toys")), fees(books, games))
    error = refusal.value
    assert (error.line_id, error.stack, error.path) == ("1", "commission", ("lines", "0"))
    assert error.nearest is not None
    assert error.nearest.rule is books
    assert "channels web, not ''" in error.message


def test_a_line_that_no_rule_holds_for_is_free_where_the_schedule_says_so() -> None:
    books = rule(percent=5, when=Conditions(categories=frozenset({"books"})))
    plan = divide(basket(line("1", 100)), fees(books, unmatched=Unmatched.FREE))
    assert (plan.totals.fee, plan.lines[0].fees, plan.totals.seller_net) == (0, (), 100)


def test_a_stack_that_is_not_required_may_hold_for_nothing() -> None:
    ads = rule("ads", 5, stack="ads", when=Conditions(channels=frozenset({"ads"})))
    assert [fee.name for fee in divide(basket(line("1", 100)), fees(rule(percent=1), ads)).lines[0].fees] == [
        "commission"
    ]


def test_a_required_stack_without_rules_refuses_the_sale() -> None:
    with pytest.raises(NoFeeRule, match="it has no rules"):
        divide(basket(line("1", 100)), fees(rule("ads", 5, stack="ads")))


@pytest.mark.parametrize("base", [FeeBase.NET, FeeBase.NET_PLUS_SHIPPING])
def test_a_net_base_needs_a_known_tax(base: FeeBase) -> None:
    unknown = line("1", 100, tax_unknown=True)
    with pytest.raises(FeeBaseUnknown) as refusal:
        divide(basket(unknown), fees(rule(percent=10, base=base)))
    assert (refusal.value.line_id, refusal.value.path) == ("1", ("lines", "0", "taxRate"))
    plan = divide(basket(unknown), fees(rule(percent=10)))
    assert (plan.totals.tax, plan.totals.fee, plan.lines[0].sale_tax.known) == (0, 10, False)
