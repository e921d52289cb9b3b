"""When a seller's money is released, and what is kept back of it: pure rules. Days are days, percent is of the amount.

A platform publishes its rules as versions. A sale keeps the version in force when it was made, so that a change holds
for new sales only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple


class HoldFrom(StrEnum):
    """The event with which a hold begins, the later the stricter."""

    CAPTURE = "CAPTURE"
    DELIVERY = "DELIVERY"
    APPROVAL = "APPROVAL"


class RiskSign(StrEnum):
    """NEW_SELLER: made less than `days` days ago. VOLUME_SPIKE: sold in `days` days at least `threshold` times what
    the ninety days before make of as many. DISPUTE_RATE: of the sales of `days` days, `threshold` percent are disputed.
    """

    NEW_SELLER = "NEW_SELLER"
    VOLUME_SPIKE = "VOLUME_SPIKE"
    DISPUTE_RATE = "DISPUTE_RATE"


#: The longest that a provider's law lets a platform hold a seller's money, in days, by the seller's country; and
#: elsewhere. Source: Stripe, "Using manual payouts" (the United States two years, Thailand ten days, others 90 days).
HOLD_DAYS_LEGAL: Mapping[str, int] = {"US": 730, "TH": 10}
HOLD_DAYS_LEGAL_ELSEWHERE = 90
_STRICTNESS = tuple(HoldFrom)


class Hold(NamedTuple):
    """A hold of `days` days from an event on."""

    start: HoldFrom
    days: int


@dataclass(frozen=True, slots=True)
class ReleaseRule:
    """The hold of what sellers of any of `groups` sell in any of `categories`; empty means all."""

    start: HoldFrom
    days: int
    groups: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()

    def is_for(self, groups: Iterable[str], category: str) -> bool:
        return (not self.groups or not self.groups.isdisjoint(groups)) and (
            not self.categories or category in self.categories
        )


@dataclass(frozen=True, slots=True)
class ReserveRule:
    """Of each sale of sellers of any of `groups` (empty: all), `percent` is kept back for `days` days, as long as what
    is kept of a seller does not exceed the `cap` of the currency, in minor units. A currency without one has none."""

    percent: Decimal
    days: int
    groups: frozenset[str] = frozenset()
    cap: Mapping[str, int] = field(default_factory=dict)

    def kept(self, amount: int, *, currency: str, kept_already: int) -> int:
        """What is kept back of an amount, rounded half away from zero, in minor units."""
        share = Fraction(amount) * Fraction(self.percent) / 100
        wanted = (2 * share.numerator + share.denominator) // (2 * share.denominator)
        room = self.cap[currency] - kept_already if currency in self.cap else wanted
        return max(0, min(wanted, room, amount))


@dataclass(frozen=True, slots=True)
class RiskRule:
    """A sign of risk that holds the releases of sellers of any of `groups` (empty: all) for `hold_days` days, or until
    somebody lifts it. At least `minimum` sales must have shown it."""

    sign: RiskSign
    days: int
    hold_days: int | None = None
    threshold: Decimal = Decimal(0)
    minimum: int = 1
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """One version of a platform's rules. Of rules of one kind the first that fits holds."""

    releases: tuple[ReleaseRule, ...] = ()
    reserves: tuple[ReserveRule, ...] = ()
    risks: tuple[RiskRule, ...] = ()

    def hold(self, groups: Iterable[str], categories: Iterable[str], default: Hold) -> Hold:
        """The hold of one seller's share of a sale, of lines in these categories.

        Where lines fall under different rules the share is held as the strictest of them all say: from the latest
        event, for the most days. So no line is released before its own rule lets it go.
        """
        held = [self._of_line(frozenset(groups), category, default) for category in list(categories) or [""]]
        return Hold(max((one.start for one in held), key=_STRICTNESS.index), max(one.days for one in held))

    def reserve(self, groups: Iterable[str]) -> ReserveRule | None:
        """The reserve of a seller of these groups, if any."""
        of = frozenset(groups)
        return next((rule for rule in self.reserves if not rule.groups or rule.groups & of), None)

    def _of_line(self, groups: frozenset[str], category: str, default: Hold) -> Hold:
        fits = (rule for rule in self.releases if rule.is_for(groups, category))
        return next((Hold(rule.start, rule.days) for rule in fits), default)


def hold_days_legal(country: str) -> int:
    """For how many days at most the money of a seller of this country may be held."""
    return HOLD_DAYS_LEGAL.get(country, HOLD_DAYS_LEGAL_ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a seller when his risk is looked at: days since he was made, sales and their gross of the days
    that the rule names, the gross of the ninety days before those, and how many sales are disputed."""

    age_days: int
    sales: int
    gross: int
    gross_before: int
    disputed: int


#: Days before the rule's own that a spike is measured against.
COMPARED_DAYS = 90


def sign_of(rule: RiskRule, record: Record) -> str | None:
    """What the rule sees in a seller's record, in a sentence that he may read; None when it sees nothing."""
    if record.sales < rule.minimum:
        return None
    if rule.sign is RiskSign.NEW_SELLER:
        if record.age_days < rule.days:
            return f"Your account is {record.age_days} days old; releases are held during the first {rule.days} days."
    elif rule.sign is RiskSign.VOLUME_SPIKE:
        usual = Fraction(record.gross_before * rule.days, COMPARED_DAYS)
        if usual and record.gross >= usual * Fraction(rule.threshold):
            return (
                f"Your sales of the last {rule.days} days are at least {rule.threshold.normalize():f} times what you"
                f" usually sell in as many."
            )
    elif record.disputed and record.disputed * 100 >= Fraction(rule.threshold) * record.sales:
        return (
            f"Of your {record.sales} sales of the last {rule.days} days, {record.disputed} are disputed: at least"
            f" {rule.threshold.normalize():f} percent."
        )
    return None
