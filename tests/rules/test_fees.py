"""The fee: what the fixed part costs each line, how a rule is refused, and what a line can bear."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.errors import InvalidInput
from marketbill.money import AmountTooLarge, UnknownCurrency, round_ratio
from marketbill.rules.fees.charge import largest_fee
from marketbill.rules.fees.fixed import ChargedLine, FixedFeeMissing, fixed_shares
from marketbill.rules.fees.rule import FixedScope
from marketbill.rules.fees.schedule import FeeRule, Schedule
from marketbill.rules.fees.validity import FixedFeeNegative, RuleUnnamed, check_schedule
from marketbill.rules.rates import RateOutOfRange, RateTooPrecise, rate_parts
from marketbill.rules.tax.arithmetic import tax_on_top

LINES = [
    ChargedLine(id="A", seller_id="anna", quantity=1, gross=4999),
    ChargedLine(id="B", seller_id="ben", quantity=3, gross=3999),
    ChargedLine(id="C", seller_id="anna", quantity=2, gross=3102),
]


def rule(
    *,
    name: str = "standard",
    percent: str = "10",
    fixed: dict[str, int] | None = None,
    scope: FixedScope = FixedScope.ORDER,
) -> FeeRule:
    return FeeRule(name, percent=Decimal(percent), fixed={"EUR": 30} if fixed is None else fixed, fixed_scope=scope)


@pytest.mark.parametrize(
    ("scope", "shares"),
    [
        (FixedScope.ORDER, {"A": 12, "B": 10, "C": 8}),
        (FixedScope.SELLER_ORDER, {"A": 19, "B": 30, "C": 11}),
        (FixedScope.LINE, {"A": 30, "B": 30, "C": 30}),
        (FixedScope.UNIT, {"A": 30, "B": 90, "C": 60}),
    ],
)
def test_thirty_cents_by_scope(scope: FixedScope, shares: dict[str, int]) -> None:
    found = fixed_shares(rule(scope=scope), reference="fee:1@1/standard", currency="EUR", lines=LINES)
    assert {id: share.amount for id, share in found.items()} == shares


def test_a_currency_without_a_fixed_amount_is_refused_and_not_converted() -> None:
    with pytest.raises(FixedFeeMissing) as refusal:
        fixed_shares(rule(fixed={"EUR": 30, "USD": 35}), reference="fee:1@1/standard", currency="JPY", lines=LINES)
    assert refusal.value.path == ("currency",)
    assert (refusal.value.rule, refusal.value.currency) == ("fee:1@1/standard", "JPY")


def test_a_rule_without_any_fixed_amount_has_no_fixed_part_in_every_currency() -> None:
    found = fixed_shares(rule(fixed={}), reference="fee:1@1/standard", currency="JPY", lines=LINES)
    assert [share.amount for share in found.values()] == [0, 0, 0]


def test_a_fixed_amount_of_zero_is_an_amount() -> None:
    found = fixed_shares(rule(fixed={"EUR": 30, "JPY": 0}), reference="fee:1@1/standard", currency="JPY", lines=LINES)
    assert [share.amount for share in found.values()] == [0, 0, 0]


@pytest.mark.parametrize(
    ("changes", "error", "path"),
    [
        ({"percent": "-1"}, RateOutOfRange, ("percent",)),
        ({"percent": "100.0001"}, RateOutOfRange, ("percent",)),
        ({"percent": "NaN"}, RateOutOfRange, ("percent",)),
        ({"percent": "2.90001"}, RateTooPrecise, ("percent",)),
        ({"fixed": {"EUR": -1}}, FixedFeeNegative, ("fixed", "EUR")),
        ({"fixed": {"EUR": 10**15 + 1}}, AmountTooLarge, ("fixed", "EUR")),
        ({"fixed": {"EUR": 30, "XXX": 1}}, UnknownCurrency, ("fixed", "XXX")),
        ({"name": ""}, RuleUnnamed, ("name",)),
        ({"name": "x" * 101}, RuleUnnamed, ("name",)),
    ],
)
def test_a_rule_that_cannot_be_charged_is_refused(
    changes: dict[str, object], error: type[InvalidInput], path: tuple[str, ...]
) -> None:
    with pytest.raises(error) as refusal:
        check_schedule(Schedule("fee_1", 1, (rule(**changes),)))  # pyright: ignore[reportArgumentType]
    assert refusal.value.path == ("rules", "0", *path)


@pytest.mark.parametrize(
    ("pays", "rate", "fee"),
    [
        (35, "21", 29),
        (35, "0", 35),
        (121, "21", 100),
        (100, "100", 50),
        (1, "100", 0),
        (1, "21", 1),
        (1, "49.9999", 1),
        (1, "50", 0),
    ],
)
def test_the_largest_fee_a_line_can_bear(pays: int, rate: str, fee: int) -> None:
    assert largest_fee(pays=pays, rate=rate_parts(Decimal(rate))) == fee


@given(pays=st.integers(min_value=0, max_value=10**15), percent=st.decimals(min_value=0, max_value=100, places=4))
def test_the_largest_fee_fits_with_its_tax_and_one_unit_more_does_not(pays: int, percent: Decimal) -> None:
    rate = rate_parts(percent)
    fee = largest_fee(pays=pays, rate=rate)
    assert fee + round_ratio(*tax_on_top(net=fee, rate=rate)) <= pays
    assert fee + 1 + round_ratio(*tax_on_top(net=fee + 1, rate=rate)) > pays
