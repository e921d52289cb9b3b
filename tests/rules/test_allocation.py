"""Sharing out an amount keeps every cent and does not depend on the order of the lines."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.rules.allocation import allocate

totals = st.integers(min_value=-(10**15), max_value=10**15)
weightings = st.dictionaries(
    st.text(min_size=1, max_size=4), st.integers(min_value=0, max_value=10**12), min_size=1, max_size=30
).filter(lambda weights: sum(weights.values()) > 0)


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (30, {"A": 4999, "B": 3999, "C": 3102}, {"A": 12, "B": 10, "C": 8}),
        (-30, {"A": 4999, "B": 3999, "C": 3102}, {"A": -12, "B": -10, "C": -8}),
        (726, {"A": 4999, "B": 3999, "C": 3102}, {"A": 300, "B": 240, "C": 186}),
        (100, {"a": 1, "b": 1, "c": 1}, {"a": 34, "b": 33, "c": 33}),
        (100, {"c": 1, "b": 1, "a": 1}, {"c": 33, "b": 33, "a": 34}),
        (2, {"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": 0}),
        (1, {"a": 0, "b": 5}, {"a": 0, "b": 1}),
        (0, {"a": 3, "b": 5}, {"a": 0, "b": 0}),
        (0, {}, {}),
        (7, {"only": 3}, {"only": 7}),
    ],
)
def test_shares_by_hand(total: int, weights: dict[str, int], shares: dict[str, int]) -> None:
    assert allocate(total, weights) == shares


@given(total=totals, weights=weightings)
def test_shares_sum_to_the_total_and_are_within_one_unit_of_exact(total: int, weights: dict[str, int]) -> None:
    shares = allocate(total, weights)
    assert sum(shares.values()) == total
    assert list(shares) == list(weights)
    weight_sum = sum(weights.values())
    for id, share in shares.items():
        assert abs(share - Fraction(total * weights[id], weight_sum)) < 1


@given(total=totals, weights=weightings, data=st.data())
def test_the_order_of_the_lines_moves_no_cent(total: int, weights: dict[str, int], data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(weights.items()))))
    assert allocate(total, shuffled) == allocate(total, weights)


@given(total=totals, weights=weightings)
def test_a_negative_total_mirrors_the_positive_one(total: int, weights: dict[str, int]) -> None:
    assert allocate(-total, weights) == {id: -share for id, share in allocate(total, weights).items()}


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": -1, "b": 2}])
def test_weights_that_mean_nothing_are_a_defect_of_the_caller(weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"weight|nothing"):
        allocate(1, weights)
