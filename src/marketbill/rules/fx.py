"""Exchange rates as exact ratios with their source and time, and conversion by them.

A rate is never looked for further than asked: no inverse, no cross rate and no rate of another day stands in for one
that is missing. Whoever wants one of those makes it by name (`inverse`, `cross`) and its source says so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from math import gcd

from marketbill.errors import InvalidInput, Path
from marketbill.money import exponent, round_ratio

_SHOWN = Context(prec=10, rounding=ROUND_HALF_UP)


class BadRate(InvalidInput):
    """A rate of a currency to itself, or one that is not above zero."""

    def __init__(self, base: str, quote: str, rule: str, *, path: Path = ()) -> None:
        super().__init__(f"The rate from {base} to {quote} is no rate: {rule}.", path=path, constraint=rule)
        self.base = base
        self.quote = quote


class RateMissing(InvalidInput):
    """No rate of this pair. The opposite direction does not count: ask for the inverse by name."""

    def __init__(self, base: str, quote: str, on: date | None = None, *, path: Path = ()) -> None:
        until = f" on or before {on}" if on is not None else ""
        super().__init__(
            f"There is no exchange rate from {base} to {quote}{until}: load one (`marketbill fx refresh`), or sell in a"
            " currency that has one.",
            path=path,
            constraint="a known rate",
        )
        self.base = base
        self.quote = quote
        self.on = on


class RateTooOld(InvalidInput):
    """The last rate of this pair is older than the limit allows."""

    def __init__(self, rate: "ExchangeRate", on: date, days_max: int, *, path: Path = ()) -> None:
        super().__init__(
            f"The last exchange rate from {rate.base} to {rate.quote} is of {rate.at.date()}, more than {days_max} days"
            f" before {on}: load newer ones (`marketbill fx refresh`).",
            path=path,
            constraint=f"<= {days_max} days old",
        )
        self.rate = rate
        self.on = on
        self.days_max = days_max


class WrongCurrency(InvalidInput):
    """An amount of one currency and a rate of another, or two rates that have no currency in common."""

    def __init__(self, expected: str, found: str, *, path: Path = ()) -> None:
        super().__init__(
            f"The rate is from {found}, the amount is in {expected}.", path=path, constraint=f"a rate from {expected}"
        )
        self.expected = expected
        self.found = found


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """One unit of `base` is worth `numerator / denominator` units of `quote`, in whole units (not minor ones).

    `source` says who told it (`ecb`, `stripe:txn_…`), `at` when it was told or fixed. Raises BadRate, UnknownCurrency.
    """

    base: str
    quote: str
    numerator: int
    denominator: int
    source: str
    at: datetime

    def __post_init__(self) -> None:
        exponent(self.base)
        exponent(self.quote)
        if self.base == self.quote:
            raise BadRate(self.base, self.quote, "a currency is worth itself")
        if self.numerator <= 0 or self.denominator <= 0:
            raise BadRate(self.base, self.quote, "it must be above zero")

    @property
    def fraction(self) -> str:
        """In lowest terms, as it is shown: `9/10`, or `150` for a whole number."""
        return str(Fraction(self.numerator, self.denominator))


def rate_of(base: str, quote: str, rate: Decimal, *, source: str, at: datetime) -> ExchangeRate:
    """The rate that a decimal tells, exactly. Raises BadRate for what is no positive number."""
    if not rate.is_finite():
        raise BadRate(base, quote, "it must be a number")
    numerator, denominator = rate.as_integer_ratio()
    return ExchangeRate(base, quote, numerator, denominator, source, at)


def decimal_of(rate: ExchangeRate) -> str:
    """The rate as a decimal to be read, with ten significant digits where it has more. Never to be computed with."""
    exact = Fraction(rate.numerator, rate.denominator)
    return f"{_SHOWN.divide(Decimal(exact.numerator), Decimal(exact.denominator)):f}"


def inverse(rate: ExchangeRate) -> ExchangeRate:
    """The same rate read the other way; its source says that it was."""
    return ExchangeRate(rate.quote, rate.base, rate.denominator, rate.numerator, f"inverse of {rate.source}", rate.at)


def cross(first: ExchangeRate, second: ExchangeRate) -> ExchangeRate:
    """From the first's base to the second's quote, over the currency that stands between; as old as the older one.

    Raises WrongCurrency unless the first ends where the second begins, BadRate when they lead back to the start.
    """
    if first.quote != second.base:
        raise WrongCurrency(first.quote, second.base)
    numerator = first.numerator * second.numerator
    denominator = first.denominator * second.denominator
    common = gcd(numerator, denominator)
    source = f"{first.source} crossed with {second.source} over {first.quote}"
    return ExchangeRate(
        first.base, second.quote, numerator // common, denominator // common, source, min(first.at, second.at)
    )


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates that a computation may use, by (base, quote)."""

    by_pair: Mapping[tuple[str, str], ExchangeRate] = field(default_factory=dict)

    @classmethod
    def of(cls, rates: Iterable[ExchangeRate]) -> "Rates":
        return cls({(rate.base, rate.quote): rate for rate in rates})

    def rate(self, base: str, quote: str) -> ExchangeRate:
        """The rate of exactly this pair. Raises RateMissing."""
        found = self.by_pair.get((base, quote))
        if found is None:
            raise RateMissing(base, quote)
        return found

    def rate_on(self, base: str, quote: str, on: date, *, days_max: int) -> ExchangeRate:
        """The same, of `on` or of at most `days_max` days before. Raises RateMissing, also for a rate of a later day,
        and RateTooOld."""
        found = self.by_pair.get((base, quote))
        if found is None or found.at.date() > on:
            raise RateMissing(base, quote, on)
        if (on - found.at.date()).days > days_max:
            raise RateTooOld(found, on, days_max)
        return found


NO_RATES = Rates()


def exact(amount: int, currency: str, rate: ExchangeRate) -> tuple[int, int]:
    """What an amount is worth, in minor units of the rate's quote, as a ratio before rounding. Raises WrongCurrency."""
    if currency != rate.base:
        raise WrongCurrency(currency, rate.base)
    return (
        amount * rate.numerator * 10 ** exponent(rate.quote),
        rate.denominator * 10 ** exponent(rate.base),
    )


def convert(amount: int, currency: str, rate: ExchangeRate) -> int:
    """What an amount of `currency` is worth in the rate's quote, rounded once, half away from zero; both minor units.

    Raises WrongCurrency when the rate is not from `currency`.
    """
    return round_ratio(*exact(amount, currency, rate))


def spread(total: int, parts: Mapping[str, int]) -> dict[str, int]:
    """Shares of a converted whole in proportion to the parts that it was converted from, by largest remainder.

    Parts may be of either sign (a discount that the platform funds stands against the sellers' money); their sum is
    what `total` is worth, so it has the same sign and is not zero. The shares sum to `total`, each is less than one
    unit from its exact share, ties go by id, and the order of `parts` moves nothing. All signs turned round give the
    mirror.
    """
    whole = sum(parts.values())
    if whole == 0:
        if total == 0 and not any(parts.values()):
            return dict.fromkeys(parts, 0)
        raise ValueError("there is nothing to share out over")
    sign = 1 if whole > 0 else -1
    shares: dict[str, int] = {}
    remainders: list[tuple[int, str]] = []
    for id, part in parts.items():
        share, remainder = divmod(sign * part * sign * total, sign * whole)
        shares[id] = share
        remainders.append((-remainder, id))
    remainders.sort()
    for _, id in remainders[: sign * total - sum(shares.values())]:
        shares[id] += 1
    return {id: sign * share for id, share in shares.items()}
