"""The terms of a payout schedule as a document: read with refusals that name the field, and written for keeping."""

from collections.abc import Mapping, Sequence
from datetime import time
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from marketbill.errors import InvalidInput, Path
from marketbill.money import bounded, exponent
from marketbill.payouts import calendar
from marketbill.rules.payout_calendar import Adjust, Interval, Terms

CURRENCIES_MAX = 50


def check(terms: Terms, *, path: Path = ()) -> Terms:
    """The terms, if they are possible. Raises InvalidInput."""
    match terms.interval:
        case Interval.WEEKLY:
            _in_range(terms.weekdays, 1, 7, "Weekdays are 1 (Monday) to 7 (Sunday).", (*path, "weekdays"))
        case Interval.MONTHLY:
            _in_range(
                terms.days, 1, 31, "Days of a month are 1 to 31; 31 is its last where it is shorter.", (*path, "days")
            )
        case Interval.THRESHOLD:
            if not terms.threshold:
                raise InvalidInput(
                    "A threshold is missing: from which amount on is paid, in each currency.",
                    path=(*path, "threshold"),
                    constraint="at least one",
                )
        case _:
            pass
    if terms.interval is not Interval.WEEKLY and terms.weekdays:
        raise InvalidInput("Only a weekly schedule has weekdays.", path=(*path, "weekdays"), constraint="none")
    if terms.interval is not Interval.MONTHLY and terms.days:
        raise InvalidInput("Only a monthly schedule has days.", path=(*path, "days"), constraint="none")
    if terms.interval is not Interval.THRESHOLD and terms.threshold:
        raise InvalidInput("Only THRESHOLD has a threshold.", path=(*path, "threshold"), constraint="none")
    try:
        ZoneInfo(terms.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(
            f"There is no time zone {terms.timezone[:40]!r}.",
            path=(*path, "timezone"),
            constraint="a name such as Europe/Amsterdam",
        ) from None
    calendar.check(terms.calendars, path=(*path, "calendars"))
    for name in ("minimum", "threshold", "instant_least"):
        _amounts(getattr(terms, name), (*path, "instantLeast" if name == "instant_least" else name))
    percent = terms.instant_percent
    if percent is not None and not 0 <= percent <= 100:
        raise InvalidInput("A percentage is 0 to 100.", path=(*path, "instantPercent"), constraint="0..100")
    return terms


def as_json(terms: Terms) -> dict[str, Any]:
    """For keeping; `read` gives it back."""
    return {
        "interval": terms.interval,
        "weekdays": list(terms.weekdays),
        "days": list(terms.days),
        "at": terms.at.isoformat("minutes"),
        "timezone": terms.timezone,
        "calendars": list(terms.calendars),
        "adjust": terms.adjust,
        "minimum": dict(terms.minimum),
        "threshold": dict(terms.threshold),
        "instant_percent": None if terms.instant_percent is None else str(terms.instant_percent),
        "instant_least": dict(terms.instant_least),
    }


def read(kept: Mapping[str, Any]) -> Terms:
    """The terms that `as_json` wrote."""
    percent = kept.get("instant_percent")
    return Terms(
        Interval(kept["interval"]),
        tuple(kept["weekdays"]),
        tuple(kept["days"]),
        time.fromisoformat(kept["at"]),
        kept["timezone"],
        tuple(kept["calendars"]),
        Adjust(kept["adjust"]),
        kept["minimum"],
        kept["threshold"],
        None if percent is None else Decimal(percent),
        kept["instant_least"],
    )


def time_of_day(text: str, *, path: Path = ()) -> time:
    """A time such as 06:00. Raises InvalidInput."""
    try:
        at = time.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is not None or len(text) != 5:
        raise InvalidInput("This is no time of day.", path=path, constraint="HH:MM")
    return at


def percentage(text: str | Decimal | None, *, path: Path = ()) -> Decimal | None:
    """Raises InvalidInput."""
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        raise InvalidInput("This is no number.", path=path, constraint="0..100") from None


def _in_range(numbers: Sequence[int], least: int, most: int, rule: str, path: Path) -> None:
    if not numbers:
        raise InvalidInput(rule, path=path, constraint="at least one")
    for place, number in enumerate(numbers):
        if not least <= number <= most:
            raise InvalidInput(rule, path=(*path, str(place)), constraint=f"{least}..{most}")
    if len(set(numbers)) != len(numbers):
        raise InvalidInput("A day is named twice.", path=path, constraint="each once")


def _amounts(amounts: Mapping[str, int], path: Path) -> None:
    if len(amounts) > CURRENCIES_MAX:
        raise InvalidInput("Too many currencies.", path=path, constraint=f"<= {CURRENCIES_MAX}")
    for currency, amount in amounts.items():
        exponent(currency, path=path)
        bounded(amount, path=path)
        if amount < 0:
            raise InvalidInput("An amount may not be below zero.", path=path, constraint=">= 0")
