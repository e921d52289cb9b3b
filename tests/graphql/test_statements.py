"""A seller's statement as GraphQL and as CSV, and the operator's fee report: both equal to the books."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from .market import Caller, Market
from .test_payments import basket

PERIOD = {"from": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
STATEMENT = """query($s: ID!, $p: PeriodInput!, $first: Int, $after: String) {
  statement(sellerId: $s, currency: "EUR", period: $p) {
    opening { total { minor } } closing { total { minor } available { minor } } agrees
    totals { section lines amount { minor } }
    lines(first: $first, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { section sourceId amount { minor } balanceAfter { minor } origin target }
    }
    csv { url expiresAt }
  }
}"""
REPORT = """query($p: PeriodInput!) { feeReport(currency: "EUR", period: $p) {
  agrees fee { minor } revenue { minor }
  rows { seller { name } sales gross { minor } fee { minor } feeTax { minor } feeScheduleVersion }
} }"""


@pytest.fixture
async def anna(market: Market) -> tuple[Caller, str]:
    """A seller with one sale of 49.99 that has reached her account at the provider, and her token."""
    await market.connect_provider()
    id = await market.onboarded("Anna")
    order = basket(id) | {"paymentMethodToken": "pm_card_bypassPending"}
    payment = (await market.operator.do("paymentCreate", "payment { id }", **order))["payment"]["id"]
    await market.operator.do("paymentDeliver", "payment { id }", id=payment)

    async def transferred() -> bool:
        found = await market.operator.ask("{ transfers(filter: {status: [SENT]}) { nodes { id } } }")
        return len(found["transfers"]["nodes"]) == 1

    await market.until(transferred)
    token = (await market.operator.do("sellerTokenCreate", "token", sellerId=id))["token"]
    return market.caller(token), id


async def _lines(caller: Caller, id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []
    after = None
    while True:
        told = (await caller.ask(STATEMENT, s=id, p=PERIOD, first=2, after=after))["statement"]
        lines += told["lines"]["nodes"]
        after = told["lines"]["pageInfo"]["endCursor"]
        if not told["lines"]["pageInfo"]["hasNextPage"]:
            return told, lines


async def test_a_statement_leads_from_opening_to_closing(market: Market, anna: tuple[Caller, str]) -> None:
    caller, id = anna
    told, lines = await _lines(caller, id)

    assert told["agrees"] is True
    assert told["opening"]["total"]["minor"] == "0"
    assert told["closing"]["total"]["minor"] == "4358"
    sections = [line["section"] for line in lines]
    assert sections[:3] == ["SALES", "FEES", "FEE_TAX"]
    assert [int(line["amount"]["minor"]) for line in lines[:3]] == [4999, -530, -111]
    assert sum(int(line["amount"]["minor"]) for line in lines) == 4358
    assert lines[-1]["balanceAfter"] == told["closing"]["total"]
    assert {total["section"]: total["amount"]["minor"] for total in told["totals"]}["SALES"] == "4999"
    held = (await caller.ask("query($i: ID!) { seller(by: {id: $i}) { balances { total { minor } } } }", i=id))[
        "seller"
    ]
    assert held["balances"][0]["total"]["minor"] == "4358"


async def test_the_csv_has_the_same_lines(market: Market, anna: tuple[Caller, str]) -> None:
    caller, id = anna
    told, lines = await _lines(caller, id)
    file = await market.http.get(told["csv"]["url"])
    rows = list(csv.DictReader(io.StringIO(file.text)))

    assert file.status_code == 200
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in file.headers["content-disposition"]
    assert [row["section"] for row in rows] == ["OPENING", *[line["section"] for line in lines], "CLOSING"]
    assert [row["source"] for row in rows[1:-1]] == [line["sourceId"] for line in lines]
    assert rows[-1]["balance"] == "43.58"
    for broken in (told["csv"]["url"] + "x", "/files/statement.csv", f"/files/statement.csv?token={caller.key}"):
        assert (await market.http.get(broken)).status_code == 404


async def test_a_statement_is_for_its_seller_alone(market: Market, anna: tuple[Caller, str]) -> None:
    _, id = anna
    bert = await market.seller("Bert")
    other = market.caller((await market.operator.do("sellerTokenCreate", "token", sellerId=bert))["token"])

    assert (await other.ask(STATEMENT, s=id, p=PERIOD))["statement"] is None
    assert (await market.operator.ask(STATEMENT, s="sel_" + "0" * 26, p=PERIOD))["statement"] is None
    empty = (await other.ask(STATEMENT, s=bert, p=PERIOD))["statement"]
    assert (empty["closing"]["total"]["minor"], empty["lines"]["nodes"]) == ("0", [])
    backward = {"from": PERIOD["until"], "until": PERIOD["from"]}
    answer = await other.answer(STATEMENT, s=bert, p=backward)
    assert answer["errors"][0]["extensions"]["inputPath"] == ["period"]


async def test_the_fee_report_is_the_fee_revenue(market: Market, anna: tuple[Caller, str]) -> None:
    caller, _ = anna
    report = (await market.operator.ask(REPORT, p=PERIOD))["feeReport"]

    assert report["agrees"] is True
    assert report["fee"] == report["revenue"] == {"minor": "530"}
    assert report["rows"] == [
        {
            "seller": {"name": "Anna"},
            "sales": 1,
            "gross": {"minor": "4999"},
            "fee": {"minor": "530"},
            "feeTax": {"minor": "111"},
            "feeScheduleVersion": 1,
        }
    ]
    assert (await caller.post(REPORT, p=PERIOD)).status_code == 403
    account = await market.operator.ask(
        '{ ledgerAccount(by: {code: {code: "revenue:platform-fee", currency: "EUR"}}) { balance { minor } } }'
    )
    assert account["ledgerAccount"]["balance"]["minor"] == "530"
