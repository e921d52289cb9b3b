"""Tax reports by GraphQL: tied to the accounts, for operators alone."""

from __future__ import annotations

from .market import Market
from .test_payments import basket

REPORT = """query($p: PeriodInput!) { taxReport(period: $p) {
  agrees rows { jurisdiction kind liable rate base { minor currency } tax { minor } lines }
  accounts { code reported { minor } moved { minor } difference { minor } }
} }"""
OSS = """query($y: Int!, $q: Int!) { ossReturn(year: $y, quarter: $q) {
  quarter lastDay lines { consumedIn } payable { minor currency } salesList { vatNumber } } }"""
PERIOD = {"from": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}


async def test_the_taxes_of_a_sale(market: Market) -> None:
    """49.99 with 21 % within: 41.31 and 8.68, as stated; a fee of 5.30 with 1.11."""
    await market.connect_provider()
    id = await market.onboarded("Anna")
    await market.operator.do("paymentCreate", "payment { id }", **basket(id) | {"paymentMethodToken": "pm_card_visa"})

    async def booked() -> bool:
        told = (await market.operator.ask(REPORT, p=PERIOD))["taxReport"]
        return len(told["rows"]) == 2

    await market.until(booked)
    told = (await market.operator.ask(REPORT, p=PERIOD))["taxReport"]
    assert told["agrees"] is True
    sale, fee = told["rows"]
    assert (sale["kind"], sale["liable"], sale["base"]["minor"], sale["tax"]["minor"]) == (
        "SALE", "SELLER", "4131", "868")  # fmt: skip
    assert (fee["kind"], fee["jurisdiction"], fee["base"]["minor"], fee["tax"]["minor"]) == ("FEE", "NL", "530", "111")
    assert told["accounts"] == [
        {
            "code": "tax:output-vat:NL",
            "reported": {"minor": "111"},
            "moved": {"minor": "111"},
            "difference": {"minor": "0"},
        }
    ]


async def test_an_empty_return_and_no_quarter(market: Market) -> None:
    told = (await market.operator.ask(OSS, y=2026, q=4))["ossReturn"]
    assert told == {
        "quarter": "2026Q4",
        "lastDay": "2026-12-31",
        "lines": [],
        "payable": {"minor": "0", "currency": "EUR"},
        "salesList": [],
    }
    refused = await market.operator.answer(OSS, y=2026, q=5)
    assert "write 2026Q4" in refused["errors"][0]["message"]
