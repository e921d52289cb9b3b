"""The table of tax rates: looked up by place, category and day, overlaid by a platform's own rows, never changed."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from types import MappingProxyType

from marketbill.errors import InvalidInput, Path
from marketbill.rules.tax.rate_checks import check_rows
from marketbill.rules.tax.rate_row import PRODUCT_CATEGORIES, RATE_CATEGORIES, RateRow
from marketbill.rules.tax.territory import Territory, check_territories, normal_postcode

#: Longest run of characters of a foreign text that a message repeats.
_SHOWN_MAX = 40


class UnknownJurisdiction(InvalidInput):
    """A place that the table has no rates of."""

    def __init__(self, jurisdiction: str, *, path: Path = ()) -> None:
        super().__init__(
            f"There are no tax rates for {jurisdiction[:_SHOWN_MAX]!r}: use an ISO 3166 code such as 'DE' or 'CA-ON'"
            " that has rates, add a rate for it, or state the line's rate.",
            path=path,
            constraint="a jurisdiction with rates",
        )
        self.jurisdiction = jurisdiction


class UnknownTaxCategory(InvalidInput):
    """Neither a product of our list nor a category of rates."""

    def __init__(self, category: str, *, path: Path = ()) -> None:
        known = ", ".join(("standard", *PRODUCT_CATEGORIES))
        super().__init__(
            f"{category[:_SHOWN_MAX]!r} is no tax category: use one of {known}.", path=path, constraint="a tax category"
        )
        self.category = category


class TaxCategoryNeeded(InvalidInput):
    """No category, in a place where the rate depends on it."""

    def __init__(self, jurisdiction: str, *, path: Path = ()) -> None:
        super().__init__(
            f"The rate in {jurisdiction} depends on what is sold: give the line a tax category ('standard' where none"
            " other fits), or state its rate.",
            path=path,
            constraint="a tax category",
        )
        self.jurisdiction = jurisdiction


class RateNotListed(InvalidInput):
    """A category that is known, but not what its rate is in this place."""

    def __init__(self, jurisdiction: str, category: str, *, path: Path = ()) -> None:
        super().__init__(
            f"There is no rate for {category!r} in {jurisdiction}: add one with its legal source, or state the line's"
            " rate.",
            path=path,
            constraint="a rate that is listed",
        )
        self.jurisdiction = jurisdiction
        self.category = category


class NoRateOnDate(InvalidInput):
    """A rate that is listed, but not for this day."""

    def __init__(self, jurisdiction: str, category: str, on: date, *, listed: str, path: Path = ()) -> None:
        super().__init__(
            f"There is no rate for {category!r} in {jurisdiction} on {on.isoformat()}: it is listed {listed}. Add a row"
            " for that day with its legal source, or state the line's rate.",
            path=path,
            constraint=listed,
        )
        self.jurisdiction = jurisdiction
        self.category = category
        self.on = on


class RateTable:
    """All rates, immutable. Build it once and share it: every look-up is one dictionary and one bisection.

    Raises what `check_rows` and `check_territories` raise.
    """

    __slots__ = ("_places", "_territories", "_timelines", "rows", "territories")

    def __init__(self, rows: Iterable[RateRow], territories: Iterable[Territory] = ()) -> None:
        self.rows: tuple[RateRow, ...] = tuple(sorted(rows, key=_order))
        self.territories: tuple[Territory, ...] = tuple(territories)
        check_rows(self.rows)
        check_territories(self.territories)
        timelines: dict[tuple[str, str], list[RateRow]] = {}
        places: dict[str, set[str]] = {}
        for row in self.rows:
            timelines.setdefault((row.jurisdiction, row.subject), []).append(row)
            places.setdefault(row.jurisdiction, set()).add(row.subject)
        self._timelines: Mapping[tuple[str, str], tuple[tuple[date, ...], tuple[RateRow, ...]]] = MappingProxyType(
            {key: (tuple(row.valid_from for row in found), tuple(found)) for key, found in timelines.items()}
        )
        self._places = MappingProxyType({place: frozenset(subjects) for place, subjects in places.items()})
        self._territories: Mapping[str, Mapping[str, Territory]] = _by_country(self.territories)

    @property
    def jurisdictions(self) -> frozenset[str]:
        """The places that have rates."""
        return frozenset(self._places)

    def rate(self, jurisdiction: str, category: str, on: date, supply: str = "", *, path: Path = ()) -> RateRow:
        """The row that holds in a place for a category on a day (the tax point, in the place's own calendar).

        `category` is a category of rates (`standard`, `reduced`) or a product (`books`); `supply`, a product, wins over
        it where the place has a row for it. No category at all is enough where one rate is all there is. A rate on top
        of another's (Canada's provinces) comes added up, with both rows in `parts`.
        Raises `UnknownJurisdiction`, `UnknownTaxCategory`, `TaxCategoryNeeded`, `RateNotListed`, `NoRateOnDate`.
        """
        subjects = self._places.get(jurisdiction)
        if subjects is None:
            raise UnknownJurisdiction(jurisdiction, path=path)
        for name in (category, supply):
            if name and name not in RATE_CATEGORIES and name not in PRODUCT_CATEGORIES:
                raise UnknownTaxCategory(name, path=path)
        if supply and (row := self._at(jurisdiction, supply, on)) is not None:
            return self._whole(row, on, path)
        if not category:
            if supply:
                raise self._refused(jurisdiction, supply, on, path)
            if len({row.rate for row in self.on(jurisdiction, on)}) > 1:
                raise TaxCategoryNeeded(jurisdiction, path=path)
            category = "standard"
        row = self._at(jurisdiction, category, on)
        if row is None:
            raise self._refused(jurisdiction, category, on, path)
        return self._whole(row, on, path)

    def on(self, jurisdiction: str, on: date) -> list[RateRow]:
        """Every row of a place that holds on a day, plain categories first; a province's without the country's part."""
        found = (self._at(jurisdiction, subject, on) for subject in sorted(self._places.get(jurisdiction, ())))
        return sorted((row for row in found if row is not None), key=_order)

    def history(self, jurisdiction: str, subject: str) -> tuple[RateRow, ...]:
        """The rows of one category or product of a place, the oldest first; none where there are none."""
        timeline = self._timelines.get((jurisdiction, subject))
        return timeline[1] if timeline else ()

    def territory(self, country: str, postcode: str = "") -> Territory | None:
        """The territory that a country code and postcode lie in, the longest beginning first; None for the mainland."""
        prefixes = self._territories.get(country)
        if prefixes is None:
            return None
        code = normal_postcode(postcode)
        for length in range(len(code), -1, -1):
            if (found := prefixes.get(code[:length])) is not None:
                return found
        return None

    def overlaid(self, rows: Sequence[RateRow]) -> "RateTable":
        """This table with rows that take the place of its own for as long as they hold.

        Raises what `check_rows` raises: overlaps among `rows`, and gaps in what comes out.
        """
        check_rows(rows, gaps=False)
        own: dict[tuple[str, str], list[RateRow]] = {}
        for row in rows:
            own.setdefault((row.jurisdiction, row.subject), []).append(row)
        kept = [piece for row in self.rows for piece in _around(row, own.get((row.jurisdiction, row.subject), ()))]
        return RateTable([*kept, *rows], self.territories)

    def _at(self, jurisdiction: str, subject: str, on: date) -> RateRow | None:
        timeline = self._timelines.get((jurisdiction, subject))
        if timeline is None:
            return None
        starts, rows = timeline
        index = bisect_right(starts, on) - 1
        return rows[index] if index >= 0 and rows[index].holds(on) else None

    def _whole(self, row: RateRow, on: date, path: Path) -> RateRow:
        if not row.on_top_of:
            return row
        beneath = self.rate(row.on_top_of, row.category, on, row.supply, path=path)
        return replace(
            row, tax=f"{beneath.tax} + {row.tax}", rate=beneath.rate + row.rate, on_top_of="", parts=(beneath, row)
        )

    def _refused(self, jurisdiction: str, subject: str, on: date, path: Path) -> InvalidInput:
        rows = self.history(jurisdiction, subject)
        if not rows:
            return RateNotListed(jurisdiction, subject, path=path)
        end = rows[-1].valid_to
        listed = f"from {rows[0].valid_from.isoformat()}" + (f" until {end.isoformat()}" if end else "")
        return NoRateOnDate(jurisdiction, subject, on, listed=listed, path=path)


def _order(row: RateRow) -> tuple[str, str, str, date]:
    return row.jurisdiction, row.supply, row.category if not row.supply else "", row.valid_from


def _by_country(territories: Iterable[Territory]) -> Mapping[str, Mapping[str, Territory]]:
    found: dict[str, dict[str, Territory]] = {}
    for one in territories:
        for prefix in one.prefixes or ("",):
            found.setdefault(one.country, {})[normal_postcode(prefix)] = one
    return found


def _around(row: RateRow, others: Sequence[RateRow]) -> list[RateRow]:
    """What is left of a row's time beside the others'."""
    pieces, start = list[RateRow](), row.valid_from
    for other in sorted(others, key=lambda one: one.valid_from):
        if row.valid_to is not None and other.valid_from >= row.valid_to:
            break
        if other.valid_from > start:
            pieces.append(replace(row, valid_from=start, valid_to=other.valid_from))
        if other.valid_to is None:
            return pieces
        start = max(start, other.valid_to)
    if row.valid_to is None or start < row.valid_to:
        pieces.append(replace(row, valid_from=start))
    return pieces
