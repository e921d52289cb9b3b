"""Returns on one line by hand, and what holds for every way to cut them."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rules.anything import sales
from tests.rules.shop import WORKED, basket, decisions, divide, fees, line, rule, tax

from marketbill.rules.basket import Discount
from marketbill.rules.fees.schedule import FeeKind, FeePayer
from marketbill.rules.line_return import (
    AboveRest,
    Amounts,
    LineState,
    QuantityAboveLine,
    booked,
    give,
    give_all,
    give_pieces,
    give_tax,
    moved,
    rest,
)
from marketbill.rules.plan import LinePlan, SplitPlan
from marketbill.rules.refunds import BY_DEFAULT, FeesReturned
from marketbill.rules.split import split_decided
from marketbill.rules.tax.line_tax import Liable, LineTax

A = divide(WORKED, fees(rule(percent=10, fixed={"EUR": 30}))).lines[0]


class Booked:
    """The returns of a line, one after the other."""

    def __init__(self, line: LinePlan, terms: FeesReturned = BY_DEFAULT) -> None:
        self.line, self.terms, self.state = line, terms, LineState()
        self.carry: Amounts = {}
        self.sums: Amounts = {}
        self.bought: list[Amounts] = []

    def to(self, after: LineState) -> Amounts:
        exact = moved(self.line, self.state, after, self.terms)
        made, added = booked(exact, self.carry)
        for sums, amounts in ((self.sums, made), (self.carry, added)):
            for name, amount in amounts.items():
                sums[name] = sums.get(name, 0) + amount
        got = after.paid - self.state.paid
        assert got == sum(amount for name, amount in made.items() if name not in ("promo", "tax", "net")) - made.get(
            "promo", 0
        )
        assert min([0, *(amount for name, amount in made.items() if name not in ("rounding", "tax", "net"))]) == 0
        self.state = after
        return made

    def give(self, amount: int) -> Amounts:
        return self.to(give(self.line, self.state, amount, self.terms))


def test_the_worked_refund_and_the_49_99_in_three() -> None:
    made = Booked(A).give(2000)
    assert made == {"seller": 1758, "fee": 200, "fee_tax": 42, "tax": 347, "net": 1653}
    parts = Booked(A)
    told = [parts.give(amount) for amount in (1000, 2000, 1999)]
    assert [one["seller"] for one in told] == [879, 1758, 1757]
    assert [one["fee"] for one in told] == [100, 200, 200]
    assert [one["fee_tax"] for one in told] == [21, 42, 42]
    assert [one["tax"] for one in told] == [174, 347, 347]


def test_a_thousand_refunds_of_five_cents_are_one_of_fifty_euro() -> None:
    sold = divide(basket(line("1", 12100)), fees(rule(percent=10))).lines[0]
    many, one = Booked(sold), Booked(sold)
    for _ in range(1000):
        many.give(5)
    one.give(5000)
    assert many.sums == one.sums
    assert one.sums == {"seller": 4395, "fee": 500, "fee_tax": 105, "tax": 868, "net": 4132}


def test_pieces_make_the_line_and_no_more() -> None:
    sold = divide(basket(line("1", 3333, quantity=3)), fees(rule(percent=10))).lines[0]
    made, state = [], LineState()
    for _ in range(3):
        after = give_pieces(sold, state, 1, 3, BY_DEFAULT)
        made.append(after.paid - state.paid)
        state = after
    assert (made, state.gross, rest(sold, state, BY_DEFAULT)) == ([3333, 3333, 3333], 9999, 0)
    with pytest.raises(QuantityAboveLine):
        give_pieces(sold, state, 1, 3, BY_DEFAULT)


def test_the_tax_alone_and_then_the_price_without_it() -> None:
    # 20.00 of 49.99 first: 3.47 of the 8.68 tax went with it, 5.21 is left.
    case = Booked(A)
    case.give(2000)
    assert case.to(give_tax(A, case.state, BY_DEFAULT)) == {"seller": 521, "tax": 521}
    assert give_tax(A, case.state, BY_DEFAULT) == case.state
    assert rest(A, case.state, BY_DEFAULT) == 4999 - 2000 - 521
    case.to(give_all(A, case.state, BY_DEFAULT))
    assert case.state.paid == 4999
    assert case.sums == {"seller": 4394, "fee": 500, "fee_tax": 105, "tax": 868, "net": 4131}


def test_goodwill_is_counted_apart_and_bounds_what_is_left() -> None:
    after = give(A, LineState(), 1000, None)
    assert after == LineState(goodwill=1000)
    assert moved(A, LineState(), after, None) == {"goodwill": 1000}
    assert rest(A, after, BY_DEFAULT) == 3999
    with pytest.raises(AboveRest):
        give(A, after, 4000, BY_DEFAULT)
    assert give_all(A, after, BY_DEFAULT).paid == 3999


def _buyer_pays_a_part() -> LinePlan:
    terms = fees(
        rule(percent=10),
        rule("service", 4, stack="service", payer=FeePayer.BUYER),
        rule("affiliate", 5, stack="affiliate", kind=FeeKind.PART, recipient="seller_aff"),
    )
    whole = basket(line("1", 12100), discounts=(Discount("gift", percent=Decimal(10), platform_percent=Decimal(100)),))
    decision = LineTax(Decimal(21), Liable.PLATFORM, "x", jurisdiction="NL")
    return split_decided(whole, terms, tax(), decisions(whole, tax(), {"1": decision})).lines[0]


def test_a_line_that_the_platform_discounts_goes_back_by_what_the_buyer_paid() -> None:
    sold = _buyer_pays_a_part()
    assert sold.amounts.charged == 10890 + 484 + 102
    case = Booked(sold)
    for _ in range(20):
        case.give(537)
    case.to(give_all(sold, case.state, BY_DEFAULT))
    assert case.state == LineState(gross=12100, paid=11476)
    expected = {"fee": 1210, "fee_tax": 254, "buyer_fee": 484, "buyer_fee_tax": 102, "promo": 1210, "deemed": 2100}
    assert expected.items() <= case.sums.items()
    assert case.sums["part:seller_aff"] == sold.amounts.passed_on
    assert case.sums["seller"] == sold.amounts.seller_net


def test_a_return_that_is_taken_back_out_of_order_leaves_no_cent() -> None:
    case = Booked(A)
    first = case.give(1003)
    between = case.state
    case.give(1003)
    undone = case.state.minus(between)
    taken = {name: -amount for name, amount in first.items()}
    exact = moved(A, case.state, undone, BY_DEFAULT)
    for name in {*taken, *exact}:
        case.sums[name] = case.sums.get(name, 0) + taken.get(name, 0)
        case.carry[name] = case.carry.get(name, 0) + taken.get(name, 0) - exact.get(name, 0)
    case.state = undone
    case.to(give_all(A, case.state, BY_DEFAULT))
    assert case.sums == {"seller": 4394, "fee": 500, "fee_tax": 105, "tax": 868, "net": 4131}


@given(plan=sales(), data=st.data())
def test_any_sale_in_any_cut_goes_back_whole_and_nobody_gives_less_than_nothing(
    plan: SplitPlan, data: st.DataObject
) -> None:
    terms = FeesReturned(*(data.draw(st.booleans()) for _ in range(3)))
    for sold in plan.lines:
        cut: Any = Booked(sold, terms)
        for _ in range(data.draw(st.integers(0, 4))):
            if data.draw(st.booleans()) and not cut.state.untaxed:
                cut.to(give_tax(sold, cut.state, terms)) if sold.amounts.tax else None
            cut.give(data.draw(st.integers(0, rest(sold, cut.state, terms))))
        cut.to(give_all(sold, cut.state, terms))
        whole = Booked(sold, terms)
        whole.to(give_all(sold, whole.state, terms))
        assert cut.state.paid == whole.state.paid <= sold.amounts.charged
        assert cut.state.gross == sold.amounts.gross
        left = {name: amount for name, amount in cut.carry.items() if amount}
        assert {
            name: amount - left.get(name, 0) for name, amount in cut.sums.items() if amount - left.get(name, 0)
        } == {
            name: amount - whole.carry.get(name, 0)
            for name, amount in whole.sums.items()
            if amount - whole.carry.get(name, 0)
        }
