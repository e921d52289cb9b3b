"""The built-in rates: sound, sourced, and the same as two packages that others keep."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import duty27_eu_vat
import eu_vat_rates_data
import pytest

from marketbill.rules.countries import EU_MEMBERS
from marketbill.rules.rates import rate_parts
from marketbill.rules.tax.rate_row import PRODUCT_CATEGORIES, RateRow
from marketbill.rules.tax.rate_table import NoRateOnDate, RateNotListed, RateTable, TaxCategoryNeeded
from marketbill.tax_data import FIRST_DAY, built_in

TABLE = built_in()
US_STATES = {row.jurisdiction for row in TABLE.rows if row.jurisdiction.startswith("US-")}


def days(start: date, end: date) -> Iterator[date]:
    while start <= end:
        yield start
        start += timedelta(days=1)


def rate(jurisdiction: str, category: str, on: str) -> str:
    return str(TABLE.rate(jurisdiction, category, date.fromisoformat(on)).rate)


def test_every_row_has_its_source() -> None:
    for row in TABLE.rows:
        assert len(row.legal_source) > 10, row.reference
        assert row.source_url.startswith("https://"), row.reference
        assert row.retrieved >= date(2026, 11, 22), row.reference
        rate_parts(row.rate)


def test_no_day_has_two_rates_or_none_in_between() -> None:
    timelines: dict[tuple[str, str], list[RateRow]] = {}
    for row in TABLE.rows:
        timelines.setdefault((row.jurisdiction, row.subject), []).append(row)
    for rows in timelines.values():
        assert rows[0].valid_from >= FIRST_DAY
        for before, after in pairwise(rows):
            assert before.valid_to == after.valid_from, after.reference


def test_the_table_is_read_once_and_shared() -> None:
    assert built_in() is built_in()
    assert RateTable(TABLE.rows, TABLE.territories).rows == TABLE.rows


def test_standard_rates_of_the_union_are_those_of_the_dated_package_on_every_day() -> None:
    checked = 0
    for country in sorted(EU_MEMBERS):
        for on in days(FIRST_DAY, duty27_eu_vat.DATA_AS_OF):
            assert TABLE.rate(country, "standard", on).rate == duty27_eu_vat.get_standard_rate(country, on), (
                country,
                on,
            )
            checked += 1
    assert checked == 27 * ((duty27_eu_vat.DATA_AS_OF - FIRST_DAY).days + 1)


#: What the package lists and the table leaves out, and why.
LEFT_OUT = {
    ("AT", "19"): "Jungholz and Mittelberg: AT-X1",
    ("FR", "0.9"): "Corsica and the overseas departments: apart",
    ("FR", "1.05"): "overseas departments: FR-971 and others",
    ("FR", "8.5"): "overseas departments: FR-971 and others",
    ("FR", "13"): "Corsica: petroleum",
    ("GR", "17"): "the islands",
    ("GR", "4"): "the islands",
    ("PT", "16"): "the Azores: PT-20",
    ("PT", "22"): "Madeira: PT-30",
}
#: What the table has, and the package does not list among its own: zero rates, exemptions, parking rates.
BESIDE = frozenset({"standard", "zero", "exempt", "parking"})
#: Rates above zero that the package's newest data lacks.
MISSING_THERE = {("IE", "4.8")}


@pytest.mark.parametrize("country", [*sorted(EU_MEMBERS), "GB", "XI", "CH", "NO"])
def test_todays_rates_are_those_of_the_other_package(country: str) -> None:
    on = date.fromisoformat(eu_vat_rates_data.data_version)
    theirs = eu_vat_rates_data.get_rate(country)
    assert theirs is not None
    assert TABLE.rate(country, "standard", on).rate == Decimal(str(theirs["standard"]))
    listed = {Decimal(str(one)) for one in (*theirs["reduced"], theirs["super_reduced"] or 0, theirs["parking"] or 0)}
    listed -= {Decimal(0), *(Decimal(one) for place, one in LEFT_OUT if place == country)}
    ours = {row.rate for row in TABLE.on(country, on) if not row.supply and row.category not in BESIDE}
    ours -= {Decimal(one) for place, one in MISSING_THERE if place == country}
    parking = {row.rate for row in TABLE.on(country, on) if not row.supply and row.category == "parking"}
    assert ours <= listed
    assert listed - parking <= ours


@pytest.mark.parametrize(
    ("jurisdiction", "category", "on", "percent"),
    [
        ("DE", "standard", "2020-06-30", "19"),
        ("DE", "standard", "2020-07-01", "16"),
        ("DE", "standard", "2020-12-31", "16"),
        ("DE", "standard", "2021-01-01", "19"),
        ("DE", "food", "2020-12-31", "5"),
        ("DE", "restaurant", "2019-06-01", "19"),
        ("DE", "restaurant", "2020-08-01", "5"),
        ("DE", "restaurant", "2023-12-31", "7"),
        ("DE", "restaurant", "2024-01-01", "19"),
        ("DE", "restaurant", "2026-01-01", "7"),
        ("DE", "ebooks", "2019-12-17", "19"),
        ("DE", "ebooks", "2019-12-18", "7"),
        ("IE", "standard", "2020-08-31", "23"),
        ("IE", "standard", "2020-09-01", "21"),
        ("IE", "standard", "2021-02-28", "21"),
        ("IE", "standard", "2021-03-01", "23"),
        ("IE", "hotel", "2023-08-31", "9"),
        ("IE", "hotel", "2023-09-01", "13.5"),
        ("EE", "standard", "2023-12-31", "20"),
        ("EE", "standard", "2024-01-01", "22"),
        ("EE", "standard", "2025-07-01", "24"),
        ("EE", "hotel", "2025-01-01", "13"),
        ("SK", "standard", "2024-12-31", "20"),
        ("SK", "standard", "2025-01-01", "23"),
        ("SK", "books", "2025-01-01", "5"),
        ("FI", "standard", "2024-08-31", "24"),
        ("FI", "standard", "2024-09-01", "25.5"),
        ("FI", "books", "2024-12-31", "10"),
        ("FI", "books", "2025-01-01", "14"),
        ("FI", "food", "2026-01-01", "13.5"),
        ("RO", "standard", "2016-12-31", "20"),
        ("RO", "standard", "2017-01-01", "19"),
        ("RO", "standard", "2025-08-01", "21"),
        ("RO", "books", "2025-07-31", "5"),
        ("RO", "books", "2025-08-01", "11"),
        ("LU", "standard", "2023-06-01", "16"),
        ("LU", "books", "2023-06-01", "3"),
        ("GR", "standard", "2016-05-31", "23"),
        ("GR", "standard", "2016-06-01", "24"),
        ("NL", "food", "2018-12-31", "6"),
        ("NL", "food", "2019-01-01", "9"),
        ("NL", "hotel", "2026-01-01", "21"),
        ("CZ", "books", "2023-12-31", "10"),
        ("CZ", "books", "2024-01-01", "0"),
        ("LT", "reduced-2", "2026-01-01", "12"),
        ("LT", "ebooks", "2022-12-31", "21"),
        ("LT", "ebooks", "2023-01-01", "9"),
        ("LT", "books", "2026-01-01", "5"),
        ("AT", "books", "2020-06-30", "10"),
        ("AT", "books", "2021-12-31", "5"),
        ("AT", "newspapers", "2020-12-31", "5"),
        ("AT", "newspapers", "2021-01-01", "10"),
        ("AT", "ebooks", "2019-12-31", "20"),
        ("AT", "restaurant", "2021-12-31", "5"),
        ("AT", "super-reduced", "2026-07-01", "4.9"),
        ("CY", "books", "2023-07-20", "5"),
        ("CY", "books", "2023-07-21", "3"),
        ("SE", "food", "2026-03-31", "12"),
        ("SE", "food", "2026-04-01", "6"),
        ("SE", "food", "2028-01-01", "12"),
        ("HU", "hotel", "2019-12-31", "18"),
        ("HU", "hotel", "2020-01-01", "5"),
        ("FR", "newspapers", "2024-01-01", "2.1"),
        ("GB", "restaurant", "2020-07-14", "20"),
        ("GB", "restaurant", "2020-07-15", "5"),
        ("GB", "hotel", "2021-10-01", "12.5"),
        ("GB", "hotel", "2022-04-01", "20"),
        ("GB", "ebooks", "2020-04-30", "20"),
        ("GB", "ebooks", "2020-05-01", "0"),
        ("XI", "standard", "2021-01-01", "20"),
        ("CH", "standard", "2017-12-31", "8"),
        ("CH", "standard", "2018-01-01", "7.7"),
        ("CH", "standard", "2024-01-01", "8.1"),
        ("CH", "hotel", "2023-12-31", "3.7"),
        ("NO", "food", "2024-01-01", "15"),
        ("NO", "hotel", "2021-09-30", "6"),
        ("NO", "hotel", "2021-10-01", "12"),
        ("AU", "standard", "2024-01-01", "10"),
        ("NZ", "food", "2024-01-01", "15"),
        ("IN", "standard", "2025-09-22", "18"),
        ("IN", "reduced-2", "2025-09-21", "12"),
        ("IN", "higher", "2025-09-21", "28"),
        ("IN", "higher", "2025-09-22", "40"),
        ("CA", "standard", "2024-01-01", "5"),
        ("CA-NS", "standard", "2025-03-31", "15"),
        ("CA-NS", "standard", "2025-04-01", "14"),
        ("CA-ON", "food", "2024-01-01", "0"),
        ("CA-BC", "standard", "2024-01-01", "12"),
        ("CA-QC", "standard", "2024-01-01", "14.975"),
        ("CA-MB", "standard", "2019-06-30", "13"),
        ("CA-MB", "standard", "2019-07-01", "12"),
        ("PT-20", "standard", "2021-06-30", "18"),
        ("PT-20", "standard", "2021-07-01", "16"),
        ("PT-30", "reduced", "2024-10-01", "4"),
        ("AT-X1", "standard", "2024-01-01", "19"),
        ("FR-971", "standard", "2024-01-01", "8.5"),
        ("US-CA", "standard", "2024-01-01", "7.25"),
        ("US-LA", "standard", "2024-12-31", "4.45"),
        ("US-LA", "standard", "2025-01-01", "5"),
        ("US-OR", "standard", "2024-01-01", "0"),
    ],
)
def test_known_facts(jurisdiction: str, category: str, on: str, percent: str) -> None:
    assert rate(jurisdiction, category, on) == percent


def test_what_ended_is_refused_rather_than_guessed() -> None:
    with pytest.raises(NoRateOnDate, match="until 2025-09-22"):
        rate("IN", "reduced-2", "2025-09-22")
    with pytest.raises(NoRateOnDate, match="from 2017-07-01"):
        rate("IN", "standard", "2017-06-30")
    with pytest.raises(NoRateOnDate, match="from 2016-01-01"):
        rate("DE", "standard", "2015-12-31")
    with pytest.raises(RateNotListed):
        rate("US-TX", "books", "2024-01-01")


def test_american_rates_say_that_they_are_estimates() -> None:
    assert len(US_STATES) == 50
    for row in TABLE.rows:
        assert row.estimate == row.jurisdiction.startswith("US-"), row.reference
        if row.estimate:
            assert "estimate" in row.note, row.reference
            assert TABLE.rate(row.jurisdiction, "", row.valid_from) == row


def test_a_provinces_rate_comes_with_both_of_its_parts() -> None:
    row = TABLE.rate("CA-QC", "standard", date(2026, 1, 1))
    assert row.tax == "GST + QST"
    assert [(part.jurisdiction, str(part.rate)) for part in row.parts] == [("CA", "5"), ("CA-QC", "9.975")]


@pytest.mark.parametrize("country", sorted(EU_MEMBERS))
def test_a_member_state_knows_electronic_services_and_asks_what_else_is_sold(country: str) -> None:
    on = date(2026, 6, 1)
    standard = TABLE.rate(country, "standard", on).rate
    assert (
        TABLE.rate(country, "digital-service", on).rate == TABLE.rate(country, "software-service", on).rate == standard
    )
    with pytest.raises(TaxCategoryNeeded):
        TABLE.rate(country, "", on)


def test_no_product_has_a_rate_that_its_place_has_in_no_category() -> None:
    for row in TABLE.rows:
        if row.supply:
            assert row.supply in PRODUCT_CATEGORIES
            assert TABLE.rate(row.jurisdiction, row.category, row.valid_from).parts or (
                TABLE.rate(row.jurisdiction, row.category, row.valid_from).rate == row.rate
            )
