"""The ladder of a debt: which step is due when, as data. Each platform may publish its own days.

Sources of the days: the providers charge a platform for accounts that stay below zero, one after 30 and another after
180 days, so a debt is a receivable by then and written off before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from marketbill.errors import InvalidInput, Path
from marketbill.rules.countries import EU_MEMBERS


class Step(StrEnum):
    """NETTING: new sales pay the debt. NOTICE: the seller is told how to pay it. DEBIT: his bank account may be
    debited, where that is allowed. RECEIVABLE: it is a claim of its own. SUSPENSION: he sells nothing until it is paid.
    WRITE_OFF: it is to be written off, which two people decide."""

    NETTING = "NETTING"
    NOTICE = "NOTICE"
    DEBIT = "DEBIT"
    RECEIVABLE = "RECEIVABLE"
    SUSPENSION = "SUSPENSION"
    WRITE_OFF = "WRITE_OFF"


#: The longest that a step may wait, in days.
DAYS_MAX = 3650
#: Where a bank account may be debited for what an account at the provider owes: its list of direct debits.
DEBIT_COUNTRIES = EU_MEMBERS | {"AU", "CA", "GB", "NZ", "US"}


class Planned(NamedTuple):
    """A step, and when it is due."""

    step: Step
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Ladder:
    """Days from the beginning of a debt to each step, in their order; `limits` is the most that a seller may owe, by
    currency in minor units, before he is suspended at once."""

    days: Mapping[Step, int]
    limits: Mapping[str, int]

    def plan(self, since: datetime) -> list[Planned]:
        """When each step of a debt is due that began then."""
        return [Planned(step, since + timedelta(days=days)) for step, days in self.days.items()]

    def due(self, since: datetime, taken: Sequence[Step], now: datetime, *, owed: int, currency: str) -> list[Planned]:
        """The steps to be taken now, in their order. Above the limit the suspension is due whatever the day."""
        limit = self.limits.get(currency)
        above = limit is not None and owed > limit
        return [
            one
            for one in self.plan(since)
            if one.step not in taken and (one.due_at <= now or (above and one.step is Step.SUSPENSION))
        ]

    def next_after(self, since: datetime, taken: Sequence[Step]) -> datetime | None:
        """When the next step is due; None after the last."""
        left = [one.due_at for one in self.plan(since) if one.step not in taken]
        return min(left, default=None)


DEFAULT = Ladder(
    {Step.NETTING: 0, Step.NOTICE: 7, Step.DEBIT: 14, Step.RECEIVABLE: 30, Step.SUSPENSION: 60, Step.WRITE_OFF: 120},
    {},
)


def checked_days(given: Sequence[tuple[Step, int]], *, path: Path = ("steps",)) -> dict[Step, int]:
    """A ladder as it is kept: each step at most once, in the order of `Step`, the first of them NETTING at day 0.

    Raises InvalidInput.
    """
    order = list(Step)
    places = [order.index(step) for step, _ in given]
    if not given or given[0] != (Step.NETTING, 0):
        raise InvalidInput("A ladder begins with NETTING at day 0.", path=path, constraint="NETTING at 0")
    if places != sorted(set(places)):
        raise InvalidInput(
            f"The steps of a ladder come once each, in this order: {', '.join(order)}.",
            path=path,
            constraint="each step once, in order",
        )
    for index, (step, days) in enumerate(given):
        least = given[index - 1][1] if index else 0
        if not least <= days <= DAYS_MAX:
            raise InvalidInput(
                f"{step} comes {least} to {DAYS_MAX} days after the debt began, not {days}.",
                path=(*path, str(index), "days"),
                constraint=f"{least} <= days <= {DAYS_MAX}",
            )
    return dict(given)
