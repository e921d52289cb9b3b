"""Where a part is taken from: never more than there is, and the sum is always the part."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.rules.clawback import Held, Standing, taking

T1, T2, T3 = (UUID(int=number) for number in (1, 2, 3))

HELD = st.builds(
    Held,
    st.uuids(),
    st.integers(0, 10_000),
    st.booleans(),
    st.just(False),
) | st.builds(Held, st.uuids(), st.integers(0, 10_000), st.just(False), st.just(True))
STANDINGS = st.builds(
    Standing,
    left=st.integers(0, 20_000),
    is_released=st.booleans(),
    is_planned=st.booleans(),
    unpaid=st.integers(0, 5_000),
    free=st.integers(0, 10_000),
    transfers=st.lists(HELD, max_size=4, unique_by=lambda one: one.transfer_id),
)


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        # Before release it is pending, after it payable; what the share does not hold is a debt.
        (Standing(4379, False, False, 0), (1758, 0, 0, 0)),
        (Standing(4379, True, False, 0), (0, 1758, 0, 0)),
        (Standing(1000, False, False, 0), (1000, 0, 0, 758)),
        # R2: transferred, and still in the seller's account.
        (Standing(4379, True, True, 4379, [Held(T1, 4379, False, False)]), (0, 0, 1758, 0)),
        # Half of it was paid out; all of it was.
        (Standing(4379, True, True, 1000, [Held(T1, 4379, False, False)]), (0, 0, 1000, 758)),
        (Standing(4379, True, True, 0, [Held(T1, 4379, False, False)]), (0, 0, 0, 1758)),
        # What was not sent comes first, and one under way brings its own money.
        (
            Standing(4379, True, True, 500, [Held(T2, 900, False, False), Held(T1, 600, True, False)]),
            (0, 600, 500, 658),
        ),
        (Standing(4379, True, True, 0, [Held(T1, 4379, False, True)]), (0, 0, 1758, 0)),
        (Standing(4379, True, True, 0, (), 1000), (0, 1000, 0, 758)),
        (Standing(4379, True, True, 500, [Held(T1, 500, False, False)], 1000), (0, 1000, 500, 258)),
    ],
)
def test_a_part_is_taken_where_it_is(standing: Standing, expected: tuple[int, int, int, int]) -> None:
    made = taking(1758, standing)
    assert (made.pending, made.payable, made.reverse, made.debt) == expected


def test_the_newest_transfer_is_reversed_first() -> None:
    transfers = [Held(T3, 100, False, False), Held(T2, 100, False, False), Held(T1, 100, True, False)]
    made = taking(250, Standing(300, True, True, 300, transfers))
    assert made.lowered == ((T1, 100),)
    assert made.reversed == ((T3, 100), (T2, 50))


@given(st.integers(0, 30_000), STANDINGS)
def test_nothing_is_taken_twice_and_nothing_is_lost(part: int, standing: Standing) -> None:
    made = taking(part, standing)
    assert made.pending + made.payable + made.reverse + made.debt == part
    assert min(made.own, made.pending, made.payable, made.reverse, made.debt) >= 0
    assert made.own <= standing.left
    left = {one.transfer_id: one.left for one in standing.transfers}
    under_way = {one.transfer_id for one in standing.transfers if one.under_way}
    for id, amount in (*made.lowered, *made.reversed):
        assert 0 < amount <= left[id]
    assert sum(amount for id, amount in made.reversed if id not in under_way) <= standing.free
    if standing.is_released and standing.is_planned:
        assert made.payable == sum(amount for _, amount in made.lowered) + made.unpaid
        assert 0 <= made.unpaid <= standing.unpaid
        assert made.reverse == sum(amount for _, amount in made.reversed)


def test_a_part_below_zero_is_a_defect() -> None:
    with pytest.raises(ValueError, match="not negative"):
        taking(-1, Standing(1, True, True, 1))
