"""The return of the One Stop Shop (Union scheme): a quarter's sales by member state of consumption, in euro.

Sources: Directive 2006/112/EC. What a return holds is in art. 369g: for each member state of consumption the value
without tax, the rates, and the tax by rate, goods apart from services, and goods apart by the member state that they
were sent from. Amounts of other currencies are converted at the rate of the European Central Bank of the last day of
the period or, where none was published on it, of the *next* day of publication (art. 369h(2); art. 366(2) says the same
for the non-Union scheme). Amounts are not rounded to whole units (Implementing Regulation 282/2011, art. 60). What
changes of earlier quarters is told in a later return by member state and quarter (art. 369g(4)).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from marketbill.errors import InvalidInput, Path
from marketbill.money import round_half_away
from marketbill.rules.fx import ExchangeRate, RateMissing, exact

EURO = "EUR"
#: The scheme began on 2015-01-01 as the Mini One Stop Shop, and took its present form on 2021-07-01.
FIRST_YEAR = 2015
_LAST_YEAR = 9998
_TEXT = re.compile(r"(\d{4})-?Q([1-4])", re.ASCII)


class NotAQuarter(InvalidInput):
    """No quarter of a year that the scheme has."""

    def __init__(self, text: str, *, path: Path = ()) -> None:
        super().__init__(
            f"{text[:20]!r} is no quarter of the One Stop Shop: write 2026Q4, from {FIRST_YEAR}Q1 on.",
            path=path,
            constraint=f"{FIRST_YEAR}Q1 or later",
        )
        self.text = text


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    """Three calendar months (art. 369f). Raises NotAQuarter."""

    year: int
    number: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 4 or not FIRST_YEAR <= self.year <= _LAST_YEAR:
            raise NotAQuarter(f"{self.year}Q{self.number}", path=("quarter",))

    @classmethod
    def parse(cls, text: str) -> "Quarter":
        """`2026Q4` or `2026-Q4`. Raises NotAQuarter."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise NotAQuarter(text)
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, at: datetime) -> "Quarter":
        """The quarter of an instant, by its day in UTC."""
        on = at.astimezone(UTC)
        return cls(on.year, (on.month + 2) // 3)

    @property
    def first_day(self) -> date:
        return date(self.year, 3 * self.number - 2, 1)

    @property
    def last_day(self) -> date:
        return (self.first_day + timedelta(days=95)).replace(day=1) - timedelta(days=1)

    @property
    def start(self) -> datetime:
        """Its first instant, UTC."""
        return datetime(self.year, 3 * self.number - 2, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first instant after it, UTC."""
        after = self.last_day + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=UTC)

    def __str__(self) -> str:
        return f"{self.year}Q{self.number}"


class SupplyType(StrEnum):
    """What a return tells apart."""

    GOODS = "GOODS"
    SERVICES = "SERVICES"


@dataclass(frozen=True, slots=True)
class OssSales:
    """Sales that are declared together, in one currency's minor units; below zero for what was taken back.

    `quarter` is that of their supply: earlier than the return's for what corrects it. `sent_from` is empty for
    services, and where nobody knows.
    """

    consumed_in: str
    supply: SupplyType
    sent_from: str
    rate: Decimal
    quarter: Quarter
    currency: str
    base: int
    tax: int


@dataclass(frozen=True, slots=True)
class OssPart:
    """One currency's part of a line, with the rate that made euro of it; None for euro itself."""

    currency: str
    base: int
    tax: int
    rate: ExchangeRate | None


@dataclass(frozen=True, slots=True)
class OssLine:
    """One line of the return. `base` and `tax` are euro cents, each rounded once, of all currencies together."""

    consumed_in: str
    supply: SupplyType
    sent_from: str
    rate: Decimal
    base: int
    tax: int
    parts: tuple[OssPart, ...]


@dataclass(frozen=True, slots=True)
class OssCorrection:
    """What changes of an earlier quarter in one member state, in euro cents, at that quarter's own rates."""

    quarter: Quarter
    consumed_in: str
    base: int
    tax: int


@dataclass(frozen=True, slots=True)
class OssReturn:
    """A quarter's return. Amounts are euro cents."""

    quarter: Quarter
    lines: tuple[OssLine, ...]
    corrections: tuple[OssCorrection, ...]

    @property
    def base(self) -> int:
        """Of the quarter's own supplies."""
        return sum(line.base for line in self.lines)

    @property
    def tax(self) -> int:
        """Of the quarter's own supplies."""
        return sum(line.tax for line in self.lines)

    @property
    def balances(self) -> dict[str, int]:
        """The tax by member state of consumption, with corrections. One below zero is a claim on that member state, and
        does not lower what the others get."""
        found: dict[str, int] = {}
        for one in (*self.lines, *self.corrections):
            found[one.consumed_in] = found.get(one.consumed_in, 0) + one.tax
        return dict(sorted(found.items()))

    @property
    def payable(self) -> int:
        """What is paid with the return."""
        return sum(balance for balance in self.balances.values() if balance > 0)


#: One euro's rates by currency, for each quarter that a return needs.
QuarterRates = Mapping[Quarter, Mapping[str, ExchangeRate]]


def oss_return(quarter: Quarter, sales: Iterable[OssSales], rates: QuarterRates) -> OssReturn:
    """The return of a quarter from its sales and from what was taken back in it of earlier ones.

    Each line is rounded once, half away from zero, over the exact sum of its currencies, so that neither the order of
    the sales nor how they are grouped moves a cent. Raises RateMissing for a currency without a rate into euro, and
    ValueError for a supply of a later quarter.
    """
    lines: dict[tuple[str, SupplyType, str, Decimal], list[OssSales]] = {}
    corrections: dict[tuple[Quarter, str], list[OssSales]] = {}
    for sale in sales:
        if sale.quarter > quarter:
            raise ValueError(f"a supply of {sale.quarter} is no part of the return of {quarter}")
        if sale.quarter == quarter:
            key = (sale.consumed_in, sale.supply, sale.sent_from, sale.rate.normalize())
            lines.setdefault(key, []).append(sale)
        else:
            corrections.setdefault((sale.quarter, sale.consumed_in), []).append(sale)
    made: list[OssLine] = []
    for (consumed_in, supply, sent_from, rate), group in sorted(lines.items()):
        parts = _parts(group, rates.get(quarter, {}))
        base, tax = _in_euro(parts)
        made.append(OssLine(consumed_in, supply, sent_from, rate, base, tax, parts))
    corrected: list[OssCorrection] = []
    for (of, consumed_in), group in sorted(corrections.items()):
        base, tax = _in_euro(_parts(group, rates.get(of, {})))
        if base or tax:
            corrected.append(OssCorrection(of, consumed_in, base, tax))
    return OssReturn(quarter, tuple(made), tuple(corrected))


def _parts(sales: Iterable[OssSales], rates: Mapping[str, ExchangeRate]) -> tuple[OssPart, ...]:
    sums: dict[str, tuple[int, int]] = {}
    for sale in sales:
        base, tax = sums.get(sale.currency, (0, 0))
        sums[sale.currency] = base + sale.base, tax + sale.tax
    return tuple(
        OssPart(currency, base, tax, None if currency == EURO else _rate(currency, rates))
        for currency, (base, tax) in sorted(sums.items())
    )


def _rate(currency: str, rates: Mapping[str, ExchangeRate]) -> ExchangeRate:
    rate = rates.get(currency)
    if rate is None:
        raise RateMissing(currency, EURO)
    return rate


def _in_euro(parts: Iterable[OssPart]) -> tuple[int, int]:
    base = tax = Fraction()
    for part in parts:
        base += _exact(part.base, part)
        tax += _exact(part.tax, part)
    return round_half_away(base), round_half_away(tax)


def _exact(amount: int, part: OssPart) -> Fraction:
    return Fraction(amount) if part.rate is None else Fraction(*exact(amount, part.currency, part.rate))
