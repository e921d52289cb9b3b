"""Business calendars: on which days banks are closed, by the public calendars that a schedule names."""

from datetime import date
from functools import lru_cache

import holidays
from holidays import HolidayBase

from marketbill.errors import InvalidInput, Path

#: The days of the euro's settlement system (T2, once TARGET2), under the names it is known by.
TARGET = ("TARGET2", "T2", "ECB")
CALENDARS_MAX = 5
_REMEMBERED_MAX = 50_000


def check(names: tuple[str, ...], *, path: Path = ()) -> None:
    """Raises InvalidInput for a calendar that there is not."""
    if len(names) > CALENDARS_MAX:
        raise InvalidInput(f"At most {CALENDARS_MAX} calendars.", path=path, constraint=f"<= {CALENDARS_MAX}")
    for place, name in enumerate(names):
        try:
            _calendar(name)
        except (NotImplementedError, KeyError, ValueError, AttributeError):
            raise InvalidInput(
                f"There is no calendar {name[:40]!r}: TARGET2, a country such as NL, or a part of one such as DE-BY.",
                path=(*path, str(place)),
                constraint="TARGET2 or ISO 3166",
            ) from None


@lru_cache(maxsize=_REMEMBERED_MAX)
def closed(names: tuple[str, ...], day: date) -> str | None:
    """Why banks are closed on a day by any of these calendars; None when they are open. Without calendars every day is
    open."""
    for name in names:
        calendar = _calendar(name)
        holiday = calendar.get(day)
        if holiday is not None:
            return f"{holiday}, {name}"
        if calendar.is_weekend(day):
            return day.strftime("%A")
    return None


@lru_cache(maxsize=200)
def _calendar(name: str) -> HolidayBase:
    if name in TARGET:
        return holidays.financial_holidays("ECB")
    country, _, part = name.partition("-")
    if not country.isupper() or len(country) != 2:
        raise ValueError(name)
    return holidays.country_holidays(country, subdiv=part or None, language="en_US")
