"""Postcodes where a country's tax is another, or none."""

from datetime import date

import pytest

from marketbill.rules.tax.territory import TerritoryEffect
from marketbill.tax_data import built_in

TABLE = built_in()


@pytest.mark.parametrize(
    ("country", "postcode", "code", "effect", "jurisdiction"),
    [
        ("ES", "35001", "ES-CN", "OUTSIDE", ""),
        ("ES", "38-640", "ES-CN", "OUTSIDE", ""),
        ("ES", "51001", "ES-CE", "OUTSIDE", ""),
        ("ES", "52006", "ES-ML", "OUTSIDE", ""),
        ("DE", "78266", "DE-X1", "OUTSIDE", ""),
        ("DE", "27498", "DE-X2", "OUTSIDE", ""),
        ("IT", "23041", "IT-X1", "OUTSIDE", ""),
        ("IT", "22061", "IT-X2", "OUTSIDE", ""),
        ("FI", "22100", "FI-01", "OUTSIDE", ""),
        ("AX", "", "AX", "OUTSIDE", ""),
        ("GR", "630 86", "GR-69", "OUTSIDE", ""),
        ("PT", "9500-321", "PT-20", "OWN_RATES", "PT-20"),
        ("PT", "9000-001", "PT-30", "OWN_RATES", "PT-30"),
        ("AT", "6691", "AT-X1", "OWN_RATES", "AT-X1"),
        ("AT", "6992", "AT-X1", "OWN_RATES", "AT-X1"),
        ("FR", "97400", "FR-974", "OWN_RATES", "FR-974"),
        ("RE", "97400", "RE", "OWN_RATES", "FR-974"),
        ("FR", "97300", "FR-973", "OUTSIDE", ""),
        ("FR", "97133", "FR-BL", "OUTSIDE", ""),
        ("MC", "98000", "MC", "PART_OF", "FR"),
        ("GB", "im1 1aa", "GB-X1", "PART_OF", "GB"),
        ("GB", "JE2 3AB", "GB-X2", "OUTSIDE", ""),
        ("GB", "GY1 1AA", "GB-X3", "OUTSIDE", ""),
        ("GB", "BT1 5GS", "XI", "OWN_RATES", "XI"),
        ("NO", "9170", "NO-21", "OUTSIDE", ""),
        ("AU", "2899", "AU-X1", "OUTSIDE", ""),
    ],
)
def test_a_territory_is_told_by_its_postcode(
    country: str, postcode: str, code: str, effect: str, jurisdiction: str
) -> None:
    found = TABLE.territory(country, postcode)
    assert found is not None
    assert (found.code, found.effect, found.jurisdiction) == (code, TerritoryEffect(effect), jurisdiction)


@pytest.mark.parametrize(
    ("country", "postcode"),
    [
        ("ES", "28001"),
        ("DE", "10115"),
        ("IT", "23100"),
        ("FI", "00100"),
        ("PT", "1000-001"),
        ("AT", "6700"),
        ("FR", "75001"),
        ("FR", "20000"),
        ("GB", "B1 1AA"),
        ("GB", "SW1A 1AA"),
        ("NO", "0150"),
        ("AU", "2000"),
        ("ES", ""),
        ("US", "94105"),
    ],
)
def test_the_mainland_is_no_territory(country: str, postcode: str) -> None:
    assert TABLE.territory(country, postcode) is None


def test_rates_of_a_territory_are_there() -> None:
    for one in TABLE.territories:
        if one.jurisdiction:
            assert TABLE.rate(one.jurisdiction, "standard", date(2026, 1, 1)).rate > 0
