"""The course of a dispute, and what its movements mean: by hand, and for any order of what is told."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.rules.disputes import (
    OVER,
    DisputeStatus,
    Movement,
    Outcome,
    disputed_part,
    follows,
    movement_of,
    outcome,
    status_of,
)

#: Every way a dispute goes, as the provider says it.
COURSES = (
    ("warning_needs_response", "warning_under_review", "warning_closed"),
    ("warning_needs_response", "warning_under_review", "needs_response", "under_review", "won"),
    ("needs_response", "lost"),
    ("needs_response", "under_review", "lost", "appeal_needs_response", "appeal_under_review", "won"),
    ("needs_response", "prevented"),
)


@pytest.mark.parametrize(
    ("amount", "fee", "movement"),
    [
        (-10_100, 2_000, Movement.WITHDRAWN),
        (-10_100, 0, Movement.WITHDRAWN),
        (0, 2_000, Movement.COUNTERED),
        (10_100, -2_000, Movement.GIVEN_BACK),
        (0, -2_000, Movement.GIVEN_BACK),
        (0, 0, None),
    ],
)
def test_a_movement_is_known_by_its_signs(amount: int, fee: int, movement: Movement | None) -> None:
    assert movement_of(amount=amount, fee=fee) is movement


@pytest.mark.parametrize("course", COURSES[:4])
def test_a_course_goes_on_and_never_back(course: tuple[str, ...]) -> None:
    for before, after in pairwise(course):
        assert follows(after, before)
        assert (before == "lost") or not follows(before, after)


@given(st.sampled_from(COURSES[:3]), st.data())
def test_whatever_is_heard_first_the_newest_word_stands(course: tuple[str, ...], data: st.DataObject) -> None:
    heard = data.draw(st.permutations(range(len(course))))
    known: str | None = None
    for place in heard:
        if follows(course[place], known):
            known = course[place]
    assert known == course[-1]


def test_an_appeal_that_is_lost_ends_as_it_began() -> None:
    assert follows("lost", "appeal_under_review")


@pytest.mark.parametrize(
    ("told", "won", "status"),
    [
        ("won", 10_100, DisputeStatus.WON),
        ("won", 4_000, DisputeStatus.PARTLY_WON),
        ("won", 0, DisputeStatus.WON),
        ("lost", 0, DisputeStatus.LOST),
        ("appeal_needs_response", 0, DisputeStatus.NEEDS_RESPONSE),
        ("warning_closed", 0, DisputeStatus.INQUIRY_CLOSED),
    ],
)
def test_the_state_is_by_the_word_and_by_what_came_back(told: str, won: int, status: DisputeStatus) -> None:
    assert status_of(told, amount=10_100, won=won) is status


def _outcome(status: DisputeStatus, **changes: int | bool) -> Outcome | None:
    said = {"amount": 10_000, "won": 0, "withdrawn": 10_000, "reinstated": 0, "converted": False}
    return outcome(status, **(said | changes))  # type: ignore[arg-type]


def test_what_is_lost() -> None:
    assert _outcome(DisputeStatus.LOST) == Outcome(10_000, 10_000, 0)
    assert _outcome(DisputeStatus.PARTLY_WON, won=4_000, reinstated=4_000) == Outcome(6_000, 6_000, 0)
    assert _outcome(DisputeStatus.WON, won=10_000, reinstated=10_000) == Outcome(0, 0, 0)


def test_nothing_is_known_before_the_money_is() -> None:
    assert _outcome(DisputeStatus.UNDER_REVIEW) is None
    assert _outcome(DisputeStatus.WON) is None
    assert _outcome(DisputeStatus.LOST, withdrawn=0) is None
    assert _outcome(DisputeStatus.INQUIRY_CLOSED, withdrawn=0) is None


def test_a_rate_that_moved_is_no_part_of_what_is_lost() -> None:
    """USD 100.00 was withdrawn as EUR 90.00, and came back as EUR 92.00: a gain of EUR 2.00. A part of USD 40.00 came
    back as 36.80: of the 90.00 the USD 60.00 are 54.00, and 0.80 more than 36.00 came for the rest."""
    whole = _outcome(DisputeStatus.WON, won=10_000, withdrawn=9_000, reinstated=9_200, converted=True)
    assert whole == Outcome(0, 0, -200)
    part = _outcome(DisputeStatus.PARTLY_WON, won=4_000, withdrawn=9_000, reinstated=3_680, converted=True)
    assert part == Outcome(6_000, 5_400, -80)


def test_a_converted_movement_in_the_currency_of_the_sale() -> None:
    assert disputed_part(moved=-9_000, rate=Decimal("0.9"), amount=10_000) == -10_000
    assert disputed_part(moved=-8_999, rate=Decimal("0.9"), amount=10_000) == -10_000  # nearly all of it is all of it
    assert disputed_part(moved=3_600, rate=Decimal("0.9"), amount=10_000) == 4_000
    assert disputed_part(moved=-10_000, rate=None, amount=10_000) == -10_000


@given(
    st.integers(1, 10**9),
    st.integers(0, 10**9),
    st.integers(1, 10**9),
    st.integers(1, 10**9),
    st.booleans(),
)
def test_the_parts_of_an_outcome_are_what_moved(
    amount: int, won: int, withdrawn: int, reinstated: int, converted: bool
) -> None:
    won = min(won, amount)
    status = DisputeStatus.WON if won == amount else DisputeStatus.PARTLY_WON
    ended = outcome(status, amount=amount, won=won, withdrawn=withdrawn, reinstated=reinstated, converted=converted)
    assert ended is not None
    assert ended.taken + ended.difference == withdrawn - reinstated
    assert ended.lost == amount - won
    assert converted or ended.difference == 0


def test_what_is_over() -> None:
    assert {status_of(told, amount=1, won=0) for told in ("won", "lost", "warning_closed", "prevented")} <= OVER
