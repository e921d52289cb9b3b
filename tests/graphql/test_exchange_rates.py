"""Exchange rates through the API, and by which of them a platform's sellers are paid."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from marketbill.rates import refresh

from .market import Market
from .test_payments import basket

QUERY = (Path(__file__).resolve().parents[2] / "graphql/operations/exchangeRate.graphql").read_text()


async def test_a_rate_is_exact_and_says_where_it_comes_from(market: Market) -> None:
    await refresh.refresh(market.services.db, feed=None, since=date(2026, 9, 25))

    asked = await market.operator.ask(QUERY, base="EUR", quote="USD", on="2026-10-04")
    back = await market.operator.ask(QUERY, base="USD", quote="EUR", on="2026-10-04")

    told = asked["exchangeRate"]
    assert (told["base"], told["quote"], told["source"], told["fixedOn"]) == ("EUR", "USD", "ecb", "2026-10-02")
    assert back["exchangeRate"]["source"] == "inverse of ecb"
    assert back["exchangeRate"]["numerator"] == told["denominator"]
    assert back["exchangeRate"]["denominator"] == told["numerator"]


async def test_no_rate_is_an_error_that_names_the_pair_and_the_day(market: Market) -> None:
    await refresh.refresh(market.services.db, feed=None, since=date(2026, 9, 25))

    for base, on, words in (
        ("AED", "2026-10-01", "no exchange rate from AED to EUR on or before 2026-10-01"),
        ("USD", "2026-11-20", "more than 5 days before 2026-11-20"),
        ("USD", "2026-09-01", "no exchange rate from USD to EUR on or before 2026-09-01"),
    ):
        answer = await market.operator.post(QUERY, base=base, quote="EUR", on=on)
        [error] = answer.json()["errors"]
        assert words in error["message"]
        assert error["extensions"]["code"] == "INVALID_ARGUMENT"


async def test_the_sellers_rate_is_a_policy_of_the_platform(market: Market) -> None:
    fields = "platform { sellerRate sellerRateMarkup }"

    fresh = await market.operator.ask("{ platform { sellerRate sellerRateMarkup } }")
    assert fresh["platform"] == {"sellerRate": "PROVIDER", "sellerRateMarkup": "0"}
    marked = await market.operator.do("platformUpdate", fields, sellerRate="MARKUP", sellerRateMarkup="1.5")
    assert marked["platform"] == {"sellerRate": "MARKUP", "sellerRateMarkup": "1.5"}
    mid = await market.operator.do("platformUpdate", fields, sellerRate="MID")
    assert mid["platform"] == {"sellerRate": "MID", "sellerRateMarkup": "0"}

    refused = await market.operator.send("platformUpdate", fields, sellerRate="MARKUP")
    assert refused["errors"][0]["path"] == ["sellerRateMarkup"]
    assert "needs a markup above 0" in refused["errors"][0]["message"]


async def test_a_payment_tells_what_the_provider_made_of_it_and_by_which_rate(market: Market) -> None:
    made = market.sandbox.call("platforms", {"country": "NL", "default_currency": "eur", "settle": "default"})
    market.sandbox.call("exchange_rates", {"base": "usd", "rates": {"eur": "0.9"}})
    await market.operator.do("providerConnect", "provider { account }", secretKey=made["secret_key"])
    free = {"name": "Free", "rules": [{"name": "none", "percent": "0", "base": "GROSS", "tax_mode": "EXCLUSIVE"}]}
    drafted = await market.operator.do("feeScheduleDraft", "feeSchedule { id }", document=free)
    await market.operator.do("feeSchedulePublish", "feeSchedule { id }", id=drafted["feeSchedule"]["id"])
    anna = await market.onboarded("Anna")
    paid = await market.operator.do(
        "paymentCreate",
        "payment { id settled { minor } }",
        **basket(anna, currency="USD", prices=(11000,)),
        paymentMethodToken="pm_card_visa",
    )
    fields = "settled { decimal currency } providerFee { currency } settlementRate { base quote decimal source }"
    query = f"query($i: ID!) {{ payment(by: {{id: $i}}) {{ gross {{ currency }} {fields} }} }}"

    async def told() -> bool:
        return (await market.operator.ask(query, i=paid["payment"]["id"]))["payment"]["settled"] is not None

    await market.until(told)
    payment = (await market.operator.ask(query, i=paid["payment"]["id"]))["payment"]
    assert payment["gross"] == {"currency": "USD"}
    assert payment["settled"] == {"decimal": "99.00", "currency": "EUR"}
    assert payment["providerFee"] == {"currency": "EUR"}
    rate = payment["settlementRate"]
    assert (rate["base"], rate["quote"], rate["decimal"]) == ("USD", "EUR", "0.9")
    assert rate["source"].startswith("stripe:txn_")
