"""The built-in tax rates: CSV files beside this one, read once in a process into one table that nobody changes."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files

from marketbill.rules.tax.rate_row import RateRow
from marketbill.rules.tax.rate_table import RateTable
from marketbill.rules.tax.territory import Territory, TerritoryEffect

#: The first day of the table, for whatever was in force by then.
FIRST_DAY = date(2016, 1, 1)


@cache
def built_in() -> RateTable:
    """The table of the files: `rates.csv`, `products.csv` and `territories.csv`."""
    rates = [_rate(line) for line in _lines("rates.csv")]
    territories = [_territory(line) for line in _lines("territories.csv")]
    return RateTable([*rates, *_product_rows(rates, _lines("products.csv"), territories)], territories)


def _lines(name: str) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(files(__name__).joinpath(name).read_text(encoding="utf-8").splitlines())


def _rate(line: Mapping[str, str]) -> RateRow:
    return RateRow(
        jurisdiction=line["jurisdiction"],
        tax=line["tax"],
        category=line["category"],
        rate=Decimal(line["rate"]),
        valid_from=date.fromisoformat(line["valid_from"]),
        valid_to=_day(line["valid_to"]),
        legal_source=line["legal_source"],
        source_url=line["source_url"],
        retrieved=date.fromisoformat(line["retrieved"]),
        supply=line["supply"],
        note=line["note"],
        estimate=line["estimate"] == "yes",
        on_top_of=line["on_top_of"],
    )


def _territory(line: Mapping[str, str]) -> Territory:
    return Territory(
        code=line["code"],
        country=line["country"],
        name=line["name"],
        prefixes=tuple(line["prefixes"].split()),
        effect=TerritoryEffect(line["effect"]),
        jurisdiction=line["jurisdiction"],
        outside_union=line["outside_union"] == "yes",
        legal_source=line["legal_source"],
        source_url=line["source_url"],
        note=line["note"],
    )


def _product_rows(
    rates: Iterable[RateRow], products: Iterable[Mapping[str, str]], territories: Iterable[Territory]
) -> Iterator[RateRow]:
    """A row of its own for each product: the category it has, at that category's rate, cut where either changes.

    A territory with rates of its own sorts products as its country does, but where the file says otherwise.
    """
    plain: dict[tuple[str, str], list[RateRow]] = {}
    for row in rates:
        plain.setdefault((row.jurisdiction, row.category), []).append(row)
    lines = list(products)
    said = {(line["jurisdiction"], line["product"]) for line in lines}
    parts: dict[str, set[str]] = {}
    for territory in territories:
        if territory.effect is TerritoryEffect.OWN_RATES:
            parts.setdefault(territory.jurisdiction[:2], set()).add(territory.jurisdiction)
    for line in lines:
        country, product = line["jurisdiction"], line["product"]
        yield from _cut(line, plain[country, line["category"]])
        for part in sorted(parts.get(country, ())):
            if part != country and (part, product) not in said:
                yield from _cut(line, plain.get((part, line["category"]), ()))


def _cut(line: Mapping[str, str], rows: Iterable[RateRow]) -> Iterator[RateRow]:
    begins, ends = date.fromisoformat(line["valid_from"]), _day(line["valid_to"]) or date.max
    for row in rows:
        start, end = max(begins, row.valid_from), min(ends, row.valid_to or date.max)
        if start < end:
            yield replace(
                row,
                valid_from=start,
                valid_to=None if end == date.max else end,
                supply=line["product"],
                legal_source=line["legal_source"],
                source_url=line["source_url"],
                retrieved=date.fromisoformat(line["retrieved"]),
                note=line["note"] or row.note,
            )


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
