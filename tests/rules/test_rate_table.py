"""The rate table: what it finds, what it refuses, and what a platform's rows change of it."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.errors import InvalidInput
from marketbill.rules.rates import RateOutOfRange, RateTooPrecise
from marketbill.rules.tax.own_rates import OwnRate, standing
from marketbill.rules.tax.rate_checks import (
    RateRowsGap,
    RateRowsOverlap,
    RateRowUnsound,
    RateRowWithoutSource,
    check_rows,
)
from marketbill.rules.tax.rate_row import RateRow
from marketbill.rules.tax.rate_table import (
    NoRateOnDate,
    RateNotListed,
    RateTable,
    TaxCategoryNeeded,
    UnknownJurisdiction,
    UnknownTaxCategory,
)
from marketbill.rules.tax.territory import Territory, TerritoryEffect, TerritoryUnsound, normal_postcode

NEW_YEAR = date(2020, 1, 1)
JULY = date(2020, 7, 1)
LATER = date(2021, 1, 1)


def row(
    percent: str = "19",
    start: date = NEW_YEAR,
    end: date | None = None,
    *,
    place: str = "DE",
    category: str = "standard",
    supply: str = "",
    on_top_of: str = "",
) -> RateRow:
    return RateRow(
        jurisdiction=place,
        tax="VAT",
        category=category,
        rate=Decimal(percent),
        valid_from=start,
        valid_to=end,
        legal_source="UStG, s. 12",
        source_url="https://example.org/law",
        retrieved=date(2026, 11, 22),
        supply=supply,
        on_top_of=on_top_of,
    )


TABLE = RateTable(
    [
        row("19", NEW_YEAR, JULY),
        row("16", JULY, LATER),
        row("19", LATER),
        row("7", category="reduced"),
        row("7", category="reduced", supply="books"),
        row("19", NEW_YEAR, JULY, supply="restaurant"),
        row("7", JULY, LATER, category="reduced", supply="restaurant"),
        row("15", place="NZ"),
        row("5", place="CA"),
        row("7", place="CA-BC", on_top_of="CA"),
    ]
)


@pytest.mark.parametrize(
    ("on", "percent"),
    [(NEW_YEAR, "19"), (date(2020, 6, 30), "19"), (JULY, "16"), (date(2020, 12, 31), "16"), (LATER, "19")],
)
def test_a_rate_holds_from_its_first_day_until_the_next_begins(on: date, percent: str) -> None:
    assert TABLE.rate("DE", "standard", on).rate == Decimal(percent)


def test_a_product_wins_over_its_category() -> None:
    assert TABLE.rate("DE", "books", JULY).rate == 7
    assert TABLE.rate("DE", "standard", JULY, "books").rate == 7
    assert TABLE.rate("DE", "standard", JULY, "food").rate == 16
    assert TABLE.rate("DE", "standard", LATER, "restaurant").rate == 19
    assert TABLE.rate("DE", "", JULY, "books").reference == "DE/reduced:books/2020-01-01"


def test_no_category_is_enough_where_there_is_one_rate() -> None:
    assert TABLE.rate("NZ", "", JULY).rate == 15
    assert TABLE.rate("CA-BC", "", JULY).rate == 12
    with pytest.raises(TaxCategoryNeeded, match="'standard' where none other fits"):
        TABLE.rate("DE", "", JULY)


@pytest.mark.parametrize(
    ("place", "category", "supply", "on", "refusal", "says"),
    [
        ("JP", "standard", "", JULY, UnknownJurisdiction, "'JP'"),
        ("de", "standard", "", JULY, UnknownJurisdiction, "'de'"),
        ("", "standard", "", JULY, UnknownJurisdiction, "''"),
        ("DE" * 500, "standard", "", JULY, UnknownJurisdiction, "DEDE"),
        ("DE", "bread", "", JULY, UnknownTaxCategory, "'bread' is no tax category"),
        ("DE", "standard", "bread", JULY, UnknownTaxCategory, "'bread' is no tax category"),
        ("DE", "food", "", JULY, RateNotListed, "no rate for 'food' in DE"),
        ("DE", "", "food", JULY, RateNotListed, "no rate for 'food' in DE"),
        ("DE", "zero", "", JULY, RateNotListed, "add one with its legal source"),
        ("DE", "standard", "", date(2019, 12, 31), NoRateOnDate, "from 2020-01-01. Add a row"),
        ("DE", "restaurant", "", LATER, NoRateOnDate, "from 2020-01-01 until 2021-01-01"),
    ],
)
def test_what_is_not_in_the_table_is_refused_with_what_would_be_right(
    place: str, category: str, supply: str, on: date, refusal: type[InvalidInput], says: str
) -> None:
    with pytest.raises(refusal) as refused:
        TABLE.rate(place, category, on, supply, path=("lines", "0", "taxCategory"))
    assert says in refused.value.message
    assert len(refused.value.message) < 400
    assert refused.value.path == ("lines", "0", "taxCategory")
    assert refused.value.constraint


def test_a_rate_on_top_of_another_comes_added_up() -> None:
    found = TABLE.rate("CA-BC", "standard", JULY)
    assert (found.rate, [part.rate for part in found.parts]) == (Decimal(12), [Decimal(5), Decimal(7)])
    with pytest.raises(NoRateOnDate, match="in CA-BC on"):
        TABLE.rate("CA-BC", "standard", date(2019, 1, 1))


@pytest.mark.parametrize(
    ("rows", "refusal", "says"),
    [
        ([row(), row("16", JULY)], RateRowsOverlap, "DE/standard/2020-07-01 overlaps DE/standard/2020-01-01"),
        ([row("19", NEW_YEAR, LATER), row("16", JULY)], RateRowsOverlap, "which holds until 2021-01-01"),
        ([row(), row("16")], RateRowsOverlap, "overlaps"),
        ([row("19", NEW_YEAR, JULY), row("16", LATER)], RateRowsGap, "nothing holds from 2020-07-01 to 2020-12-31"),
        ([replace(row(), legal_source=" ")], RateRowWithoutSource, "name the act and its section"),
        ([replace(row(), source_url="")], RateRowWithoutSource, "https address"),
        ([replace(row(), source_url="http://example.org")], RateRowWithoutSource, "https address"),
        ([row("-1")], RateOutOfRange, "from 0 to 100"),
        ([row("100.1")], RateOutOfRange, "from 0 to 100"),
        ([row("NaN")], RateOutOfRange, "from 0 to 100"),
        ([row("9.97501")], RateTooPrecise, "at most 4"),
        ([row(place="Germany")], RateRowUnsound, "use an ISO 3166 code"),
        ([row(place="EL")], RateRowUnsound, "use an ISO 3166 code"),
        ([row(place="UK-LND")], RateRowUnsound, "use an ISO 3166 code"),
        ([row(category="bread")], RateRowUnsound, "has no category of rates"),
        ([row(supply="bread")], RateRowUnsound, "has a product that is not in the list"),
        ([row("5", category="zero")], RateRowUnsound, "set the rate to 0"),
        ([row("5", category="exempt")], RateRowUnsound, "set the rate to 0"),
        ([replace(row(), tax=" ")], RateRowUnsound, "name it, such as 'VAT'"),
        ([row("19", JULY, JULY)], RateRowUnsound, "ends before it begins"),
        ([row("19", JULY, NEW_YEAR)], RateRowUnsound, "ends before it begins"),
    ],
)
def test_unsound_rows_are_refused_by_name(rows: list[RateRow], refusal: type[InvalidInput], says: str) -> None:
    with pytest.raises(refusal) as refused:
        RateTable(rows)
    assert says in refused.value.message
    assert refused.value.path


def test_a_platforms_row_takes_the_built_in_ones_place_while_it_holds() -> None:
    own = row("17", date(2020, 3, 1), date(2020, 9, 1))
    table = TABLE.overlaid([own])
    assert [str(one.rate) for one in table.history("DE", "standard")] == ["19", "17", "16", "19"]
    assert table.rate("DE", "standard", date(2020, 8, 31)) is own
    assert table.rate("DE", "standard", date(2020, 2, 29)).rate == 19
    assert table.rate("DE", "standard", date(2020, 9, 1)).rate == 16
    assert TABLE.rate("DE", "standard", date(2020, 8, 31)).rate == 16
    assert table.rate("DE", "books", JULY).rate == 7
    for_ever = TABLE.overlaid([row("20", date(2022, 1, 1))])
    assert [one.valid_to for one in for_ever.history("DE", "standard")][-2:] == [date(2022, 1, 1), None]


def test_a_platforms_rows_may_not_overlap_nor_leave_a_gap() -> None:
    with pytest.raises(RateRowsOverlap):
        TABLE.overlaid([row("17", NEW_YEAR), row("18", JULY)])
    with pytest.raises(RateRowsGap):
        TABLE.overlaid([row("10", NEW_YEAR, JULY, place="JP"), row("12", LATER, place="JP")])
    with pytest.raises(RateRowsGap):
        TABLE.overlaid([row("7", date(2022, 1, 1), supply="restaurant", category="reduced")])
    assert TABLE.overlaid([row("10", NEW_YEAR, JULY), row("12", LATER)]).rate("DE", "standard", JULY).rate == 16


def own(id: str, entered: RateRow, replaces: str | None = None) -> OwnRate:
    return OwnRate(id, entered, replaces)


def test_an_open_own_row_ends_where_the_next_begins() -> None:
    found = standing([own("b", row("12", LATER)), own("a", row("10", NEW_YEAR))])
    assert [(one.id, one.row.valid_to) for one in found] == [("a", LATER), ("b", None)]


def test_a_replaced_row_is_as_if_it_never_was() -> None:
    found = standing(
        [own("a", row("10", NEW_YEAR)), own("b", row("12", JULY)), own("c", row("12", LATER), replaces="b")]
    )
    assert [(one.id, one.row.valid_to) for one in found] == [("a", LATER), ("c", None)]


def test_a_temporary_row_within_an_open_one_is_an_overlap() -> None:
    found = standing([own("a", row("10", NEW_YEAR)), own("b", row("12", JULY, LATER))])
    with pytest.raises(RateRowsOverlap, match="end the earlier row on 2020-07-01"):
        check_rows([one.row for one in found])


SPAIN = Territory(
    "ES-CN", "ES", "Canary Islands", ("35", "38"), TerritoryEffect.OUTSIDE, "", True, "a law", "https://example.org"
)


@pytest.mark.parametrize(
    ("territories", "says"),
    [
        ([replace(SPAIN, legal_source="")], "has no source"),
        ([replace(SPAIN, source_url="example.org")], "has no source"),
        ([replace(SPAIN, jurisdiction="ES")], "OUTSIDE has no jurisdiction"),
        ([replace(SPAIN, effect=TerritoryEffect.OWN_RATES)], "OUTSIDE has no jurisdiction"),
        ([SPAIN, replace(SPAIN, code="ES-X1", prefixes=("38",))], "shares ES '38' with ES-CN"),
    ],
)
def test_unsound_territories_are_refused_by_name(territories: list[Territory], says: str) -> None:
    with pytest.raises(TerritoryUnsound, match="The territory ES-") as refused:
        RateTable([row()], territories)
    assert says in refused.value.message


def test_the_longest_beginning_of_a_postcode_wins() -> None:
    part = replace(SPAIN, code="ES-X1", prefixes=("350",))
    table = RateTable([row()], [SPAIN, part])
    assert table.territory("ES", "35 001") is part
    assert table.territory("ES", "35-100") is SPAIN
    assert table.territory("ES", "36001") is None
    assert table.territory("PT", "35001") is None


CUTS = st.lists(st.integers(1, 3000), min_size=1, max_size=8, unique=True).map(sorted)


@given(cuts=CUTS, own_span=st.tuples(st.integers(0, 3000), st.integers(1, 2000)), day=st.integers(0, 5000))
def test_on_each_day_the_table_gives_the_own_row_that_holds_or_else_the_built_in_one(
    cuts: list[int], own_span: tuple[int, int], day: int
) -> None:
    starts = [NEW_YEAR, *(NEW_YEAR + timedelta(days=cut) for cut in cuts)]
    rows = [row(str(index), start, end) for index, (start, end) in enumerate(zip(starts, [*starts[1:], None]))]  # noqa: B905
    first, length = own_span
    mine = row("99", NEW_YEAR + timedelta(days=first), NEW_YEAR + timedelta(days=first + length))
    table, on = RateTable(rows).overlaid([mine]), NEW_YEAR + timedelta(days=day)
    expected = mine if mine.holds(on) else next(one for one in rows if one.holds(on))
    assert table.rate("DE", "standard", on).rate == expected.rate
    check_rows(table.rows)


def test_a_combined_rate_names_both_taxes_and_the_product_of_each() -> None:
    federal = replace(row("5", place="CA"), tax="GST")
    provincial = replace(row("7", place="CA-BC", on_top_of="CA"), tax="PST")
    books = replace(federal, supply="books", rate=Decimal(0), category="zero")
    table = RateTable([federal, provincial, books, replace(provincial, supply="books")])
    whole = table.rate("CA-BC", "standard", JULY)
    assert (whole.tax, whole.on_top_of, whole.parts) == ("GST + PST", "", (federal, provincial))
    assert table.rate("CA-BC", "standard", JULY, "books").rate == 7
    assert table.rate("CA-BC", "books", JULY).parts[0] is books


def test_own_rows_leave_the_territories_as_they_are() -> None:
    table = RateTable([row()], [SPAIN])
    assert table.overlaid([row("17", JULY, LATER)]).territory("ES", "35001") is SPAIN


def test_the_rates_of_a_day_are_listed_categories_first() -> None:
    listed = [(one.category, one.supply) for one in TABLE.on("DE", JULY)]
    assert listed == [("reduced", ""), ("standard", ""), ("reduced", "books"), ("reduced", "restaurant")]
    assert TABLE.on("JP", JULY) == []


def test_a_whole_country_code_can_be_a_territory() -> None:
    monaco = Territory("MC", "MC", "Monaco", (), TerritoryEffect.PART_OF, "FR", False, "a law", "https://example.org")
    table = RateTable([row()], [monaco, SPAIN])
    assert table.territory("MC") is monaco
    assert table.territory("MC", "98000") is monaco
    assert table.territory("ES") is None


def test_a_postcode_is_told_however_it_is_written() -> None:
    assert [normal_postcode(one) for one in ("bt1 5gs", "9500-321", "630.86")] == ["BT15GS", "9500321", "63086"]


def test_own_rows_one_after_another_cut_one_built_in_row() -> None:
    table = RateTable([row()]).overlaid([row("17", JULY, LATER), row("16", date(2022, 1, 1), date(2022, 7, 1))])
    assert [(str(one.rate), one.valid_from) for one in table.history("DE", "standard")] == [
        ("19", NEW_YEAR),
        ("17", JULY),
        ("19", LATER),
        ("16", date(2022, 1, 1)),
        ("19", date(2022, 7, 1)),
    ]


def test_each_open_own_row_ends_where_its_own_next_begins() -> None:
    third = date(2022, 1, 1)
    found = standing(
        [
            own("a", row("10", NEW_YEAR, place="JP")),
            own("b", row("12", LATER, place="JP")),
            own("c", row("14", third, place="JP")),
            own("d", row("1", JULY, place="KR")),
        ]
    )
    assert [(one.id, one.row.valid_to) for one in found] == [("a", LATER), ("b", third), ("c", None), ("d", None)]


def test_two_open_own_rows_of_one_day_are_an_overlap() -> None:
    found = standing([own("a", row("10")), own("b", row("12"))])
    with pytest.raises(RateRowsOverlap):
        check_rows([one.row for one in found])


def test_a_product_may_go_from_one_category_to_another() -> None:
    table = RateTable(
        [
            row("19", LATER, supply="restaurant"),
            row("7", JULY, LATER, category="reduced", supply="restaurant"),
            row("19", NEW_YEAR, JULY, supply="restaurant"),
            row("20", category="parking"),
            row("20", category="parking", place="AT"),
        ]
    )
    days = (NEW_YEAR, JULY, LATER)
    assert [str(table.rate("DE", "restaurant", on).rate) for on in days] == ["19", "7", "19"]
    assert [one.valid_from for one in table.history("DE", "restaurant")] == list(days)
    assert [(one.jurisdiction, one.subject) for one in table.rows[:2]] == [("AT", "parking"), ("DE", "parking")]
    assert table.jurisdictions == {"AT", "DE"}
