"""Which rule of a stack is charged on a line, and why every other one is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from marketbill.rules.fees.conditions import ALWAYS, Conditions, Facts, ValueBand
from marketbill.rules.fees.schedule import FeeRule, Schedule


class Reason(StrEnum):
    """Why a rule is not the one that is charged."""

    #: A dimension of its conditions does not hold for the line.
    CONDITION = "CONDITION"
    #: It holds, and another one goes before it.
    OUTRANKED = "OUTRANKED"
    #: It holds later.
    NOT_YET = "NOT_YET"
    #: It held before.
    NO_LONGER = "NO_LONGER"
    #: It is a part for the line's own seller, who has the money already.
    OWN_LINE = "OWN_LINE"


class Rank(StrEnum):
    """By what one rule goes before another."""

    #: Its explicit position is lower, or the other has none.
    POSITION = "POSITION"
    #: It looks at more dimensions.
    DIMENSIONS = "DIMENSIONS"
    #: It stands earlier in the schedule.
    ORDER = "ORDER"


class Miss(NamedTuple):
    """A dimension that does not hold: what the rule asks for, and what the line has."""

    dimension: str
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rule that is not charged. `misses` are given for CONDITION; `outranked_by` (the winner's name) and `rank` for
    OUTRANKED; `expected` is the instant for NOT_YET and NO_LONGER."""

    rule: FeeRule
    reason: Reason
    misses: tuple[Miss, ...] = ()
    outranked_by: str = ""
    rank: Rank | None = None
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A stack on a line: the rule that is charged, or none, and the others in order of precedence."""

    stack: str
    winner: FeeRule | None
    rejected: tuple[Rejection, ...]

    @property
    def nearest(self) -> Rejection | None:
        """The rejected rule that fails in the fewest dimensions: what a line without a rule nearly had."""
        return min(self.rejected, key=lambda rejection: len(rejection.misses) or 1, default=None)


def by_stack(schedule: Schedule) -> dict[str, tuple[FeeRule, ...]]:
    """The rules of every stack in order of precedence; the stacks in the order of their first rules.

    A lower explicit position goes first, and any position before none; then more dimensions; then earlier in the
    schedule.
    """
    stacks: dict[str, list[FeeRule]] = {}
    for rule in schedule.rules:
        stacks.setdefault(rule.stack, []).append(rule)
    return {stack: tuple(sorted(rules, key=_precedence)) for stack, rules in stacks.items()}


def first_that_holds(rules: Sequence[FeeRule], facts: Facts) -> FeeRule | None:
    """The first of `rules`, which are in order of precedence, that holds for the line."""
    for rule in rules:
        if (
            (rule.when is ALWAYS or not misses(rule.when, facts, first=True))
            and (rule.holds_from is None or facts.at >= rule.holds_from)
            and (rule.holds_until is None or facts.at < rule.holds_until)
            and rule.recipient != facts.seller
        ):
            return rule
    return None


def resolve(schedule: Schedule, stack: str, facts: Facts) -> Resolution:
    """The rule of `stack` that is charged on the line, and each other rule of it with its reason."""
    rules = by_stack(schedule).get(stack, ())
    winner = first_that_holds(rules, facts)
    return Resolution(stack, winner, tuple(_reject(rule, winner, facts) for rule in rules if rule is not winner))


def dimensions(when: Conditions) -> int:
    """How many dimensions a rule looks at."""
    if when is ALWAYS:
        return 0
    return sum(1 for name in Conditions.__slots__ if getattr(when, name))


def misses(when: Conditions, facts: Facts, *, first: bool = False) -> list[Miss]:
    """The dimensions that do not hold, all of them or only the first."""
    found: list[Miss] = []
    for name, actual in (
        ("sellers", facts.seller),
        ("products", facts.product),
        ("channels", facts.channel),
        ("seller_countries", facts.seller_country),
        ("buyer_countries", facts.buyer_country),
        ("currencies", facts.currency),
        ("payment_methods", facts.payment_method),
    ):
        allowed: frozenset[str] = getattr(when, name)
        if allowed and actual not in allowed:
            found.append(Miss(name, _any_of(allowed), actual))
            if first:
                return found
    if when.seller_groups and not when.seller_groups & facts.seller_groups:
        found.append(Miss("seller_groups", _any_of(when.seller_groups), _any_of(facts.seller_groups)))
    if when.categories and not any(_lies_in(facts.category, category) for category in when.categories):
        found.append(Miss("categories", _any_of(when.categories), facts.category))
    if when.values and not any(_within(band, facts) for band in when.values):
        expected = ", ".join(_band(band) for band in when.values)
        found.append(Miss("values", expected, f"{facts.value} {facts.currency}"))
    return found


def _precedence(rule: FeeRule) -> tuple[bool, int, int]:
    return rule.position is None, rule.position or 0, -dimensions(rule.when)


def _reject(rule: FeeRule, winner: FeeRule | None, facts: Facts) -> Rejection:
    missed = tuple(misses(rule.when, facts))
    if missed:
        return Rejection(rule, Reason.CONDITION, misses=missed)
    if rule.holds_from is not None and facts.at < rule.holds_from:
        return Rejection(rule, Reason.NOT_YET, expected=rule.holds_from.isoformat())
    if rule.holds_until is not None and facts.at >= rule.holds_until:
        return Rejection(rule, Reason.NO_LONGER, expected=rule.holds_until.isoformat())
    if rule.recipient == facts.seller:
        return Rejection(rule, Reason.OWN_LINE)
    if winner is None:
        raise AssertionError("a rule holds and none was chosen")
    return Rejection(rule, Reason.OUTRANKED, outranked_by=winner.name, rank=_rank(winner, rule))


def _rank(winner: FeeRule, rule: FeeRule) -> Rank:
    if winner.position != rule.position:
        return Rank.POSITION
    return Rank.DIMENSIONS if dimensions(winner.when) != dimensions(rule.when) else Rank.ORDER


def _lies_in(category: str, asked: str) -> bool:
    return category == asked or category.startswith(asked + "/")


def _within(band: ValueBand, facts: Facts) -> bool:
    return (
        band.currency == facts.currency and facts.value >= band.start and (band.end is None or facts.value < band.end)
    )


def _band(band: ValueBand) -> str:
    return f"from {band.start} {band.currency}" + ("" if band.end is None else f" below {band.end}")


def _any_of(values: frozenset[str]) -> str:
    return ", ".join(sorted(values))
