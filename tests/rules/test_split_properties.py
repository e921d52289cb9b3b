"""What holds for every sale that can be split, whatever the amounts, rates, scopes and currencies."""

import ast
import json
import operator
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from marketbill.money import round_half_away
from marketbill.rules.basket import Basket, BasketLine
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope
from marketbill.rules.fees.schedule import FeeBase, FeeRule, Schedule
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.plan import FEE_BOUNDED
from marketbill.rules.split import split
from marketbill.rules.tax.parties import PlatformTax, SellerTax
from marketbill.rules.tax.terms import TaxTerms

SELLER_IDS = ("anna", "ben", "chris", "dora")
COUNTRIES = ("NL", "DE", "FR", "GB", "US", "GR")

rates = st.decimals(min_value=0, max_value=100, places=4) | st.sampled_from([Decimal(0), Decimal(21), Decimal("5.5")])


@st.composite
def baskets(draw: st.DrawFn) -> Basket:
    ids = draw(st.lists(st.text(min_size=1, max_size=5, alphabet="abc123"), min_size=1, max_size=8, unique=True))
    lines = tuple(
        BasketLine(
            id=id,
            seller_id=draw(st.sampled_from(SELLER_IDS)),
            description="",
            category="",
            quantity=draw(st.integers(min_value=1, max_value=50)),
            unit_price=draw(st.integers(min_value=1, max_value=60) | st.integers(min_value=1, max_value=10**11)),
            tax_rate=draw(rates),
            tax_inclusive=draw(st.booleans()),
        )
        for id in ids
    )
    return Basket(currency=draw(st.sampled_from(["EUR", "JPY", "KWD"])), lines=lines)


@st.composite
def all_terms(draw: st.DrawFn) -> tuple[FeeTerms, TaxTerms]:
    fixed = draw(st.integers(min_value=0, max_value=500))
    rule = FeeRule(
        "commission",
        percent=draw(rates),
        fixed=draw(st.sampled_from([{}, {"EUR": fixed, "JPY": fixed, "KWD": fixed}])),
        fixed_scope=draw(st.sampled_from(FixedScope)),
        base=draw(st.sampled_from(FeeBase)),
        tax_mode=draw(st.sampled_from(FeeTaxMode)),
    )
    sellers = {
        id: SellerTax(country=draw(st.sampled_from(COUNTRIES)), vat_number_valid=draw(st.booleans()))
        for id in SELLER_IDS
    }
    platform = PlatformTax(country=draw(st.sampled_from(COUNTRIES)), rate=draw(rates))
    schedule = Schedule("any", draw(st.integers(min_value=1, max_value=9)), (rule,))
    return FeeTerms(schedule, at=datetime(2026, 3, 1, tzinfo=UTC)), TaxTerms(platform=platform, sellers=sellers)


@given(basket=baskets(), terms=all_terms())
def test_nothing_is_lost_and_nobody_pays_to_sell(basket: Basket, terms: tuple[FeeTerms, TaxTerms]) -> None:
    plan = split(basket, *terms)
    rule = terms[0].schedule.rules[0]
    for line in plan.lines:
        part, fee = line.amounts, line.fees[0]
        assert part.gross == part.net + part.tax == part.seller_net + part.fee + part.fee_tax
        assert min(part.seller_net, part.fee, part.fee_tax, fee.percent_part, fee.fixed_part) >= 0
        inclusive = rule.tax_mode is FeeTaxMode.INCLUSIVE
        assert fee.percent_part + fee.fixed_part == part.fee + (part.fee_tax if inclusive else 0)
    for name in ("gross", "tax", "net", "fee", "fee_tax", "seller_net"):
        total = getattr(plan.totals, name)
        assert total == sum(getattr(line.amounts, name) for line in plan.lines)
        assert total == sum(getattr(share.totals, name) for share in plan.sellers)
    assert len({share.seller_id for share in plan.sellers}) == len(plan.sellers)


@given(basket=baskets(), terms=all_terms())
def test_a_shared_fixed_amount_is_given_out_whole_where_no_line_is_too_small(
    basket: Basket, terms: tuple[FeeTerms, TaxTerms]
) -> None:
    plan = split(basket, *terms)
    if any(FEE_BOUNDED in part.flags for part in plan.lines):
        return
    rule = terms[0].schedule.rules[0]
    amount = rule.fixed.get(basket.currency, 0)
    times = {
        FixedScope.ORDER: 1,
        FixedScope.SELLER_ORDER: len(plan.sellers),
        FixedScope.LINE: len(plan.lines),
        FixedScope.UNIT: sum(line.quantity for line in basket.lines),
    }[rule.fixed_scope]
    assert sum(part.fees[0].fixed_part for part in plan.lines) == amount * times


@given(basket=baskets(), terms=all_terms(), data=st.data())
def test_the_order_of_the_lines_changes_no_line(
    basket: Basket, terms: tuple[FeeTerms, TaxTerms], data: st.DataObject
) -> None:
    shuffled = Basket(currency=basket.currency, lines=tuple(data.draw(st.permutations(basket.lines))))
    by_id = {part.line_id: part for part in split(basket, *terms).lines}
    assert {part.line_id: part for part in split(shuffled, *terms).lines} == by_id


@given(basket=baskets(), terms=all_terms())
def test_the_trace_recomputes_every_amount_after_a_trip_through_json(
    basket: Basket, terms: tuple[FeeTerms, TaxTerms]
) -> None:
    plan = split(basket, *terms)
    trace = json.loads(json.dumps(plan.to_trace()))
    assert trace == plan.to_trace()
    for line in trace["lines"]:
        recomputed = {step["name"]: _recompute(step) for step in line["explanation"]}
        told = {name: amount for name, amount in recomputed.items() if name in line}
        assert told == {name: line[name] for name in told}
        assert set(told) == {"gross", "tax", "net", "fee", "fee_tax", "seller_net"}
        for fee in line["fees"]:
            for name in ("percent_part", "fixed_part", "amount", "tax"):
                assert recomputed[f"{fee['stack']}.{name}"] == fee[name]
    assert trace["totals"]["gross"] == sum(line["gross"] for line in trace["lines"])
    assert trace["schedule"] == {"id": "any", "version": terms[0].schedule.version}


def _recompute(step: dict[str, Any]) -> int:
    """The amount of a step from its formula alone; where lines compete for a unit, that it is within one of exact."""
    exact = _evaluate(ast.parse(step["formula"], mode="eval").body)
    assert exact == Fraction(step["exact"])
    match step["rounding"]:
        case "NONE":
            assert exact.denominator == 1
            return int(exact)
        case "HALF_AWAY":
            return round_half_away(exact)
        case _:
            assert abs(step["rounded"] - exact) < 1
            return step["rounded"]


_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _evaluate(node: ast.expr) -> Fraction:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_evaluate(left), _evaluate(right))
        case ast.Constant(value=int() | float() as number):
            return Fraction(str(number))
    raise AssertionError(ast.dump(node))
