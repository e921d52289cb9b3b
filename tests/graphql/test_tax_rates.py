"""Tax rates over the API: read by the platform and its sellers, added by its operator."""

from __future__ import annotations

from .market import Market

RATE = {
    "jurisdiction": "NL",
    "category": "standard",
    "rate": "20.5",
    "validFrom": "2030-01-01",
    "legalSource": "Wet op de omzetbelasting 1968, art. 9(1)",
    "sourceUrl": "https://wetten.overheid.nl/BWBR0002629/",
    "reason": "the budget of 2029",
}
LIST = 'query($on: Date) { taxRates(jurisdiction: "NL", on: $on) { category supply rate total legalSource } }'


async def test_an_operator_reads_rates_and_adds_one(market: Market) -> None:
    fields = "taxRate { jurisdiction tax rate total validTo entry { id reason addedBy } }"
    before = (await market.operator.ask(LIST, on="2030-01-01"))["taxRates"]
    assert before[0] | {"legalSource": ""} == {
        "category": "reduced", "supply": None, "rate": "9", "total": "9", "legalSource": "",
    }  # fmt: skip
    made = await market.operator.do("taxRateAdd", fields, **RATE, idempotencyKey="rate-1")
    again = await market.operator.do("taxRateAdd", fields, **RATE, idempotencyKey="rate-1")

    assert again == made
    assert made["taxRate"]["tax"] == "VAT"
    assert made["taxRate"]["rate"] == made["taxRate"]["total"] == "20.5"
    assert made["taxRate"]["entry"]["reason"] == "the budget of 2029"
    standard = '{ taxRates(jurisdiction: "NL", on: "%s") { category supply rate entry { id } } }'
    for on, percent, id in (("2029-12-31", "21", None), ("2030-01-01", "20.5", made["taxRate"]["entry"]["id"])):
        listed = (await market.operator.ask(standard % on))["taxRates"]
        [row] = [row for row in listed if row["category"] == "standard" and row["supply"] is None]
        assert (row["rate"], row["entry"] and row["entry"]["id"]) == (percent, id)


async def test_a_rate_that_is_wrong_is_refused_with_its_field(market: Market) -> None:
    for changes, path in (
        ({"legalSource": ""}, ["legalSource"]),
        ({"sourceUrl": "nowhere"}, ["sourceUrl"]),
        ({"rate": "101"}, ["rate"]),
        ({"jurisdiction": "Holland"}, ["jurisdiction"]),
        ({"supply": "bread"}, ["supply"]),
        ({"validTo": "2029-01-01"}, ["validTo"]),
        ({"replaces": "txr_none"}, ["replaces"]),
    ):
        payload = await market.operator.send("taxRateAdd", "taxRate { rate }", **(RATE | changes))
        assert payload["taxRate"] is None
        assert payload["errors"][0]["path"] == path, payload
    answer = await market.operator.answer('{ taxRates(jurisdiction: "Holland") { rate } }')
    assert answer["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"


async def test_a_province_shows_its_own_tax_and_the_whole(market: Market) -> None:
    rates = (await market.operator.ask('{ taxRates(jurisdiction: "CA-BC", on: "2026-01-01") { rate total } }'))[
        "taxRates"
    ]
    assert rates == [{"rate": "7", "total": "12"}]
