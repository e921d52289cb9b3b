"""Refunds by hand, and what holds for every way to cut one: nothing more comes back than was taken."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rules.anything import sales
from tests.rules.shop import WORKED, basket, decisions, divide, fees, line, rule, tax

from marketbill.rules.basket import Discount
from marketbill.rules.fees.rule import FeeTaxMode
from marketbill.rules.fees.schedule import FeeKind, FeePayer, Period, Tier, TierMode, Tiers
from marketbill.rules.plan import LinePlan, SplitPlan
from marketbill.rules.refunds import FeesReturned, RefundAboveLine, refunded
from marketbill.rules.split import split_decided
from marketbill.rules.tax.line_tax import Liable, LineTax, Withholding

ALL = FeesReturned(percent=True, fixed=True, processor=True)
NONE = FeesReturned(percent=False)


def step_by_step(sold: LinePlan, *amounts: int, terms: FeesReturned | None = None) -> list[Any]:
    """What each of some refunds books."""
    booked = refunded(sold, 0)
    so_far, told = 0, []
    for amount in amounts:
        so_far += amount
        now = refunded(sold, so_far) if terms is None else refunded(sold, so_far, terms)
        told.append(now.since(booked))
        booked = now
    return told


def test_49_99_in_three_refunds_cent_for_cent() -> None:
    sold = divide(WORKED, fees(rule(percent=10, fixed={"EUR": 30}))).lines[0]
    told = step_by_step(sold, 1000, 2000, 1999)
    assert [one.amounts.tax for one in told] == [174, 347, 347]
    assert [one.amounts.fee for one in told] == [100, 200, 200]
    assert [one.amounts.fee_tax for one in told] == [21, 42, 42]
    assert [one.amounts.seller_net for one in told] == [879, 1758, 1757]
    # 43.94 = the 43.79 that the seller got, the 0.12 fixed fee that is kept and its tax of 0.03.
    assert refunded(sold, 4999).amounts.seller_net == 4394
    assert refunded(sold, 4999, ALL).amounts == sold.amounts
    assert refunded(sold, 4999, NONE).amounts[7:9] == (0, 0)


def test_twenty_euro_of_the_first_line() -> None:
    sold = divide(WORKED, fees(rule(percent=10, fixed={"EUR": 30}))).lines[0]
    back = refunded(sold, 2000).amounts
    assert (back.tax, back.net, back.fee, back.fee_tax, back.seller_net) == (347, 1653, 200, 42, 1758)


def test_a_thousand_small_refunds_give_back_the_fee_and_not_twice_the_fee() -> None:
    sold = divide(basket(line("1", 4999, seller="US", rate=0)), fees(rule(percent=10))).lines[0]
    told = step_by_step(sold, *[5] * 999, 4)
    assert sum(one.amounts.fee for one in told) == 500 == sold.amounts.fee
    assert sum(one.amounts.seller_net for one in told) == sold.amounts.seller_net


@pytest.mark.parametrize(
    ("back", "fee"),
    [(0, 0), (500, 40), (1000, 80), (1500, 130), (2000, 180)],
)
def test_a_refund_goes_back_through_the_tiers_of_the_sale_the_last_first(back: int, fee: int) -> None:
    ladder = Tiers(TierMode.GRADUATED, Period.MONTH, (Tier({}, Decimal(10)), Tier({"EUR": 1_000_000}, Decimal(8))))
    terms = fees(rule(tiers=ladder), volumes={"US": {Period.MONTH: 999_000}})
    sold = divide(basket(line("1", 2000, seller="US", rate=0)), terms).lines[0]
    assert sold.amounts.fee == 180
    assert refunded(sold, back).amounts.fee == fee


def test_a_fee_at_its_least_keeps_what_the_percentage_does_not_explain() -> None:
    sold = divide(basket(line("1", 100, seller="US", rate=0)), fees(rule(percent=10, minimum={"EUR": 50}))).lines[0]
    assert [refunded(sold, back).amounts.fee for back in (0, 50, 100)] == [0, 5, 10]


def test_a_fee_at_its_most_goes_back_in_proportion() -> None:
    sold = divide(basket(line("1", 9000, seller="US", rate=0)), fees(rule(percent=10, maximum={"EUR": 800}))).lines[0]
    assert [refunded(sold, back).amounts.fee for back in (0, 4500, 9000)] == [0, 400, 800]


def test_a_fee_with_its_tax_included_goes_back_with_its_tax() -> None:
    terms = fees(rule(percent=10, fixed={"EUR": 30}, tax_mode=FeeTaxMode.INCLUSIVE))
    sold = divide(basket(line("1", 12100)), terms).lines[0]
    assert (sold.amounts.fee, sold.amounts.fee_tax) == (1025, 215)
    # 6.35 is kept of half the line: 6.05 and 0.30, of which 1.10 is tax.
    half = refunded(sold, 6050).amounts
    assert (half.fee, half.fee_tax) == (1025 - 525, 215 - 110)
    whole = refunded(sold, 12100).amounts
    assert (whole.fee, whole.fee_tax) == (1025 - 25, 215 - 5)


def test_half_a_sale_with_everything_in_it() -> None:
    terms = fees(
        rule(percent=10),
        rule("service", 4, stack="service", payer=FeePayer.BUYER),
        rule("card", 2, stack="card", kind=FeeKind.PROCESSOR),
        rule("affiliate", 5, stack="affiliate", kind=FeeKind.PART, recipient="seller_aff"),
    )
    whole = basket(line("1", 12100), discounts=(Discount("gift", percent=Decimal(10), platform_percent=Decimal(100)),))
    decision = LineTax(
        Decimal(21), Liable.PLATFORM, "x", jurisdiction="NL", withheld=(Withholding("scheme", Decimal(1), "y"),)
    )
    sold = split_decided(whole, terms, tax(), decisions(whole, tax(), {"1": decision})).lines[0]
    assert sold.amounts.charged == 10890 + 484 + 102
    half = refunded(sold, 6050, ALL)
    back = half.amounts
    assert (back.tax, back.deemed_tax, back.withheld, back.promo) == (1050, 1050, 50, 605)
    assert (back.fee, back.fee_tax, back.buyer_fee, back.buyer_fee_tax) == (605, 127, 242, 51)
    assert (back.processor_fee, back.passed_on) == (121, 302)
    assert back.seller_net == 6050 - 605 - 127 - 1050 - 50 - 121 - 302
    assert back.charged == 6050 - 605 + 242 + 51
    assert [(fee.stack, fee.amount) for fee in half.fees] == [
        ("commission", 605),
        ("service", 242),
        ("card", 121),
        ("affiliate", 302),
    ]
    assert half.withholdings == (("scheme", 50),)
    assert refunded(sold, 6050).amounts.processor_fee == 0
    assert refunded(sold, 12100).amounts.processor_fee == 0
    assert refunded(sold, 12100, ALL).amounts == sold.amounts


@pytest.mark.parametrize("gross", [-1, 101])
def test_no_more_is_refunded_than_was_sold(gross: int) -> None:
    sold = divide(basket(line("1", 100)), fees(rule())).lines[0]
    with pytest.raises(RefundAboveLine) as refusal:
        refunded(sold, gross)
    assert (refusal.value.refunded, refusal.value.gross) == (gross, 100)


@given(plan=sales(), data=st.data())
def test_a_sale_refunded_whole_in_any_cut_leaves_nothing(plan: SplitPlan, data: st.DataObject) -> None:
    for sold in plan.lines:
        gross = sold.amounts.gross
        cuts = sorted({0, *data.draw(st.lists(st.integers(0, gross), max_size=4)), gross})
        booked = refunded(sold, 0, ALL)
        sums = booked.amounts
        for so_far in cuts:
            now = refunded(sold, so_far, ALL)
            sums = type(sums)(*map(sum, zip(sums, now.since(booked).amounts, strict=True)))
            booked = now
        assert sums == sold.amounts
        assert [(back.amount, back.tax) for back in booked.fees] == [(fee.amount, fee.tax) for fee in sold.fees]
        assert booked.withholdings == sold.withholdings


@given(plan=sales(), data=st.data())
def test_no_amount_of_a_refund_is_more_than_was_sold_or_falls_again(plan: SplitPlan, data: st.DataObject) -> None:
    terms = FeesReturned(*(data.draw(st.booleans()) for _ in range(3)))
    for sold in plan.lines:
        low, high = sorted(data.draw(st.integers(0, sold.amounts.gross)) for _ in range(2))
        first, second = refunded(sold, low, terms).amounts, refunded(sold, high, terms).amounts
        for name in sold.amounts._fields:
            if name in ("seller_net", "received", "fee_tax", "buyer_fee_tax", "fee", "buyer_fee"):
                continue
            assert 0 <= getattr(first, name) <= getattr(second, name) <= getattr(sold.amounts, name), name
        assert 0 <= first.fee + first.fee_tax <= second.fee + second.fee_tax
        for back in (first, second):
            assert back.gross == back.net + back.tax
            paid_out = back.fee + back.fee_tax + back.deemed_tax + back.withheld + back.processor_fee + back.passed_on
            assert back.gross == back.seller_net + paid_out
