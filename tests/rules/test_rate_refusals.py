"""The words in which rate rows, look-ups and territories are refused: the row, what is wrong, what would be right."""

from dataclasses import replace
from datetime import date

import pytest

from marketbill.errors import InvalidInput
from marketbill.rules.tax.rate_checks import RateRowsGap, RateRowsOverlap, RateRowUnsound
from marketbill.rules.tax.rate_row import RateRow
from marketbill.rules.tax.rate_table import (
    NoRateOnDate,
    RateNotListed,
    RateTable,
    TaxCategoryNeeded,
    UnknownJurisdiction,
    UnknownTaxCategory,
)
from marketbill.rules.tax.territory import TerritoryEffect, TerritoryUnsound

from .test_rate_table import JULY, LATER, NEW_YEAR, SPAIN, TABLE, row

PRODUCTS = (
    "food, books, ebooks, newspapers, pharmaceuticals, medical-devices, children-clothing, hotel, restaurant,"
    " passenger-transport, culture-admission, digital-service, software-service"
)
CATEGORIES = "exempt, higher, parking, reduced, reduced-2, reduced-3, standard, super-reduced, zero"
HERE = "DE/standard/2020-01-01"
HTTPS = "give the https address of the page where a person can check it"


@pytest.mark.parametrize(
    ("rows", "field", "fault", "fix"),
    [
        (
            [row(), row("16", JULY)],
            "validFrom",
            f"DE/standard/2020-07-01 overlaps {HERE}, which holds with no end",
            "end the earlier row on 2020-07-01, or begin this one where the earlier ends",
        ),
        (
            [row("19", NEW_YEAR, LATER), row("16", JULY)],
            "validFrom",
            f"DE/standard/2020-07-01 overlaps {HERE}, which holds until 2021-01-01",
            "end the earlier row on 2020-07-01, or begin this one where the earlier ends",
        ),
        (
            [row("19", NEW_YEAR, JULY), row("16", LATER)],
            "validFrom",
            f"DE/standard/2021-01-01 leaves a gap after {HERE}: nothing holds from 2020-07-01 to 2020-12-31",
            "begin it on 2020-07-01, or add a row for those days",
        ),
        ([replace(row(), legal_source=" ")], "legalSource", f"{HERE} has no source", "name the act and its section"),
        ([replace(row(), source_url="example.org")], "sourceUrl", f"{HERE} has no source", HTTPS),
        (
            [row(place="Germany")],
            "jurisdiction",
            "Germany/standard/2020-01-01 names no place",
            "use an ISO 3166 code such as 'DE', 'XI' or 'CA-ON'",
        ),
        (
            [row(category="bread")],
            "category",
            "DE/bread/2020-01-01 has no category of rates",
            f"use one of {CATEGORIES}",
        ),
        (
            [row(supply="bread")],
            "supply",
            "DE/standard:bread/2020-01-01 has a product that is not in the list",
            f"use one of {PRODUCTS}",
        ),
        ([row("5", category="zero")], "rate", "DE/zero/2020-01-01 is zero and has a rate", "set the rate to 0"),
        ([replace(row(), tax=" ")], "tax", f"{HERE} does not name its tax", "name it, such as 'VAT'"),
        (
            [row("19", JULY, JULY)],
            "validTo",
            "DE/standard/2020-07-01 ends before it begins",
            "valid_to is the first day it holds no more",
        ),
    ],
)
def test_a_row_is_refused_in_these_words(rows: list[RateRow], field: str, fault: str, fix: str) -> None:
    with pytest.raises(RateRowUnsound) as refused:
        RateTable(rows)
    assert refused.value.message == f"The rate row {fault}: {fix}."
    assert (refused.value.path, refused.value.constraint, refused.value.fix) == ((field,), fix, fix)
    assert refused.value.row in rows
    if isinstance(refused.value, RateRowsOverlap):
        assert refused.value.other is rows[0]
    if isinstance(refused.value, RateRowsGap):
        assert refused.value.before is rows[0]


def test_a_rate_out_of_bounds_names_its_field() -> None:
    with pytest.raises(InvalidInput) as refused:
        RateTable([row("101")])
    assert refused.value.path == ("rate",)


LINE = ("lines", "0", "taxCategory")


@pytest.mark.parametrize(
    ("asked", "expected", "message", "constraint", "facts"),
    [
        (
            ("J" * 50, "standard", JULY),
            UnknownJurisdiction,
            f"There are no tax rates for '{'J' * 40}': use an ISO 3166 code such as 'DE' or 'CA-ON' that has rates, add"
            " a rate for it, or state the line's rate.",
            "a jurisdiction with rates",
            {"jurisdiction": "J" * 50},
        ),
        (
            ("DE", "b" * 50, JULY),
            UnknownTaxCategory,
            f"'{'b' * 40}' is no tax category: use one of standard, {PRODUCTS}.",
            "a tax category",
            {"category": "b" * 50},
        ),
        (
            ("DE", "", JULY),
            TaxCategoryNeeded,
            "The rate in DE depends on what is sold: give the line a tax category ('standard' where none other fits),"
            " or state its rate.",
            "a tax category",
            {"jurisdiction": "DE"},
        ),
        (
            ("DE", "food", JULY),
            RateNotListed,
            "There is no rate for 'food' in DE: add one with its legal source, or state the line's rate.",
            "a rate that is listed",
            {"jurisdiction": "DE", "category": "food"},
        ),
        (
            ("DE", "", LATER, "restaurant"),
            NoRateOnDate,
            "There is no rate for 'restaurant' in DE on 2021-01-01: it is listed from 2020-01-01 until 2021-01-01. Add"
            " a row for that day with its legal source, or state the line's rate.",
            "from 2020-01-01 until 2021-01-01",
            {"jurisdiction": "DE", "category": "restaurant", "on": LATER},
        ),
        (
            ("CA-BC", "standard", date(2019, 1, 1)),
            NoRateOnDate,
            "There is no rate for 'standard' in CA-BC on 2019-01-01: it is listed from 2020-01-01. Add a row for that"
            " day with its legal source, or state the line's rate.",
            "from 2020-01-01",
            {"jurisdiction": "CA-BC", "category": "standard", "on": date(2019, 1, 1)},
        ),
    ],
)
def test_a_look_up_is_refused_in_these_words(
    asked: tuple[str, str, date], expected: type[InvalidInput], message: str, constraint: str, facts: dict[str, object]
) -> None:
    with pytest.raises(expected) as refused:
        TABLE.rate(*asked, path=LINE)
    assert (refused.value.message, refused.value.path, refused.value.constraint) == (message, LINE, constraint)
    assert {name: getattr(refused.value, name) for name in facts} == facts
    with pytest.raises(expected) as pathless:
        TABLE.rate(*asked)
    assert pathless.value.path == ()


@pytest.mark.parametrize("asked", [("standard", ""), ("standard", "books")])
def test_the_tax_beneath_is_refused_with_the_path_of_the_line(asked: tuple[str, str]) -> None:
    alone = RateTable(
        [row("7", place="CA-BC", on_top_of="CA"), row("7", place="CA-BC", on_top_of="CA", supply="books")]
    )
    with pytest.raises(UnknownJurisdiction) as refused:
        alone.rate("CA-BC", asked[0], JULY, asked[1], path=LINE)
    assert (refused.value.jurisdiction, refused.value.path) == ("CA", LINE)


@pytest.mark.parametrize(
    ("territories", "message"),
    [
        (
            [replace(SPAIN, legal_source="")],
            "The territory ES-CN has no source: name the law and the https page where it can be read.",
        ),
        (
            [replace(SPAIN, effect=TerritoryEffect.PART_OF)],
            "The territory ES-CN is unclear about its rates: OUTSIDE has no jurisdiction, every other effect has one.",
        ),
        (
            [SPAIN, replace(SPAIN, code="ES-X1", prefixes=())],
            None,
        ),
        (
            [replace(SPAIN, prefixes=()), replace(SPAIN, code="ES-X1", prefixes=())],
            "The territory ES-X1 shares ES '' with ES-CN: give it to one.",
        ),
    ],
)
def test_a_territory_is_refused_in_these_words(territories: list, message: str | None) -> None:
    if message is None:
        assert RateTable([row()], territories).territory("ES", "28001") is territories[1]
        return
    with pytest.raises(TerritoryUnsound) as refused:
        RateTable([row()], territories)
    assert refused.value.message == message
    assert refused.value.territory is territories[-1]
    assert refused.value.path == ("territories", territories[-1].code)
