"""When an account is paid out by itself: the schedule in its settings, and the days it means.

A payout day is a weekday; one that falls on a weekend is the Monday after. ``delay_days`` are counted in business days
where banks settle in them, in calendar days elsewhere.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime
from typing import Any

from marketbill.sandbox.clock import DAY, midnight
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.parameters import missing_parameter
from marketbill.sandbox.wire import Doc, invalid

DELAY_DAYS_MIN, DELAY_DAYS_MAX = 2, 31
#: Countries whose delay is counted in business days.
BUSINESS_DAYS = frozenset(("US", "AU", "IN", "JP", "MY", "NZ", "TH", "AE"))
NO_DAILY = frozenset(["JP"])
DAILY_ONLY = frozenset(("BR", "IN"))

#: Seconds after 00:00 UTC at which automatic payouts are made: what became available on the day is in them.
PAYOUT_SECOND = 300
#: Days in which a payout day must be found: a month and a weekend.
_HORIZON_DAYS = 35

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SATURDAY = 5


def fresh(country: str) -> Doc:
    """Return the schedule that a new connected account has: as soon as its country allows, by itself."""
    if country in NO_DAILY:
        return {"delay_days": 4, "interval": "weekly", "weekly_anchor": "friday"}
    return {"delay_days": DELAY_DAYS_MIN, "interval": "daily"}


def weekday(moment: int) -> int:
    """Return the day of the week in UTC, Monday being 0."""
    return datetime.fromtimestamp(moment, UTC).weekday()


def after_business_days(moment: int, days: int) -> int:
    """Return 00:00 UTC of the day that is so many business days after the day of a moment."""
    day = midnight(moment)
    while days > 0:
        day += DAY
        if weekday(day) < _SATURDAY:
            days -= 1
    return day


def payable_from(moment: int, *, delay_days: int, country: str) -> int:
    """Return 00:00 UTC of the day from which a charge of a moment may be paid out."""
    if country in BUSINESS_DAYS:
        return after_business_days(moment, delay_days)
    return midnight(moment) + delay_days * DAY


def next_payout(schedule: Doc, moment: int) -> int | None:
    """Return when the next automatic payout is made after a moment; None when payouts are manual."""
    if schedule["interval"] == "manual":
        return None
    day = midnight(moment)
    for _ in range(_HORIZON_DAYS):
        day += DAY
        if _is_payout_day(schedule, day):
            return day + PAYOUT_SECOND
    return None


def _is_payout_day(schedule: Doc, day: int) -> bool:
    today = weekday(day)
    if today >= _SATURDAY:
        return False
    meant = [day, day - DAY, day - 2 * DAY] if today == 0 else [day]
    return any(_is_named(schedule, one) for one in meant)


def _is_named(schedule: Doc, day: int) -> bool:
    if schedule["interval"] == "daily":
        return True
    if schedule["interval"] == "weekly":
        return _WEEKDAYS[weekday(day)] in (schedule.get("weekly_payout_days") or [schedule["weekly_anchor"]])
    date = datetime.fromtimestamp(day, UTC)
    last = monthrange(date.year, date.month)[1]
    days = schedule.get("monthly_payout_days") or [schedule["monthly_anchor"]]
    return any(min(one, last) == date.day for one in days)


def follow(desk: Desk, account: str) -> None:
    """Have the account's next automatic payout made when its schedule says; forget an earlier one."""
    desk.schedule.drop("automatic_payouts", account)
    at = next_payout(desk.store.get("account", account)["settings"]["payouts"]["schedule"], desk.clock.now())
    if at is not None:
        desk.schedule.add(at, "automatic_payouts", account)


def changed(schedule: Doc, given: Doc, *, country: str, param: str) -> Doc:
    """Return a schedule after an update.

    :raises ApiError: an interval that the country does not have, or one without its days; it names ``param[...]``.
    """
    result = {**schedule, **given}
    interval = result["interval"]
    wrong = country in NO_DAILY if interval == "daily" else country in DAILY_ONLY
    if wrong and "interval" in given:
        words = "cannot be paid out daily" if country in NO_DAILY else "are always paid out daily"
        raise invalid(f"Accounts in {country} {words}.", param=f"{param}[interval]")
    for name, days in (("weekly", _weekly(result)), ("monthly", _monthly(result, param))):
        ways = (f"{name}_anchor", f"{name}_payout_days")
        asked = [way for way in ways if given.get(way)]
        if interval == name:
            if not days:
                raise missing_parameter(f"{param}[{name}_anchor]")
            if len(asked) == 1:
                # One way of saying it takes the place of the other.
                result.pop(next(way for way in ways if way not in asked), None)
        elif asked:
            raise invalid(
                f"`{asked[0]}` is for payouts that are {name}: these are {interval}.", param=f"{param}[{asked[0]}]"
            )
        else:
            for way in ways:
                result.pop(way, None)
    if "delay_days" in given:
        result["delay_days"] = checked_delay(given["delay_days"], param=f"{param}[delay_days]")
    return {name: value for name, value in result.items() if value is not None}


def _weekly(schedule: Doc) -> Any:
    return schedule.get("weekly_payout_days") or schedule.get("weekly_anchor")


def _monthly(schedule: Doc, param: str) -> Any:
    for name in ("monthly_anchor", "monthly_payout_days"):
        given = schedule.get(name) or []
        for day in given if isinstance(given, list) else [given]:
            if not 1 <= day <= 31:
                raise invalid(f"Invalid day of the month: {day}. It must be from 1 to 31.", param=f"{param}[{name}]")
    return schedule.get("monthly_payout_days") or schedule.get("monthly_anchor")


def checked_delay(given: Any, *, param: str) -> int:
    """Return how many days a charge is held before it is paid out; ``minimum`` is the least."""
    if given == "minimum":
        return DELAY_DAYS_MIN
    if not str(given).isdigit() or not DELAY_DAYS_MIN <= int(given) <= DELAY_DAYS_MAX:
        raise invalid(
            f"Invalid delay_days: {given}. It must be `minimum` or from {DELAY_DAYS_MIN} to {DELAY_DAYS_MAX} days.",
            param=param,
        )
    return int(given)
