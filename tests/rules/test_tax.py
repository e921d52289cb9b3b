"""Tax in and on a price, and the tax on the platform's fee."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.money import round_ratio
from marketbill.rules.countries import COUNTRIES, EU_MEMBERS, UnknownCountry
from marketbill.rules.rates import RateOutOfRange, RateTooPrecise, rate_parts
from marketbill.rules.tax.arithmetic import tax_on_top, tax_within
from marketbill.rules.tax.fee_tax import buyer_fee_tax, fee_tax, standard_rate
from marketbill.rules.tax.parties import BuyerTax, PlatformTax, SellerTax
from marketbill.rules.tax.rate_table import UnknownJurisdiction
from marketbill.rules.tax.vat_number import vat_number_valid
from marketbill.tax_data import built_in

NL = PlatformTax(country="NL", rate=Decimal(21))
GB = PlatformTax(country="GB", rate=Decimal(20))
IN = PlatformTax(country="IN", rate=Decimal(18))


@pytest.mark.parametrize(
    ("gross", "rate", "tax"),
    [(12100, "21", 2100), (99, "21", 17), (4999, "21", 868), (3999, "21", 694), (3102, "21", 538), (2000, "21", 347),
     (1240, "21", 215), (100, "0", 0), (1000, "5.5", 52), (200, "100", 100), (1, "21", 0)],
)  # fmt: skip
def test_tax_within_a_price(gross: int, rate: str, tax: int) -> None:
    assert round_ratio(*tax_within(gross=gross, rate=rate_parts(Decimal(rate)))) == tax


@pytest.mark.parametrize(
    ("net", "rate", "tax"),
    [
        (10000, "21", 2100),
        (512, "21", 108),
        (318, "21", 67),
        (50, "21", 11),
        (1000, "5.5", 55),
        (10, "0", 0),
        (7, "100", 7),
    ],
)
def test_tax_on_top_of_a_price(net: int, rate: str, tax: int) -> None:
    assert round_ratio(*tax_on_top(net=net, rate=rate_parts(Decimal(rate)))) == tax


def test_three_lines_of_099_hold_051_of_tax_and_one_document_of_297_holds_052() -> None:
    rate = rate_parts(Decimal(21))
    assert 3 * round_ratio(*tax_within(gross=99, rate=rate)) == 51
    assert round_ratio(*tax_within(gross=297, rate=rate)) == 52


@given(
    gross=st.integers(min_value=1, max_value=10**15),
    rate=st.decimals(min_value=0, max_value=100, places=4),
)
def test_tax_within_is_the_tax_on_the_exact_net(gross: int, rate: Decimal) -> None:
    exact = Fraction(*tax_within(gross=gross, rate=rate_parts(rate)))
    assert exact == (gross - exact) * Fraction(rate) / 100


@pytest.mark.parametrize(
    ("platform", "country", "has_number", "rate", "rule", "label"),
    [
        (NL, "NL", True, 21, "fee-vat:domestic", "VAT"),
        (NL, "NL", False, 21, "fee-vat:domestic", "VAT"),
        (NL, "DE", True, 0, "fee-vat:eu-reverse-charge", "Reverse charge"),
        (NL, "GR", True, 0, "fee-vat:eu-reverse-charge", "Reverse charge"),
        (NL, "FR", False, 21, "fee-vat:eu-fallback", "VAT"),
        (NL, "GB", True, 0, "fee-vat:gb-reverse-charge", "Outside the scope of VAT; reverse charge"),
        (NL, "GB", False, 0, "fee-vat:outside-scope", "Outside the scope of VAT"),
        (IN, "IN", True, 18, "fee-vat:domestic", "GST"),
        (IN, "IN", False, 18, "fee-vat:domestic", "GST"),
        (NL, "IN", True, 0, "fee-vat:outside-scope", "Outside the scope of VAT"),
        (IN, "DE", True, 0, "fee-vat:outside-scope", "Outside the scope of VAT"),
        (NL, "US", False, 0, "fee-vat:outside-scope", "Outside the scope of VAT"),
        (GB, "GB", False, 20, "fee-vat:domestic", "VAT"),
        (GB, "DE", True, 0, "fee-vat:outside-scope", "Outside the scope of VAT"),
        (GB, "US", False, 0, "fee-vat:outside-scope", "Outside the scope of VAT"),
    ],
)
def test_who_owes_tax_on_the_fee(
    platform: PlatformTax, country: str, has_number: bool, rate: int, rule: str, label: str
) -> None:
    decision = fee_tax(platform=platform, seller=SellerTax(country=country, vat_number_valid=has_number))
    assert (decision.rate, decision.rule, decision.label) == (Decimal(rate), rule, label)
    assert decision.jurisdiction == (platform.country if rate else "")


NL_OSS = PlatformTax(country="NL", rate=Decimal(21), registrations=frozenset({"EU", "GB"}))


@pytest.mark.parametrize(
    ("platform", "country", "business", "rate", "rule", "jurisdiction"),
    [
        (NL, "NL", False, 21, "domestic", "NL"),
        (NL, "NL", True, 21, "domestic", "NL"),
        (NL, "", False, 21, "domestic", "NL"),
        (NL, "DE", False, 21, "eu-threshold", "NL"),
        (NL_OSS, "DE", False, 19, "eu-oss", "DE"),
        (NL_OSS, "HU", False, 27, "eu-oss", "HU"),
        (NL_OSS, "DE", True, 0, "eu-reverse-charge", ""),
        (NL_OSS, "GB", False, 20, "registered", "GB"),
        (NL_OSS, "GB", True, 0, "outside-scope", ""),
        (NL, "GB", False, 0, "outside-scope", ""),
        (NL, "US", False, 0, "outside-scope", ""),
        (GB, "DE", False, 0, "outside-scope", ""),
    ],
)
def test_who_owes_tax_on_a_fee_of_the_buyer(
    platform: PlatformTax, country: str, business: bool, rate: int, rule: str, jurisdiction: str
) -> None:
    decision = buyer_fee_tax(
        platform=platform, buyer=BuyerTax(country, business=business), table=built_in(), on=date(2026, 3, 2)
    )
    assert (decision.rate, decision.rule, decision.jurisdiction) == (rate, f"buyer-fee-vat:{rule}", jurisdiction)


def test_a_platform_that_states_no_rate_charges_its_countrys() -> None:
    on = date(2026, 3, 2)
    assert [standard_rate(country, built_in(), on) for country in ("NL", "IN", "GB")] == [21, 18, 20]
    with pytest.raises(UnknownJurisdiction):
        standard_rate("US", built_in(), on)


@pytest.mark.parametrize("country", ["", "nl", "NLD", "EL", "UK", "EU", "XI", "ZZ"])
def test_a_code_that_is_no_country_is_refused_before_it_can_mean_outside_the_union(country: str) -> None:
    with pytest.raises(UnknownCountry) as refusal:
        SellerTax(country=country, vat_number_valid=True)
    assert refusal.value.path == ("country",)
    with pytest.raises(UnknownCountry):
        PlatformTax(country=country, rate=Decimal(21))


def test_the_lists_of_countries_are_whole() -> None:
    assert len(COUNTRIES) == 249
    assert len(EU_MEMBERS) == 27
    assert EU_MEMBERS < COUNTRIES


@pytest.mark.parametrize(
    ("rate", "parts"),
    [("0", 0), ("21", 210_000), ("5.5", 55_000), ("0.0001", 1), ("1E+1", 100_000), ("21.000000", 210_000)],
)
def test_a_rate_is_read_exactly(rate: str, parts: int) -> None:
    assert rate_parts(Decimal(rate)) == parts


@pytest.mark.parametrize("rate", ["-0.0001", "100.0001", "101", "1E+999999", "NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_rate_outside_0_to_100_is_refused(rate: str) -> None:
    with pytest.raises(RateOutOfRange):
        rate_parts(Decimal(rate))


@pytest.mark.parametrize("rate", ["0.00001", "20.99999", "1E-999999", "1." + "0" * 40 + "1"])
def test_a_rate_that_needs_more_than_four_decimals_is_refused(rate: str) -> None:
    with pytest.raises(RateTooPrecise):
        rate_parts(Decimal(rate))


@pytest.mark.parametrize(
    ("country", "number"),
    [("NL", "NL004495445B01"), ("NL", "004495445B01"), ("DE", "DE136695976"), ("DE", "de 136 695 976"),
     ("GR", "EL094259216"), ("AT", "U13585627"), ("GB", "GB980780684"), ("NO", "NO 995 525 828 MVA"),
     ("CH", "CHE-107.787.577 MWST")],
)  # fmt: skip
def test_a_vat_number_with_right_check_digits_is_valid(country: str, number: str) -> None:
    assert vat_number_valid(country=country, number=number)


@pytest.mark.parametrize(
    ("country", "number"),
    [
        ("DE", ""),
        ("DE", "DE136695977"),
        ("DE", "NL004495445B01"),
        ("US", "12-3456789"),
        ("ZZ", "1"),
        ("DE", "DE" + "1" * 90),
    ],
)
def test_a_vat_number_of_another_country_or_with_wrong_digits_is_not(country: str, number: str) -> None:
    assert not vat_number_valid(country=country, number=number)


@given(country=st.sampled_from(sorted(COUNTRIES)), number=st.text(max_size=40))
def test_any_text_is_a_vat_number_or_not(country: str, number: str) -> None:
    assert vat_number_valid(country=country, number=number) in (True, False)
