"""The ladder of a debt: dates as data."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.errors import InvalidInput
from marketbill.rules.debt_ladder import DEFAULT, Ladder, Step, checked_days

BEGUN = datetime(2026, 1, 1, 12, tzinfo=UTC)


def due(days: int, *taken: Step, owed: int = 100, ladder: Ladder = DEFAULT) -> list[Step]:
    now = BEGUN + timedelta(days=days)
    return [one.step for one in ladder.due(BEGUN, taken, now, owed=owed, currency="EUR")]


def test_the_built_in_days() -> None:
    assert [(one.step, (one.due_at - BEGUN).days) for one in DEFAULT.plan(BEGUN)] == [
        (Step.NETTING, 0),
        (Step.NOTICE, 7),
        (Step.DEBIT, 14),
        (Step.RECEIVABLE, 30),
        (Step.SUSPENSION, 60),
        (Step.WRITE_OFF, 120),
    ]


def test_steps_are_due_once_and_those_that_were_missed_together() -> None:
    assert due(0) == [Step.NETTING]
    assert due(6, Step.NETTING) == []
    assert due(7, Step.NETTING) == [Step.NOTICE]
    assert due(31, Step.NETTING, Step.NOTICE) == [Step.DEBIT, Step.RECEIVABLE]
    assert DEFAULT.next_after(BEGUN, [Step.NETTING]) == BEGUN + timedelta(days=7)
    assert DEFAULT.next_after(BEGUN, list(Step)) is None


def test_above_the_limit_the_suspension_does_not_wait() -> None:
    ladder = Ladder(DEFAULT.days, {"EUR": 5000})
    assert due(0, owed=5000, ladder=ladder) == [Step.NETTING]
    assert due(0, owed=5001, ladder=ladder) == [Step.NETTING, Step.SUSPENSION]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ([], ("steps",)),
        ([(Step.NOTICE, 7)], ("steps",)),
        ([(Step.NETTING, 1)], ("steps",)),
        ([(Step.NETTING, 0), (Step.NOTICE, 7), (Step.NOTICE, 8)], ("steps",)),
        ([(Step.NETTING, 0), (Step.DEBIT, 7), (Step.NOTICE, 8)], ("steps",)),
        ([(Step.NETTING, 0), (Step.NOTICE, 7), (Step.DEBIT, 6)], ("steps", "2", "days")),
        ([(Step.NETTING, 0), (Step.NOTICE, 3651)], ("steps", "1", "days")),
    ],
)
def test_a_ladder_that_makes_no_sense_is_refused(given: list[tuple[Step, int]], path: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_days(given)
    assert refused.value.path == path


@given(st.lists(st.integers(0, 200), max_size=20))
def test_however_often_it_is_looked_at_each_step_is_taken_once(days: list[int]) -> None:
    taken: list[Step] = []
    for day in sorted(days):
        taken += due(day, *taken)
    assert taken == [step for step, at in DEFAULT.days.items() if days and at <= max(days)]
