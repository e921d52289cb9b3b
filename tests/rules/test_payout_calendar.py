"""When payouts are made: hand-computed dates, and what holds of all of them."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.errors import InvalidInput
from marketbill.payouts import calendar, terms
from marketbill.rules.payout_calendar import Adjust, Interval, Terms, instant, next_due, upcoming


def open_always(day: date) -> None:
    return None


def weekend(day: date) -> str | None:
    return day.strftime("%A") if day.isoweekday() > 5 else None


def target(day: date) -> str | None:
    return calendar.closed(("TARGET2",), day)


def days(of: Terms, after: str, closed: object, number: int) -> list[str]:
    start = datetime.fromisoformat(after).replace(tzinfo=UTC)
    return [due.on.isoformat() for due in upcoming(of, start, closed, number)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of", "closed", "expected"),
    [
        (Terms(Interval.DAILY), open_always, ["2026-04-02", "2026-04-03", "2026-04-04"]),
        # Good Friday, the weekend and Easter Monday are closed.
        (Terms(Interval.DAILY), target, ["2026-04-02", "2026-04-07", "2026-04-08"]),
        (Terms(Interval.WEEKLY, weekdays=(5,)), target, ["2026-04-07", "2026-04-10", "2026-04-17"]),
        (
            Terms(Interval.WEEKLY, weekdays=(5,), adjust=Adjust.PRECEDING),
            target,
            ["2026-04-02", "2026-04-10", "2026-04-17"],
        ),
        (Terms(Interval.MONTHLY, days=(31,)), open_always, ["2026-04-30", "2026-05-31", "2026-06-30"]),
        (Terms(Interval.MONTHLY, days=(31,)), weekend, ["2026-04-30", "2026-06-01", "2026-06-30"]),
        (Terms(Interval.MONTHLY, days=(1, 15)), open_always, ["2026-04-15", "2026-05-01", "2026-05-15"]),
        (Terms(Interval.MANUAL), open_always, []),
    ],
)
def test_dates_by_hand(of: Terms, closed: object, expected: list[str]) -> None:
    assert days(of, "2026-04-01T12:00", closed, 3) == expected


def test_february_has_its_last_day() -> None:
    of = Terms(Interval.MONTHLY, days=(31,))
    assert days(of, "2027-02-01", open_always, 1) == ["2027-02-28"]
    assert days(of, "2028-02-01", open_always, 1) == ["2028-02-29"]


def test_why_says_what_moved() -> None:
    due = next_due(Terms(Interval.MONTHLY, days=(3,)), datetime(2026, 4, 1, tzinfo=UTC), target)
    assert due is not None
    assert due.why == "day 3 of every month; 2026-04-03 is closed (Good Friday, TARGET2), so 2026-04-07"


@pytest.mark.parametrize(
    ("day", "at", "expected"),
    [
        ("2026-03-28", "02:30", "2026-03-28T01:30"),  # winter time
        ("2026-03-29", "02:30", "2026-03-29T01:30"),  # skipped: it is 03:30 then
        ("2026-03-30", "02:30", "2026-03-30T00:30"),  # summer time
        ("2026-10-25", "02:30", "2026-10-25T00:30"),  # comes twice: the first
    ],
)
def test_hours_that_the_clocks_skip_or_repeat(day: str, at: str, expected: str) -> None:
    found = instant(date.fromisoformat(day), time.fromisoformat(at), "Europe/Amsterdam")
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        (Terms(Interval.MONTHLY, days=(32,)), ("days", "0")),
        (Terms(Interval.MONTHLY, days=(1, 0)), ("days", "1")),
        (Terms(Interval.MONTHLY), ("days",)),
        (Terms(Interval.WEEKLY, weekdays=(8,)), ("weekdays", "0")),
        (Terms(Interval.WEEKLY, weekdays=(1, 1)), ("weekdays",)),
        (Terms(Interval.DAILY, days=(1,)), ("days",)),
        (Terms(Interval.THRESHOLD), ("threshold",)),
        (Terms(Interval.DAILY, timezone="Europe/Atlantis"), ("timezone",)),
        (Terms(Interval.DAILY, timezone="../etc/passwd"), ("timezone",)),
        (Terms(Interval.DAILY, calendars=("NL", "Narnia")), ("calendars", "1")),
        (Terms(Interval.DAILY, minimum={"EUR": -1}), ("minimum",)),
        (Terms(Interval.DAILY, minimum={"XXY": 1}), ("minimum",)),
    ],
)
def test_impossible_terms_are_refused(wrong: Terms, path: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput) as refused:
        terms.check(wrong)
    assert refused.value.path == path


schedules = st.one_of(
    st.builds(Terms, st.sampled_from([Interval.DAILY])),
    st.builds(
        Terms, st.just(Interval.WEEKLY), weekdays=st.lists(st.integers(1, 7), min_size=1, unique=True).map(tuple)
    ),
    st.builds(
        Terms,
        st.just(Interval.MONTHLY),
        days=st.lists(st.integers(1, 31), min_size=1, unique=True).map(tuple),
        adjust=st.sampled_from(Adjust),
    ),
)


@given(
    schedules,
    st.integers(0, 15 * 365 * 1440).map(lambda minutes: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)),
    st.sampled_from(["UTC", "Europe/Amsterdam", "Pacific/Auckland", "America/New_York"]),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
)
def test_dates_are_open_later_and_in_order(of: Terms, after: datetime, timezone: str, at: time) -> None:
    of = replace(of, timezone=timezone, at=at)
    found = upcoming(of, after, target, 4)

    assert len(found) == 4
    assert all(target(due.on) is None for due in found)
    assert after < found[0].at
    assert [due.at for due in found] == sorted({due.at for due in found})
    for due in found:
        local = due.at.astimezone(ZoneInfo(timezone))
        assert abs(local.replace(tzinfo=None) - datetime.combine(due.on, at)) <= timedelta(hours=1)
    assert terms.read(terms.as_json(of)) == of
