"""Whose a VAT number is, and what would be right in its place."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.rules.countries import COUNTRIES
from marketbill.rules.tax.vat_number import (
    OneStopShopNumber,
    VatNumberOfAnotherCountry,
    check_country,
    one_stop_shop_number_valid,
    vat_number_valid,
    vat_prefix,
    without_prefix,
)


@pytest.mark.parametrize(
    ("country", "number"),
    [
        ("AU", "83 914 571 673"), ("AU", "83914571673"), ("NZ", "49-091-850"), ("IN", "27AAPFU0939F1ZV"),
        ("CA", "12302 6635 RT 0001"), ("GB", "980780684"), ("GB", "XI980780684"), ("XI", "XI980780684"),
        ("CH", "CHE-107.787.577 MWST"), ("NO", "NO 995 525 828 MVA"),
    ],
)  # fmt: skip
def test_numbers_outside_the_union_are_checked_too(country: str, number: str) -> None:
    assert vat_number_valid(country=country, number=number)
    check_country(country=country, number=number)


@pytest.mark.parametrize(
    ("country", "number"),
    [("AU", "83 914 571 674"), ("NZ", "49-091-851"), ("IN", "27AAPFU0939F1ZO"), ("GB", "980780685"), ("CH", "107")],
)
def test_a_wrong_check_digit_is_found(country: str, number: str) -> None:
    assert not vat_number_valid(country=country, number=number)
    check_country(country=country, number=number)


@pytest.mark.parametrize(
    ("country", "number", "belongs_to", "right"),
    [
        ("DE", "NL004495445B01", "NL", "VAT number of DE, which begins with DE"),
        ("GR", "DE136695976", "DE", "VAT number of GR, which begins with EL"),
        ("IN", "EL094259216", "GR", "GSTIN of IN, such as '27AAPFU0939F1ZV'"),
        ("NL", "GB980780684", "GB", "VAT number of NL, which begins with NL"),
        ("GB", "de 136 695 976", "DE", "VAT number of GB, such as 'GB980780684'"),
        ("AU", "CHE-107.787.577 MWST", "CH", "ABN of AU, such as '83 914 571 673'"),
    ],
)
def test_a_number_of_another_country_is_refused_with_what_would_be_right(
    country: str, number: str, belongs_to: str, right: str
) -> None:
    with pytest.raises(VatNumberOfAnotherCountry) as refused:
        check_country(country=country, number=number, path=("vatNumber",))
    assert refused.value.belongs_to == belongs_to
    assert refused.value.path == ("vatNumber",)
    assert f"one of {belongs_to}, and the seller is established in {country}" in refused.value.message
    assert right in refused.value.message


@pytest.mark.parametrize("number", ["EU372022452", "EU 372 022 452", "IM3720000224"])
def test_a_number_of_the_one_stop_shop_is_a_registration_and_no_vat_number(number: str) -> None:
    assert one_stop_shop_number_valid(number)
    with pytest.raises(OneStopShopNumber, match="'EU' among the tax registrations"):
        check_country(country="US", number=number)


@pytest.mark.parametrize("number", ["EU999022452", "EU37202245", "IM372022452", "NL004495445B01", "", "E" * 40])
def test_what_is_no_number_of_the_one_stop_shop(number: str) -> None:
    assert not one_stop_shop_number_valid(number)


def test_greece_writes_el() -> None:
    assert (vat_prefix("GR"), vat_prefix("DE")) == ("EL", "DE")
    assert without_prefix("GR", "EL 094259216") == without_prefix("GR", "094259216") == "094259216"
    assert without_prefix("XI", "XI980780684") == "980780684"


@given(country=st.sampled_from(sorted(COUNTRIES)), number=st.text(max_size=40))
def test_any_text_passes_or_is_refused_in_our_words(country: str, number: str) -> None:
    with contextlib.suppress(VatNumberOfAnotherCountry, OneStopShopNumber):
        check_country(country=country, number=number)
