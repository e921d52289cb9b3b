"""Rules of release, reserve and risk, with numbers worked out by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.rules.release import (
    Hold,
    HoldFrom,
    Record,
    ReleaseRule,
    ReleaseTerms,
    ReserveRule,
    RiskRule,
    RiskSign,
    hold_days_legal,
    sign_of,
)

CAPTURE, DELIVERY, APPROVAL = HoldFrom.CAPTURE, HoldFrom.DELIVERY, HoldFrom.APPROVAL
DEFAULT = Hold(CAPTURE, 7)
TERMS = ReleaseTerms(
    releases=(
        ReleaseRule(CAPTURE, 0, groups=frozenset({"trusted"})),
        ReleaseRule(APPROVAL, 0, groups=frozenset({"new"}), categories=frozenset({"travel"})),
        ReleaseRule(DELIVERY, 3, categories=frozenset({"travel"})),
    )
)


@pytest.mark.parametrize(
    ("groups", "categories", "hold"),
    [
        ([], ["goods"], DEFAULT),
        ([], ["travel"], Hold(DELIVERY, 3)),
        # Two lines under two rules: from the later event, for the longer time.
        ([], ["travel", "goods"], Hold(DELIVERY, 7)),
        (["new"], ["travel"], Hold(APPROVAL, 0)),
        (["new"], ["travel", "goods"], Hold(APPROVAL, 7)),
        # The first rule that fits holds.
        (["trusted", "new"], ["travel"], Hold(CAPTURE, 0)),
        # Who only receives a part of others' lines sells in no category.
        ([], [], DEFAULT),
    ],
)
def test_the_first_rule_that_fits_holds_and_of_a_share_the_strictest(
    groups: list[str], categories: list[str], hold: Hold
) -> None:
    assert TERMS.hold(groups, categories, DEFAULT) == hold


@pytest.mark.parametrize(
    ("percent", "amount", "already", "kept"),
    [
        # Worked numbers: 10 % of 43.79 are 4.379, rounded half away from zero.
        ("10", 4379, 0, 438),
        ("10", 4375, 0, 438),
        ("10", 4374, 0, 437),
        ("100", 4379, 0, 4379),
        # A cap of 20.00, of which there are 18.00 already.
        ("10", 4379, 1800, 200),
        ("10", 4379, 2000, 0),
        ("10", 4379, 2500, 0),
        ("0.01", 4379, 0, 0),
    ],
)
def test_a_reserve_keeps_its_percent_up_to_the_cap(percent: str, amount: int, already: int, kept: int) -> None:
    rule = ReserveRule(Decimal(percent), 90, cap={"EUR": 2000} if already else {})
    assert rule.kept(amount, currency="EUR", kept_already=already) == kept


@given(
    percent=st.decimals("0.0001", "100", places=4),
    amounts=st.lists(st.integers(0, 10**9), max_size=20),
    cap=st.integers(0, 10**9),
)
def test_a_reserve_is_never_more_than_the_sale_nor_together_than_the_cap(
    percent: Decimal, amounts: list[int], cap: int
) -> None:
    rule, kept = ReserveRule(percent, 90, cap={"EUR": cap}), 0
    for amount in amounts:
        more = rule.kept(amount, currency="EUR", kept_already=kept)
        assert 0 <= more <= amount
        kept += more
    assert kept <= cap


@given(
    rules=st.lists(
        st.builds(
            ReleaseRule,
            st.sampled_from(HoldFrom),
            st.integers(0, 90),
            groups=st.frozensets(st.sampled_from("ab")),
            categories=st.frozensets(st.sampled_from("xy")),
        ),
        max_size=5,
    ),
    groups=st.frozensets(st.sampled_from("ab")),
    categories=st.sets(st.sampled_from("xyz"), min_size=1),
)
def test_no_line_is_released_before_its_own_rule_lets_it_go(
    rules: list[ReleaseRule], groups: frozenset[str], categories: set[str]
) -> None:
    terms = ReleaseTerms(releases=tuple(rules))
    whole = terms.hold(groups, categories, DEFAULT)
    order = list(HoldFrom)
    for category in categories:
        line = terms.hold(groups, [category], DEFAULT)
        assert order.index(whole.start) >= order.index(line.start)
        assert whole.days >= line.days


@pytest.mark.parametrize(
    ("rule", "record", "seen"),
    [
        (RiskRule(RiskSign.NEW_SELLER, 30), Record(10, 3, 900, 0, 0), True),
        (RiskRule(RiskSign.NEW_SELLER, 30), Record(30, 3, 900, 0, 0), False),
        (RiskRule(RiskSign.NEW_SELLER, 30, minimum=4), Record(10, 3, 900, 0, 0), False),
        # 9,000.00 in ninety days are 700.00 in seven: three times that are 2,100.00.
        (RiskRule(RiskSign.VOLUME_SPIKE, 7, threshold=Decimal(3)), Record(400, 9, 210_000, 900_000, 0), True),
        (RiskRule(RiskSign.VOLUME_SPIKE, 7, threshold=Decimal(3)), Record(400, 9, 209_999, 900_000, 0), False),
        # Who sold nothing before has no usual.
        (RiskRule(RiskSign.VOLUME_SPIKE, 7, threshold=Decimal(3)), Record(400, 9, 210_000, 0, 0), False),
        (RiskRule(RiskSign.DISPUTE_RATE, 30, threshold=Decimal("0.75")), Record(400, 400, 9, 9, 3), True),
        (RiskRule(RiskSign.DISPUTE_RATE, 30, threshold=Decimal("0.75")), Record(400, 401, 9, 9, 3), False),
        (RiskRule(RiskSign.DISPUTE_RATE, 30, threshold=Decimal("0.75")), Record(400, 1, 9, 9, 0), False),
    ],
)
def test_signs_of_risk(rule: RiskRule, record: Record, seen: bool) -> None:
    said = sign_of(rule, record)
    assert (said is not None) is seen


def test_how_long_the_law_lets_money_be_held() -> None:
    assert [hold_days_legal(country) for country in ("NL", "US", "TH")] == [90, 730, 10]
