"""The period of an export, in whole days of UTC; effective time decides what is in it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from marketbill.errors import InvalidInput

_DAY = timedelta(days=1)
#: Later than any entry.
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_START_OF_TIME = datetime.min.replace(tzinfo=UTC)


class PeriodReversed(InvalidInput):
    """The period ends before its first day does."""

    def __init__(self, first: date, end: date) -> None:
        super().__init__(
            f"{end} is not after {first}: give the first day of the period, and the first day after it.",
            path=("to",),
            constraint="> from",
        )


class PeriodInFuture(InvalidInput):
    """The period begins after today, or ends after tomorrow's start: its books cannot be told yet."""

    def __init__(self, named: str, day: date, latest: date) -> None:
        super().__init__(f"{day} is in the future: {latest} is the latest.", path=(named,), constraint=f"<= {latest}")


@dataclass(frozen=True, slots=True)
class Period:
    """From `first` up to `end`, which is the first day after it. None: from the first entry, or to the last."""

    first: date | None = None
    end: date | None = None

    def check(self, today: date) -> None:
        """Raises PeriodReversed or PeriodInFuture. A period may end with today, though more may come of today."""
        if self.first is not None and self.end is not None and self.end <= self.first:
            raise PeriodReversed(self.first, self.end)
        if self.first is not None and self.first > today:
            raise PeriodInFuture("from", self.first, today)
        if self.end is not None and self.end > today + _DAY:
            raise PeriodInFuture("to", self.end, today + _DAY)

    @property
    def start_at(self) -> datetime:
        """What is effective at this instant or later is in the period."""
        return _START_OF_TIME if self.first is None else _midnight(self.first)

    @property
    def end_at(self) -> datetime:
        """What is effective before this instant is in the period."""
        return _END_OF_TIME if self.end is None else _midnight(self.end)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
