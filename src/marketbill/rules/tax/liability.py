"""The table of who owes the tax on a sale: rows of conditions, read from above; the first that fits decides.

A row is data with its legal source and the days it is in force. What it asks of a sale is told as tokens, so that the
table reads like the law it came from: `HERE+SMALL` is a seller established at the place whose business is exempt,
`REGISTERED|HERE` one or the other, `!NUMBER` one who has shown no VAT number. An empty cell asks for nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

from marketbill.errors import InvalidInput
from marketbill.money import exponent
from marketbill.rules.rates import rate_parts
from marketbill.rules.tax.line_tax import Liable, TaxRounding, Withholding

#: The tokens of each condition beside the places, which are ISO codes, `EU`, `XI` and `REST` (none that the table has).
TOKENS: Mapping[str, frozenset[str]] = {
    "kind": frozenset({"GOODS", "E_SERVICE", "SERVICE", "STAY", "RIDE", "RESTAURANT", "EVENT"}),
    # Where goods are when they are sold. LOCAL: in the country of the place; CROSS: in another one of its customs and
    # tax union; IMPORT: outside; FROM_HOME: in the seller's own country.
    "goods": frozenset({"LOCAL", "CROSS", "IMPORT", "FROM_HOME"}),
    # Of a party at the place. HERE: established there; ABROAD: not; UNION: in the European Union; OUTSIDE: not;
    # REGISTERED: accounts for tax there by its registrations; OSS: in the One Stop Shop. SMALL: exempt by the size of
    # the business; NUMBER: has shown a valid VAT number.
    "seller": frozenset({"HERE", "ABROAD", "UNION", "OUTSIDE", "REGISTERED", "OSS", "SMALL", "NUMBER"}),
    "buyer": frozenset({"CONSUMER", "BUSINESS"}),
    "platform": frozenset({"HERE", "ABROAD", "UNION", "OUTSIDE", "REGISTERED", "OSS"}),
}
_REST = "REST"
#: A scheme names an account of the books.
_SCHEME = re.compile("(?=.{1,40}$)[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_Choice = TypeVar("_Choice", bound=StrEnum)
_CONDITIONS = ("place", *TOKENS)
COLUMNS = (
    *("id", *_CONDITIONS, "value_max", "currency", "valid_from", "valid_to"),
    *("liable", "rate", "scheme", "price", "withheld", "label", "source"),
)


class RateFrom(StrEnum):
    """Where the rate of a decision comes from."""

    #: The table of rates at the place of supply.
    PLACE = "PLACE"
    #: The table of rates of the country that the goods leave.
    ORIGIN = "ORIGIN"
    #: None is charged.
    ZERO = "ZERO"


class TaxPoint(StrEnum):
    """The event on whose day a sale is taxed."""

    DELIVERY = "DELIVERY"
    PAYMENT = "PAYMENT"


@dataclass(frozen=True, slots=True)
class Practice:
    """How a country rounds the tax of a sale, and on which day it arises for a sale that its seller accounts for."""

    country: str
    rounding: TaxRounding
    tax_point: TaxPoint
    source: str


#: The country of the practice that holds where a country has none of its own.
EVERYWHERE = "*"


class LiabilityRowWrong(InvalidInput):
    """A row of the table that cannot be used; the message names the row, its field, and what would be right."""

    def __init__(self, id: str, field: str, wanted: str) -> None:
        super().__init__(f"Row {id!r} of the table of tax liability: {field} {wanted}.", path=(id, field))
        self.id = id
        self.field = field


@dataclass(frozen=True, slots=True)
class _Alternative:
    needed: frozenset[str]
    forbidden: frozenset[str]

    def fits(self, tokens: frozenset[str]) -> bool:
        return self.needed <= tokens and not self.forbidden & tokens


_Condition = tuple[_Alternative, ...]


@dataclass(frozen=True, slots=True)
class ValueMax:
    """The most that a consignment may be worth, in whole units of a currency, before tax and transport."""

    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class SaleFacts:
    """What the table asks of one line: tokens by condition (see `TOKENS`), and the day of the tax point."""

    place: frozenset[str]
    kind: frozenset[str]
    goods: frozenset[str]
    seller: frozenset[str]
    buyer: frozenset[str]
    platform: frozenset[str]
    on: date


@dataclass(frozen=True, slots=True)
class LiabilityRow:
    """One row, in force from `valid_from` until before `valid_to` (None: still).

    `scheme` says how the tax is declared (`OSS`, `DOMESTIC`). `exclusive`: the price is always without the tax.
    `withheld`: what the platform keeps back besides, of taxed sales.
    """

    id: str
    conditions: Mapping[str, _Condition]
    value_max: ValueMax | None
    valid_from: date
    valid_to: date | None
    liable: Liable
    rate: RateFrom
    scheme: str
    exclusive: bool
    withheld: tuple[Withholding, ...]
    label: str
    source: str

    @property
    def rule(self) -> str:
        """The id of the decision that the row makes."""
        return f"sale-tax:{self.id}"

    def fits(self, facts: SaleFacts) -> bool:
        """Whether everything but the value of the consignment fits."""
        if facts.on < self.valid_from or (self.valid_to is not None and facts.on >= self.valid_to):
            return False
        return all(
            any(alternative.fits(getattr(facts, name)) for alternative in condition)
            for name, condition in self.conditions.items()
        )


class LiabilityTable:
    """The rows in their order, and the practice of countries (that of `EVERYWHERE` is needed)."""

    def __init__(self, rows: Iterable[LiabilityRow], practices: Iterable[Practice]) -> None:
        self.rows = tuple(rows)
        self._practices = {practice.country: practice for practice in practices}
        self._default = self._practices[EVERYWHERE]
        self._by_place: dict[frozenset[str], tuple[LiabilityRow, ...]] = {}
        named = (one.needed for row in self.rows for one in row.conditions.get("place", ()))
        self._places = frozenset[str]().union(*named) - {_REST}

    def place(self, *codes: str) -> frozenset[str]:
        """The tokens of a place by its codes (`DE` and `EU`; `US` and `US-CA`): `REST` when the table has none."""
        known = frozenset(codes)
        return known if known & self._places else known | {_REST}

    def practice(self, country: str) -> Practice:
        """How a country rounds, and when its tax arises."""
        return self._practices.get(country, self._default)

    def find(self, facts: SaleFacts, *, is_within: Callable[[ValueMax], bool]) -> LiabilityRow | None:
        """The first row that fits; `is_within` is asked only where a row bounds the value of the consignment."""
        for row in self._of(facts.place):
            if row.fits(facts) and (row.value_max is None or is_within(row.value_max)):
                return row
        return None

    def _of(self, place: frozenset[str]) -> tuple[LiabilityRow, ...]:
        rows = self._by_place.get(place)
        if rows is None:
            rows = tuple(
                row for row in self.rows if any(one.fits(place) for one in row.conditions.get("place", (_ANYTHING,)))
            )
            self._by_place[place] = rows
        return rows


_ANYTHING = _Alternative(frozenset(), frozenset())


def liability_table(records: Iterable[Mapping[str, str]], practices: Iterable[Mapping[str, str]]) -> LiabilityTable:
    """The table of its records (one a row, by the names of `COLUMNS`) and the countries' practices.

    Raises `LiabilityRowWrong`.
    """
    return LiabilityTable(_checked(records), [_practice(record) for record in practices])


def _practice(record: Mapping[str, str]) -> Practice:
    country = record["country"]
    if not record["source"]:
        raise LiabilityRowWrong(country, "source", "is missing: every row needs one")
    rounding, point = _member(country, "rounding", record, TaxRounding), _member(country, "tax_point", record, TaxPoint)
    return Practice(country, rounding, point, record["source"])


def _checked(records: Iterable[Mapping[str, str]]) -> Iterator[LiabilityRow]:
    seen: set[str] = set()
    for record in records:
        row = _row(record)
        if row.id in seen:
            raise LiabilityRowWrong(row.id, "id", "is that of another row too: give each its own")
        seen.add(row.id)
        yield row


def _row(record: Mapping[str, str]) -> LiabilityRow:
    id = record.get("id", "")
    for name in ("id", "valid_from", "liable", "rate", "label", "source"):
        if not record.get(name):
            raise LiabilityRowWrong(id, name, "is missing: every row needs one")
    valid_from, valid_to = _day(id, "valid_from", record), _day(id, "valid_to", record) if record["valid_to"] else None
    if valid_to is not None and valid_to <= valid_from:
        raise LiabilityRowWrong(id, "valid_to", "is not after valid_from: it is the first day without the row")
    if record["price"] not in ("", "EXCLUSIVE"):
        raise LiabilityRowWrong(id, "price", "is EXCLUSIVE or empty")
    liable, rate = _member(id, "liable", record, Liable), _member(id, "rate", record, RateFrom)
    if (rate is RateFrom.ZERO) != (liable in (Liable.BUYER, Liable.NOBODY)):
        raise LiabilityRowWrong(id, "rate", "is ZERO where the buyer or nobody owes the tax, and only there")
    return LiabilityRow(
        id=id,
        conditions={name: _condition(id, name, record[name]) for name in _CONDITIONS if record[name]},
        value_max=_value_max(id, record),
        valid_from=valid_from,
        valid_to=valid_to,
        liable=liable,
        rate=rate,
        scheme=record["scheme"],
        exclusive=record["price"] == "EXCLUSIVE",
        withheld=_withheld(id, record["withheld"]),
        label=record["label"],
        source=record["source"],
    )


def _condition(id: str, name: str, cell: str) -> _Condition:
    alternatives: list[_Alternative] = []
    for text in cell.split("|"):
        tokens = text.split("+")
        needed = frozenset(token for token in tokens if not token.startswith("!"))
        forbidden = frozenset(token[1:] for token in tokens if token.startswith("!"))
        unknown = (needed | forbidden) - TOKENS.get(name, needed | forbidden)
        if unknown or "" in needed | forbidden:
            raise LiabilityRowWrong(id, name, f"is made of {sorted(TOKENS.get(name, ()))}, '+', '|' and '!'")
        alternatives.append(_Alternative(needed, forbidden))
    return tuple(alternatives)


def _value_max(id: str, record: Mapping[str, str]) -> ValueMax | None:
    if not record["value_max"] and not record["currency"]:
        return None
    if not record["value_max"].isdecimal():
        raise LiabilityRowWrong(id, "value_max", "is a whole number of units of its currency")
    try:
        exponent(record["currency"])
    except InvalidInput:
        raise LiabilityRowWrong(id, "currency", "is an ISO 4217 code: a bound has a currency") from None
    return ValueMax(int(record["value_max"]), record["currency"])


def _withheld(id: str, cell: str) -> tuple[Withholding, ...]:
    if not cell:
        return ()
    scheme, _, text = cell.partition(":")
    try:
        rate = Decimal(text)
        rate_parts(rate)
    except (InvalidOperation, InvalidInput):
        raise LiabilityRowWrong(id, "withheld", "is a scheme and its percentage, such as 'in-tcs:0.5'") from None
    if not _SCHEME.fullmatch(scheme):
        raise LiabilityRowWrong(id, "withheld", "names an account: small letters, digits and single hyphens")
    return (Withholding(scheme, rate, f"sale-tax:{id}"),)


def _day(id: str, name: str, record: Mapping[str, str]) -> date:
    try:
        return date.fromisoformat(record[name])
    except ValueError:
        raise LiabilityRowWrong(id, name, "is a day such as '2021-07-01'") from None


def _member(id: str, name: str, record: Mapping[str, str], choices: type[_Choice]) -> _Choice:
    try:
        return choices(record[name])
    except ValueError:
        raise LiabilityRowWrong(id, name, f"is one of {', '.join(choices)}") from None
