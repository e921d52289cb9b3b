"""What a fee schedule must be before it is published: every refusal names the rule and what would be right."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import combinations

from marketbill.errors import InvalidInput, Path
from marketbill.money import bounded, exponent
from marketbill.rules.countries import known_country
from marketbill.rules.fees.conditions import Conditions, ValueBand
from marketbill.rules.fees.resolver import by_stack
from marketbill.rules.fees.schedule import FeeKind, FeePayer, FeeRule, Schedule, Tiers, Unmatched
from marketbill.rules.rates import rate_parts
from marketbill.text import check_usable

RULES_MAX = 500
STACKS_MAX = 20
TIERS_MAX = 50
NAME_LENGTH_MAX = 100

_ACCOUNT = re.compile("(?=.{1,40}$)[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


class ScheduleEmpty(InvalidInput):
    """A schedule without a rule."""

    def __init__(self) -> None:
        super().__init__("The schedule has no rules: give at least one.", path=("rules",), constraint=">= 1 rules")


class TooManyRules(InvalidInput):
    """A schedule with more than `RULES_MAX` rules, or more than `STACKS_MAX` stacks."""

    def __init__(self, count: int, *, of: str, limit: int) -> None:
        super().__init__(
            f"The schedule has {count} {of}: at most {limit}.", path=("rules",), constraint=f"<= {limit} {of}"
        )
        self.count = count


class RuleUnnamed(InvalidInput):
    """A rule, a stack or an account without a usable name."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(
            f"A name of 1 to {NAME_LENGTH_MAX} characters is needed here.",
            path=path,
            constraint=f"1 to {NAME_LENGTH_MAX} characters",
        )


class AccountMisnamed(InvalidInput):
    """A name that no account of the books can have."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(
            "An account is named by small letters, digits and single hyphens, at most 40, such as 'listing-fee'.",
            path=path,
            constraint="small letters, digits, single hyphens; <= 40",
        )


class StackEmpty(InvalidInput):
    """A required stack without a rule: no sale could ever be made."""

    def __init__(self, stack: str, stacks: Iterable[str]) -> None:
        super().__init__(
            f"The required stack {stack!r} has no rule: every sale would be refused. Name of {', '.join(stacks)}.",
            path=("required",),
            constraint="stacks with rules",
        )
        self.stack = stack


class ShareMisplaced(InvalidInput):
    """A share of the provider's own fee, of a fee that is not the provider's."""

    def __init__(self, rule: str, *, path: Path) -> None:
        super().__init__(
            f"The rule {rule!r} has an actual share, which only a PROCESSOR fee may have.",
            path=path,
            constraint="kind PROCESSOR",
        )
        self.rule = rule


class DuplicateRule(InvalidInput):
    """Two rules of one name."""

    def __init__(self, rule: str, *, path: Path) -> None:
        super().__init__(f"Another rule has the name {rule!r} too.", path=path, constraint="unique in the schedule")
        self.rule = rule


class FixedFeeNegative(InvalidInput):
    """An amount of a rule below zero."""

    def __init__(self, amount: int, *, path: Path) -> None:
        super().__init__("The amount of a fee must not be negative.", path=path, constraint=">= 0")
        self.amount = amount


class RulesOverlap(InvalidInput):
    """Two rules of one stack with the same explicit position that can both hold for one line."""

    def __init__(self, first: str, second: str, *, position: int, path: Path) -> None:
        super().__init__(
            f"The rules {first!r} and {second!r} both have the position {position} and can hold for the same line: give"
            " one of them another position, or conditions that exclude each other.",
            path=path,
            constraint="a position of its own",
        )
        self.first = first
        self.second = second
        self.position = position


class TiersUnclear(InvalidInput):
    """Tiers that do not start at zero, do not rise, or stand beside a percentage."""

    def __init__(self, rule: str, problem: str, *, path: Path) -> None:
        super().__init__(f"The tiers of the rule {rule!r} {problem}.", path=path)
        self.rule = rule


class LimitsCrossed(InvalidInput):
    """A least amount above the most, in one currency."""

    def __init__(self, rule: str, *, currency: str, minimum: int, maximum: int, path: Path) -> None:
        super().__init__(
            f"The rule {rule!r} asks for at least {minimum} and at most {maximum} in {currency}: lower the first or "
            "raise the second.",
            path=path,
            constraint=f"<= {maximum}",
        )
        self.rule = rule
        self.currency = currency


class RecipientUnclear(InvalidInput):
    """A part without a recipient, or a recipient of what is not a part."""

    def __init__(self, rule: str, *, kind: FeeKind, path: Path) -> None:
        problem = "needs a recipient" if kind is FeeKind.PART else "has a recipient, which only a PART may have"
        super().__init__(f"The rule {rule!r} of kind {kind} {problem}.", path=path)
        self.rule = rule


class BuyerFeeKind(InvalidInput):
    """A fee of the buyer that is not the platform's own."""

    def __init__(self, rule: str, *, kind: FeeKind, path: Path) -> None:
        super().__init__(
            f"The rule {rule!r} of kind {kind} cannot be the buyer's: only a PLATFORM fee can.",
            path=path,
            constraint=FeePayer.SELLER.value,
        )
        self.rule = rule


class BaseStackUnknown(InvalidInput):
    """A fee on a fee whose stack is not charged before it."""

    def __init__(self, rule: str, *, stack: str, path: Path) -> None:
        super().__init__(
            f"The rule {rule!r} is based on the stack {stack!r}, which no earlier rule belongs to: move its rules up.",
            path=path,
            constraint="a stack charged before",
        )
        self.rule = rule
        self.stack = stack


class PeriodEmpty(InvalidInput):
    """A rule that ends when it begins, or before."""

    def __init__(self, rule: str, *, path: Path) -> None:
        super().__init__(f"The rule {rule!r} ends before it begins.", path=path, constraint="> holdsFrom")
        self.rule = rule


class BandEmpty(InvalidInput):
    """A value band without a price in it."""

    def __init__(self, rule: str, *, path: Path) -> None:
        super().__init__(
            f"A value band of the rule {rule!r} holds no price: its end is not above its start.",
            path=path,
            constraint="> start, >= 0",
        )
        self.rule = rule


def check_schedule(schedule: Schedule) -> None:
    """Refuse a schedule that cannot be charged, naming the first wrong field as `("rules", "3", "fixed", "EUR")`.

    Raises the errors of this module, `RateOutOfRange`, `RateTooPrecise`, `UnknownCurrency`, `UnknownCountry`,
    `AmountTooLarge` and `TextUnusable`. Amounts that miss a currency are refused at the sale, where it is known.
    """
    if not schedule.rules:
        raise ScheduleEmpty
    if len(schedule.rules) > RULES_MAX:
        raise TooManyRules(len(schedule.rules), of="rules", limit=RULES_MAX)
    stacks = by_stack(schedule)
    if len(stacks) > STACKS_MAX:
        raise TooManyRules(len(stacks), of="stacks", limit=STACKS_MAX)
    if schedule.unmatched is Unmatched.REFUSE:
        for stack in sorted(schedule.required - stacks.keys()):
            raise StackEmpty(stack, stacks)
    names: set[str] = set()
    earlier: set[str] = set()
    for index, rule in enumerate(schedule.rules):
        at = ("rules", str(index))
        _check_rule(rule, at)
        if rule.name in names:
            raise DuplicateRule(rule.name, path=(*at, "name"))
        names.add(rule.name)
        if rule.based_on is not None and (rule.based_on not in earlier or rule.based_on == rule.stack):
            raise BaseStackUnknown(rule.name, stack=rule.based_on, path=(*at, "basedOn"))
        earlier.add(rule.stack)
    _check_stacks_start_after_their_bases(schedule)
    places = {rule.name: str(index) for index, rule in enumerate(schedule.rules)}
    for rules in stacks.values():
        _check_positions(rules, places)


def _check_rule(rule: FeeRule, at: Path) -> None:
    for field, text in (("name", rule.name), ("stack", rule.stack), ("account", rule.account)):
        if text is not None:
            _check_name(text, path=(*at, field))
    if rule.account is not None and not _ACCOUNT.fullmatch(rule.account):
        raise AccountMisnamed(path=(*at, "account"))
    rate_parts(rule.percent, path=(*at, "percent"))
    for field, amounts in (("fixed", rule.fixed), ("minimum", rule.minimum), ("maximum", rule.maximum)):
        _check_amounts(amounts, (*at, field))
    for currency, least in rule.minimum.items():
        most = rule.maximum.get(currency, least)
        if least > most:
            raise LimitsCrossed(
                rule.name, currency=currency, minimum=least, maximum=most, path=(*at, "minimum", currency)
            )
    if rule.tiers is not None:
        _check_tiers(rule, rule.tiers, (*at, "tiers"))
    if (rule.kind is FeeKind.PART) != bool(rule.recipient):
        raise RecipientUnclear(rule.name, kind=rule.kind, path=(*at, "recipient"))
    if rule.actual_share is not None:
        if rule.kind is not FeeKind.PROCESSOR:
            raise ShareMisplaced(rule.name, path=(*at, "actualShare"))
        rate_parts(rule.actual_share, path=(*at, "actualShare"))
    if rule.payer is FeePayer.BUYER and rule.kind is not FeeKind.PLATFORM:
        raise BuyerFeeKind(rule.name, kind=rule.kind, path=(*at, "payer"))
    if rule.holds_from is not None and rule.holds_until is not None and rule.holds_until <= rule.holds_from:
        raise PeriodEmpty(rule.name, path=(*at, "holdsUntil"))
    _check_conditions(rule, (*at, "when"))


def _check_name(text: str, *, path: Path) -> None:
    if not 1 <= len(text) <= NAME_LENGTH_MAX:
        raise RuleUnnamed(path=path)
    check_usable(text, path=path)


def _check_amounts(amounts: Mapping[str, int], at: Path) -> None:
    for currency, amount in amounts.items():
        exponent(currency, path=(*at, currency))
        if amount < 0:
            raise FixedFeeNegative(amount, path=(*at, currency))
        bounded(amount, path=(*at, currency))


def _check_tiers(rule: FeeRule, tiers: Tiers, at: Path) -> None:
    if rule.percent != Decimal(0):
        raise TiersUnclear(rule.name, "stand beside a percentage: leave that out", path=at)
    if not 1 <= len(tiers.steps) <= TIERS_MAX:
        raise TiersUnclear(rule.name, f"are {len(tiers.steps)}: give 1 to {TIERS_MAX}", path=at)
    for index, tier in enumerate(tiers.steps):
        place = (*at, str(index))
        rate_parts(tier.percent, path=(*place, "percent"))
        _check_amounts(tier.start, (*place, "start"))
        if index == 0:
            if any(tier.start.values()):
                raise TiersUnclear(rule.name, "do not start at 0", path=(*place, "start"))
            continue
        before = tiers.steps[index - 1].start
        if index > 1 and before.keys() != tier.start.keys():
            raise TiersUnclear(rule.name, "do not have the same currencies", path=(*place, "start"))
        if not tier.start:
            raise TiersUnclear(rule.name, "have no start", path=(*place, "start"))
        for currency, start in tier.start.items():
            if start <= before.get(currency, 0):
                raise TiersUnclear(rule.name, f"do not rise in {currency}", path=(*place, "start", currency))


def _check_conditions(rule: FeeRule, at: Path) -> None:
    when = rule.when
    for field, countries in (("sellerCountries", when.seller_countries), ("buyerCountries", when.buyer_countries)):
        for country in sorted(countries):
            known_country(country, path=(*at, field))
    for currency in sorted(when.currencies):
        exponent(currency, path=(*at, "currencies"))
    for index, band in enumerate(when.values):
        place = (*at, "values", str(index))
        exponent(band.currency, path=(*place, "currency"))
        if band.start < 0 or (band.end is not None and band.end <= band.start):
            raise BandEmpty(rule.name, path=place)


def _check_stacks_start_after_their_bases(schedule: Schedule) -> None:
    first: dict[str, int] = {}
    for index, rule in enumerate(schedule.rules):
        first.setdefault(rule.stack, index)
    for index, rule in enumerate(schedule.rules):
        if rule.based_on is not None and first[rule.based_on] > first[rule.stack]:
            raise BaseStackUnknown(rule.name, stack=rule.based_on, path=("rules", str(index), "basedOn"))


def _check_positions(rules: Sequence[FeeRule], places: Mapping[str, str]) -> None:
    by_position: dict[int, list[FeeRule]] = {}
    for rule in rules:
        if rule.position is not None:
            by_position.setdefault(rule.position, []).append(rule)
    for position, group in by_position.items():
        for first, second in combinations(group, 2):
            if _can_both_hold(first, second):
                path = ("rules", places[second.name], "position")
                raise RulesOverlap(first.name, second.name, position=position, path=path)


def _can_both_hold(first: FeeRule, second: FeeRule) -> bool:
    return _times_meet(first, second) and _conditions_meet(first.when, second.when)


def _times_meet(first: FeeRule, second: FeeRule) -> bool:
    def ends_before(end: datetime | None, start: datetime | None) -> bool:
        return end is not None and start is not None and end <= start

    return not ends_before(first.holds_until, second.holds_from) and not ends_before(
        second.holds_until, first.holds_from
    )


def _conditions_meet(first: Conditions, second: Conditions) -> bool:
    # A seller may be in several groups at once, so groups never exclude each other.
    for name in (
        *("sellers", "products", "channels", "seller_countries", "buyer_countries", "currencies", "payment_methods"),
    ):
        ones: frozenset[str] = getattr(first, name)
        others: frozenset[str] = getattr(second, name)
        if ones and others and not ones & others:
            return False
    if first.categories and second.categories:
        pairs = [(one, other) for one in first.categories for other in second.categories]
        if not any(one == other or one.startswith(other + "/") or other.startswith(one + "/") for one, other in pairs):
            return False
    if first.values and second.values:
        return any(_bands_meet(one, other) for one in first.values for other in second.values)
    return True


def _bands_meet(one: ValueBand, other: ValueBand) -> bool:
    return (
        one.currency == other.currency
        and (one.end is None or other.start < one.end)
        and (other.end is None or one.start < other.end)
    )
