"""When sellers are paid out by themselves: the terms of a schedule, and the dates that follow from them.

Dates are those of the schedule's time zone. A day on which banks are closed is told by the caller, with its reason; a
weekly or monthly date that falls on one moves to the next open day, or to the one before. A month without the day has
its last day instead. An hour that the clocks skip is taken as the hour after it, one that they repeat as the first.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo


class Interval(StrEnum):
    """THRESHOLD looks every open day whether there is enough. MANUAL pays on request only."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    THRESHOLD = "THRESHOLD"
    MANUAL = "MANUAL"


class Adjust(StrEnum):
    """Where a date moves that falls on a closed day."""

    FOLLOWING = "FOLLOWING"
    PRECEDING = "PRECEDING"


#: Why a day is closed, such as "Christmas Day"; None for an open one.
Closed = Callable[[date], str | None]
#: No holidays in a row are longer.
_CLOSED_DAYS_MAX = 30
#: Dates that are looked through for the next one: more than a year.
_SEARCH_DAYS = 420
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Terms:
    """A schedule: `weekdays` are 1 (Monday) to 7, `days` 1 to 31, `at` is a time of day in `timezone` (IANA).

    `minimum` and `threshold` are minor units by currency: what is below the minimum waits for the next date; with an
    interval of THRESHOLD only currencies that have one are paid. `instant_percent` and `instant_least` (minor units by
    currency) are what an instant payout costs the seller, without tax; no instant payouts where the percentage is None.
    """

    interval: Interval
    weekdays: tuple[int, ...] = ()
    days: tuple[int, ...] = ()
    at: time = time(6)
    timezone: str = "UTC"
    calendars: tuple[str, ...] = ()
    adjust: Adjust = Adjust.FOLLOWING
    minimum: Mapping[str, int] = field(default_factory=dict)
    threshold: Mapping[str, int] = field(default_factory=dict)
    instant_percent: Decimal | None = None
    instant_least: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Due:
    """A date on which payouts are made: the instant, the local day, and why it is this one."""

    at: datetime
    on: date
    why: str


ON_REQUEST = Terms(Interval.MANUAL)
"""What holds for those who have no schedule."""


def next_due(terms: Terms, after: datetime, closed: Closed) -> Due | None:
    """The first date later than `after` (aware). None for MANUAL, and where all days of a year are closed."""
    if terms.interval is Interval.MANUAL:
        return None
    start = after.astimezone(ZoneInfo(terms.timezone)).date() - timedelta(days=_CLOSED_DAYS_MAX + 1)
    for nominal, words in _nominal(terms, start):
        found = _open_day(terms, nominal, closed)
        if found is None:
            continue
        on, moved = found
        at = instant(on, terms.at, terms.timezone)
        if at > after:
            return Due(at, on, words + moved)
    return None


def upcoming(terms: Terms, after: datetime, closed: Closed, number: int) -> list[Due]:
    """The next dates, in their order."""
    found: list[Due] = []
    while len(found) < number:
        due = next_due(terms, found[-1].at if found else after, closed)
        if due is None:
            break
        found.append(due)
    return found


def instant(on: date, at: time, timezone: str) -> datetime:
    """The instant (UTC) of a local day and time."""
    return datetime.combine(on, at, ZoneInfo(timezone)).astimezone(UTC)


def _nominal(terms: Terms, start: date) -> Iterator[tuple[date, str]]:
    """The days of the interval from `start` on, before closed days are minded, each with its reason."""
    for offset in range(_SEARCH_DAYS):
        day = start + timedelta(days=offset)
        match terms.interval:
            case Interval.WEEKLY:
                if day.isoweekday() in terms.weekdays:
                    yield day, f"every {_DAYS[day.weekday()]}"
            case Interval.MONTHLY:
                wanted = [one for one in terms.days if min(one, _last_of_month(day)) == day.day]
                if wanted:
                    short = max(wanted) > day.day
                    yield day, f"day {max(wanted)} of every month" + (", here its last day" if short else "")
            case _:
                yield day, "every open day"


def _open_day(terms: Terms, nominal: date, closed: Closed) -> tuple[date, str] | None:
    """The open day that a date becomes, and a few words on why it moved; None for a closed one that does not move."""
    why = closed(nominal)
    if why is None:
        return nominal, ""
    if terms.interval in (Interval.DAILY, Interval.THRESHOLD):
        return None
    step = timedelta(days=1 if terms.adjust is Adjust.FOLLOWING else -1)
    day = nominal
    for _ in range(_CLOSED_DAYS_MAX):
        day += step
        if closed(day) is None:
            return day, f"; {nominal.isoformat()} is closed ({why}), so {day.isoformat()}"
    return None


def _last_of_month(day: date) -> int:
    following = day.replace(day=28) + timedelta(days=4)
    return (following - timedelta(days=following.day)).day
