"""What sellers and the platform tell about their tax, through the API."""

from __future__ import annotations

from .market import Market

FIELDS = (
    "seller { id version vatNumberValid vatStatus vatCheckedAt taxRegistrations smallBusiness"
    " vatCheck { status failure } }"
)


async def test_a_seller_shows_where_he_accounts_for_tax_and_how_his_number_stands(market: Market) -> None:
    draft = {"name": "Anna", "email": "anna@example.com", "country": "DE", "vatNumber": "DE136695976"}
    made = await market.operator.do("sellerCreate", FIELDS, **draft, taxRegistrations=["US-CA", "EU"])
    assert made["seller"] == {
        "id": made["seller"]["id"],
        "version": 1,
        "vatNumberValid": True,
        "vatStatus": "UNCHECKED",
        "vatCheckedAt": None,
        "taxRegistrations": ["EU", "US-CA"],
        "smallBusiness": False,
        "vatCheck": None,
    }
    id = made["seller"]["id"]
    changed = await market.operator.do("sellerUpdate", FIELDS, id=id, taxRegistrations=["EU"], smallBusiness=True)
    assert changed["seller"]["taxRegistrations"] == ["EU"]
    assert changed["seller"]["smallBusiness"] is True
    assert changed["seller"]["vatNumberValid"] is True
    for wrong, path in (
        ({"taxRegistrations": ["UK"]}, ["taxRegistrations"]),
        ({"vatNumber": "NL004495445B01"}, ["vatNumber"]),
        ({"smallBusiness": None}, ["smallBusiness"]),
    ):
        refused = await market.operator.send("sellerUpdate", "seller { id }", id=id, **wrong)
        assert refused["errors"][0]["path"] == path


async def test_a_platform_shows_its_number_and_its_registrations(market: Market) -> None:
    fields = "platform { vatNumber taxRegistrations }"
    changed = await market.operator.do(
        "platformUpdate", fields, vatNumber="NL004495445B01", taxRegistrations=["US-CA", "EU", "US-CA"]
    )
    assert changed["platform"] == {"vatNumber": "NL004495445B01", "taxRegistrations": ["EU", "US-CA"]}
    removed = await market.operator.do("platformUpdate", fields, vatNumber=None)
    assert removed["platform"] == {"vatNumber": None, "taxRegistrations": ["EU", "US-CA"]}
    refused = await market.operator.send("platformUpdate", fields, vatNumber="DE136695976")
    assert refused["errors"][0]["path"] == ["vatNumber"]
