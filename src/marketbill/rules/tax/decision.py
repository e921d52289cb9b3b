"""The tax on each line of a basket: what it states, what its seller alone knows, or what the tables say."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction

from marketbill.errors import InvalidInput, Path
from marketbill.money import decimal_text, exponent, round_ratio
from marketbill.rules.basket import Basket, BasketLine
from marketbill.rules.discounts import Cut, cuts_of
from marketbill.rules.fx import NO_RATES, Rates
from marketbill.rules.rates import WHOLE, rate_parts
from marketbill.rules.tax.liability import LiabilityRow, LiabilityTable, RateFrom, SaleFacts, ValueMax
from marketbill.rules.tax.line_tax import Liable, LineTax
from marketbill.rules.tax.place import (
    Place,
    goods_tokens,
    place,
    place_of_supply,
    platform_tokens,
    seller_tokens,
)
from marketbill.rules.tax.rate_row import RateRow
from marketbill.rules.tax.rate_table import RateTable
from marketbill.rules.tax.supply import kind_of, rated_as
from marketbill.rules.tax.terms import TaxTerms

_ZERO = Decimal(0)
_UNKNOWN = LineTax(rate=_ZERO, liable=Liable.SELLER, rule="sale-tax:unknown", label="Tax by the seller", known=False)
_EXEMPT = "exempt"


class TaxNotDetermined(InvalidInput):
    """A line that states no tax rate, where nothing else decides it."""

    def __init__(self, *, line_id: str, why: str = "", path: Path) -> None:
        super().__init__(
            f"The tax of the line {line_id!r} is not determined{why}: state its rate, or say that it is unknown.",
            path=path,
        )
        self.line_id = line_id


class TaxPointMissing(InvalidInput):
    """Tables are to decide, and the instant whose rates apply is not among the terms."""

    def __init__(self) -> None:
        super().__init__("The tax point is missing: give the instant of payment or delivery.", path=("at",))


class TaxOnTopOnly(InvalidInput):
    """A price with the tax in it, in a place where tax always comes on top."""

    def __init__(self, line_id: str, jurisdiction: str, *, path: Path) -> None:
        super().__init__(
            f"The price of the line {line_id!r} includes tax, and in {jurisdiction} tax comes on top of the price:"
            " state the price without tax.",
            path=path,
            constraint="a price without tax",
        )
        self.line_id = line_id
        self.jurisdiction = jurisdiction


def decide(basket: Basket, tax: TaxTerms, rates: Rates = NO_RATES) -> dict[str, LineTax]:
    """The decision on every line by line id.

    A rate that a line states is kept as it is. Where none is stated the table of liability decides from the place of
    supply, the kind of supply and the parties, and the table of rates tells the rate there; a bound in another currency
    than the basket's is compared by `rates`.
    Raises `RateOutOfRange` and `RateTooPrecise` for a rate that a line states; and for lines that state none
    `TaxNotDetermined`, `TaxPointMissing`, `TaxOnTopOnly`, what `place_of_supply` and `RateTable.rate` raise, and
    `RateMissing`.
    """
    if all(line.tax_unknown or line.tax_rate is not None for line in basket.lines):
        return {line.id: _stated(line, index=index) for index, line in enumerate(basket.lines)}
    decided = _Decided(basket, tax, rates)
    return {line.id: decided.line(line, index=index) for index, line in enumerate(basket.lines)}


def _stated(line: BasketLine, *, index: int) -> LineTax:
    if line.tax_unknown:
        return _UNKNOWN
    assert line.tax_rate is not None
    rate_parts(line.tax_rate, path=("lines", str(index), "taxRate"))
    return LineTax(rate=line.tax_rate, liable=Liable.SELLER, rule="sale-tax:stated")


class _Decided:
    """One basket, its tables, and what is worked out once for several of its lines."""

    def __init__(self, basket: Basket, tax: TaxTerms, rates: Rates) -> None:
        self._basket = basket
        self._tax = tax
        self._rates = rates
        self._cuts: Mapping[str, Cut] | None = None
        self._consignments: dict[tuple[str, str, str], Fraction] = {}

    def line(self, line: BasketLine, *, index: int) -> LineTax:
        if line.tax_unknown or line.tax_rate is not None:
            return _stated(line, index=index)
        if (given := self._tax.given.get(line.id)) is not None:
            return given
        path = ("lines", str(index), "taxRate")
        table, liability = self._tax.table, self._tax.liability
        if table is None or liability is None:
            raise TaxNotDetermined(line_id=line.id, path=path)
        if self._tax.at is None:
            raise TaxPointMissing()
        return self._decide(line, table, liability, self._tax.at.date(), index=index)

    def _decide(
        self, line: BasketLine, table: RateTable, liability: LiabilityTable, on: date, *, index: int
    ) -> LineTax:
        at, seller = ("lines", str(index)), self._tax.sellers[line.seller_id]
        kind = kind_of(line.tax_category)
        supplied = place_of_supply(line, kind, self._tax, table, path=(*at, "shipFrom"))
        seller_country = _established(seller.country, table)
        origin = _established(line.ship_from or seller.country, table)
        facts = SaleFacts(
            place=liability.place(*supplied.codes),
            kind=frozenset({kind}),
            goods=goods_tokens(supplied, ship_from=origin, seller_country=seller_country)
            if kind == "GOODS"
            else frozenset(),
            seller=seller_tokens(supplied, seller, country=seller_country),
            buyer=frozenset({"BUSINESS" if self._tax.buyer.business else "CONSUMER"}),
            platform=platform_tokens(
                supplied, self._tax.platform, country=_established(self._tax.platform.country, table)
            ),
            on=on,
        )
        evidence = _evidence(facts, supplied, line, origin=origin, seller=seller.country, buyer=self._tax.buyer.country)
        value = self._is_within(line, supplied, table, on, evidence)
        row = liability.find(facts, is_within=value)
        if row is None:
            where = f": no row of the table of liability fits ({', '.join(f'{k} {v}' for k, v in evidence.items())})"
            raise TaxNotDetermined(line_id=line.id, why=where, path=(*at, "taxRate"))
        return self._outcome(row, line, supplied, origin, table, liability, on, evidence, at=at)

    def _outcome(
        self,
        row: LiabilityRow,
        line: BasketLine,
        supplied: Place,
        origin: str,
        table: RateTable,
        liability: LiabilityTable,
        on: date,
        evidence: dict[str, str],
        *,
        at: Path,
    ) -> LineTax:
        evidence["row"] = row.id
        if row.scheme:
            evidence["scheme"] = row.scheme
        if row.rate is RateFrom.ZERO:
            owed = supplied.jurisdiction if row.liable is Liable.BUYER else ""
            return LineTax(
                rate=_ZERO,
                liable=row.liable,
                rule=row.rule,
                label=row.label,
                jurisdiction=owed,
                category=line.tax_category,
                source=row.source,
                evidence=evidence,
            )
        jurisdiction = supplied.jurisdiction if row.rate is RateFrom.PLACE else origin
        found = _rate(table, jurisdiction, line, on, path=(*at, "taxCategory"))
        if row.exclusive and line.tax_inclusive and found.rate:
            raise TaxOnTopOnly(line.id, jurisdiction, path=(*at, "taxInclusive"))
        practice = liability.practice(supplied.country if row.rate is RateFrom.PLACE else origin)
        evidence |= {"rate": found.reference, "rate_source": found.legal_source, "tax_point": practice.tax_point.value}
        if found.estimate:
            evidence["estimate"] = "yes"
        exempt = found.category == _EXEMPT
        return LineTax(
            rate=found.rate,
            liable=Liable.NOBODY if exempt else row.liable,
            rule=row.rule,
            label="Exempt" if exempt else f"{row.label} (estimate)" if found.estimate else row.label,
            jurisdiction="" if exempt else jurisdiction,
            category=found.category,
            source=found.legal_source if exempt else row.source,
            rounding=practice.rounding,
            withheld=row.withheld if found.rate else (),
            evidence=evidence,
        )

    def _is_within(
        self, line: BasketLine, supplied: Place, table: RateTable, on: date, evidence: dict[str, str]
    ) -> Callable[[ValueMax], bool]:
        """Whether the goods that one seller sends from one country are worth no more than a bound, before tax."""

        def is_within(bound: ValueMax) -> bool:
            currency = self._basket.currency
            minor = self._consignment(line, supplied, table, on)
            value = minor / 10 ** exponent(currency)
            evidence["consignment"] = f"{decimal_text(_rounded(minor), currency)} {currency}"
            if bound.currency != currency:
                rate = self._rates.rate(currency, bound.currency)
                value *= Fraction(rate.numerator, rate.denominator)
                evidence["consignment_rate"] = f"{rate.numerator}/{rate.denominator} {currency}/{bound.currency}"
                evidence["consignment_rate_source"] = rate.source
            evidence["consignment_max"] = f"{bound.amount} {bound.currency}"
            return value <= bound.amount

        return is_within

    def _consignment(self, line: BasketLine, supplied: Place, table: RateTable, on: date) -> Fraction:
        """What the goods of the line's seller from the line's country are worth, minor units without tax; worked out
        once for all of them."""
        home = self._tax.sellers[line.seller_id].country
        origin = line.ship_from or home
        key = (line.seller_id, origin, supplied.jurisdiction)
        if key not in self._consignments:
            self._consignments[key] = sum(
                (
                    self._net(other, supplied, table, on, index=index)
                    for index, other in enumerate(self._basket.lines)
                    if other.seller_id == line.seller_id
                    and (other.ship_from or home) == origin
                    and kind_of(other.tax_category) == "GOODS"
                ),
                Fraction(0),
            )
        return self._consignments[key]

    def _net(self, line: BasketLine, supplied: Place, table: RateTable, on: date, *, index: int) -> Fraction:
        if self._cuts is None:
            self._cuts = cuts_of(self._basket)
        cut = self._cuts.get(line.id)
        price = Fraction(line.quantity * line.unit_price - (cut.discount if cut else 0))
        if not line.tax_inclusive or line.tax_unknown:
            return price
        rate = line.tax_rate
        if rate is None:
            rate = _rate(table, supplied.jurisdiction, line, on, path=("lines", str(index), "taxCategory")).rate
        return price * WHOLE / (WHOLE + rate_parts(rate))


def _rate(table: RateTable, jurisdiction: str, line: BasketLine, on: date, *, path: Path) -> RateRow:
    category, product = rated_as(line.tax_category)
    return table.rate(jurisdiction, category, on, product, path=path)


def _established(country: str, table: RateTable) -> str:
    """The country as whose part a country code counts: Monaco is France's, the Isle of Man the United Kingdom's."""
    return place(country, table, goods=False).country


def _rounded(exact: Fraction) -> int:
    return round_ratio(exact.numerator, exact.denominator)


def _evidence(
    facts: SaleFacts, supplied: Place, line: BasketLine, *, origin: str, seller: str, buyer: str
) -> dict[str, str]:
    told = {
        "place": supplied.jurisdiction,
        "kind": next(iter(facts.kind)),
        "category": line.tax_category,
        "goods": _told(facts.goods),
        "ship_from": origin if facts.goods else "",
        "seller": seller,
        "seller_is": _told(facts.seller),
        "buyer": buyer,
        "buyer_is": _told(facts.buyer),
        "platform_is": _told(facts.platform),
        "on": facts.on.isoformat(),
    }
    return {name: value for name, value in told.items() if value}


def _told(tokens: frozenset[str]) -> str:
    return " ".join(sorted(tokens))
