"""Documents over HTTP: statements as files, statements and fee invoices with numbers, and whose they are."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import pypdf
import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import insert, text

from marketbill.statements.entities import ENTITIES_MAX
from marketbill.statements.fee_invoice import Month
from marketbill.statements.invoice_run import issue_invoices
from marketbill.statements.model import legal_entity

from .market import Caller, Market
from .test_payments import basket

LONG_AGO = "2000-01-01T00:00:00Z"
NOBODY = "sel_" + "0" * 26
FILES = """query($s: ID!, $p: PeriodInput!) { statement(sellerId: $s, currency: "EUR", period: $p) {
  closing { total { decimal } } totals { section lines } csv { url } xlsx(language: DE) { url } pdf { url }
} }"""
ISSUED = """statement {
  id number from until opening { minor } closing { minor } recordedLater { minor } issuer { name country address }
  seller { id } csv: file(format: CSV) { url } xlsx: file(format: XLSX) { url } pdf: file(format: PDF) { url }
}"""
NODE = "query($i: ID!) { node(id: $i) { __typename id } }"
INVOICES = """query($s: ID) { feeInvoices(sellerId: $s) { nodes {
  id number kind net { minor } tax { minor } total { minor } corrects issuer { name vatNumber } seller { id }
  lines { service jurisdiction liable rate net { minor } tax { minor } } pdf { url } french: pdf(language: FR) { url }
} } }"""


async def token(market: Market, seller: str) -> Caller:
    made = await market.operator.do("sellerTokenCreate", "token", sellerId=seller)
    return market.caller(made["token"])


@pytest.fixture
async def anna(market: Market) -> tuple[Caller, str]:
    """A seller with one sale of 49.99, of which 43.58 are hers, and her token."""
    await market.connect_provider()
    id = await market.onboarded("Anna")
    order = basket(id) | {"paymentMethodToken": "pm_card_bypassPending"}
    await market.operator.do("paymentCreate", "payment { id }", **order)
    caller = await token(market, id)

    async def booked() -> bool:
        told = (await caller.ask(FILES, s=id, p=await until_now(market)))["statement"]
        return told["closing"]["total"]["decimal"] == "43.58"

    await market.until(booked)
    return caller, id


async def now(market: Market) -> datetime:
    async with market.services.db.read(market.tenant) as scope:
        return scope.now


async def until_now(market: Market) -> dict[str, str]:
    return {"from": LONG_AGO, "until": (await now(market)).isoformat()}


async def shift(market: Market, by: timedelta) -> None:
    async with market.services.db.system() as scope:
        seconds = {"seconds": int(by.total_seconds())}
        await scope.connection.execute(text("insert into test_clock values (1, :seconds)"), seconds)


def pdf_text(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)


def codes(payload: dict[str, Any]) -> list[tuple[str, list[str] | None]]:
    return [(error["__typename"], error["path"]) for error in payload["errors"]]


async def test_a_statement_has_three_files_that_say_the_same(market: Market, anna: tuple[Caller, str]) -> None:
    caller, id = anna
    told = (await caller.ask(FILES, s=id, p=await until_now(market)))["statement"]
    files = {name: await market.http.get(told[name]["url"]) for name in ("csv", "xlsx", "pdf")}

    assert {name: (file.status_code, file.headers["content-type"].split(";")[0]) for name, file in files.items()} == {
        "csv": (200, "text/csv"),
        "xlsx": (200, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        "pdf": (200, "application/pdf"),
    }
    rows = list(csv.DictReader(io.StringIO(files["csv"].text)))
    assert [row["amount"] for row in rows[1:4]] == ["49.99", "-5.30", "-1.11"]
    book = CalamineWorkbook.from_filelike(io.BytesIO(files["xlsx"].content))
    assert book.sheet_names == ["Übersicht", "Bewegungen"]
    assert [row[5] for row in book.get_sheet_by_index(1).to_python()[2:5]] == [49.99, -5.3, -1.11]
    shown = pdf_text(files["pdf"].content)
    assert "Rekeningoverzicht" in shown, "a Dutch seller reads Dutch"
    assert all(amount in shown for amount in ("49,99", "-5,30", "-1,11", "43,58"))
    # A link opens what it was made for, and nothing else.
    for name, other in (("csv", "document"), ("pdf", "document")):
        crossed = told[name]["url"].replace("/files/statement.", f"/files/{other}.")
        assert (await market.http.get(crossed)).status_code == 404


async def test_an_issued_statement_has_a_number_and_files_for_ever(market: Market, anna: tuple[Caller, str]) -> None:
    caller, id = anna
    asked: dict[str, Any] = {"sellerId": id, "currency": "EUR", "period": await until_now(market)}
    made = (await market.operator.do("statementIssue", ISSUED, idempotencyKey="k", **asked))["statement"]
    year = (await now(market)).year

    assert (made["number"], made["opening"]["minor"], made["closing"]["minor"]) == (f"ST-{year}-000001", "0", "4358")
    assert (made["issuer"], made["seller"]["id"]) == (
        {"name": "Blue Market", "country": "NL", "address": []},
        id,
    )
    for key in ("k", "another"):
        again = (await market.operator.do("statementIssue", ISSUED, idempotencyKey=key, **asked))["statement"]
        assert (again["id"], again["number"]) == (made["id"], made["number"])
    seen = await caller.ask("{ issuedStatements { nodes { id number } } }")
    assert seen["issuedStatements"]["nodes"] == [{"id": made["id"], "number": made["number"]}]
    assert (await caller.ask(NODE, i=made["id"]))["node"] == {"__typename": "IssuedStatement", "id": made["id"]}
    for name in ("csv", "xlsx", "pdf"):
        first, second = [await market.http.get(each[name]["url"]) for each in (made, again)]
        assert first.status_code == 200
        assert first.content == second.content
        assert f'filename="{made["number"]}.{name}"' in first.headers["content-disposition"]
    assert made["number"] in pdf_text((await market.http.get(made["pdf"]["url"])).content)


async def test_statements_that_cannot_be_issued(market: Market, anna: tuple[Caller, str]) -> None:
    caller, id = anna
    period = await until_now(market)
    good: dict[str, Any] = {"sellerId": id, "currency": "EUR", "period": period}
    later = {"from": LONG_AGO, "until": (await now(market) + timedelta(days=1)).isoformat()}

    async def refused(**changed: Any) -> list[tuple[str, list[str] | None]]:
        return codes(await market.operator.send("statementIssue", "statement { id }", **(good | changed)))

    assert await refused(period=later) == [("InvalidInput", ["period", "until"])]
    assert await refused(period={"from": period["until"], "until": LONG_AGO}) == [("InvalidInput", ["period"])]
    assert await refused(sellerId=NOBODY) == [("NotFound", ["sellerId"])]
    assert await refused(sellerId="pay_1") == [("NotFound", ["sellerId"])]
    await market.operator.do("statementIssue", "statement { id }", idempotencyKey="k", **good)
    other_body = good | {"period": {"from": "2001-01-01T00:00:00Z", "until": period["until"]}}
    again = await market.operator.send("statementIssue", "statement { id }", idempotencyKey="k", **other_body)
    assert [type_ for type_, _ in codes(again)] == ["IdempotencyConflict"]
    own = await caller.post(
        "mutation($input: StatementIssueInput!) { statementIssue(input: $input) { errors { __typename } } }",
        input=good | {"idempotencyKey": "mine"},
    )
    assert own.status_code == 403
    assert len((await caller.ask("{ issuedStatements { nodes { id } } }"))["issuedStatements"]["nodes"]) == 1


async def test_a_company_issues_to_the_sellers_of_its_countries(market: Market, anna: tuple[Caller, str]) -> None:
    caller, id = anna
    company: dict[str, Any] = {
        "code": "NL1",
        "name": "Blue Market Nederland B.V.",
        "country": "NL",
        "vatNumber": "NL004495445B01",
        "address": ["Keizersgracht 1", "1015 CJ Amsterdam"],
        "sellerCountries": ["NL", "BE", "NL"],
    }
    fields = "legalEntity { code name vatNumber address sellerCountries }"
    made = await market.operator.do("legalEntitySet", fields, idempotencyKey="c", **company)
    assert made["legalEntity"] == {
        "code": "NL1",
        "name": "Blue Market Nederland B.V.",
        "vatNumber": "NL004495445B01",
        "address": ["Keizersgracht 1", "1015 CJ Amsterdam"],
        "sellerCountries": ["BE", "NL"],
    }
    period = await until_now(market)
    issued = await market.operator.do("statementIssue", ISSUED, sellerId=id, currency="EUR", period=period)
    assert issued["statement"]["number"].startswith("NL1-ST-")
    assert issued["statement"]["issuer"]["address"] == company["address"]
    # Its new name is on what is issued from now on, not on what was issued before.
    await market.operator.do("legalEntitySet", fields, **(company | {"name": "Renamed B.V."}))
    again = await market.operator.do("statementIssue", ISSUED, sellerId=id, currency="EUR", period=period)
    assert again["statement"]["issuer"]["name"] == "Blue Market Nederland B.V."
    [kept] = (await market.operator.ask("{ legalEntities { code name } }"))["legalEntities"]
    assert kept == {"code": "NL1", "name": "Renamed B.V."}

    for wrong, path in (
        ({"code": "nl1"}, ["code"]),
        ({"code": "A" * 13}, ["code"]),
        ({"name": " "}, ["name"]),
        ({"vatNumber": "N" * 201}, ["vatNumber"]),
        ({"address": ["line"] * 7}, ["address"]),
        ({"country": "XX"}, ["country"]),
        ({"sellerCountries": ["NL", "XX"]}, ["sellerCountries"]),
    ):
        payload = await market.operator.send("legalEntitySet", fields, **(company | wrong))
        assert [one for _, one in codes(payload)] == [path], wrong
    assert (await caller.post("{ legalEntities { code } }")).status_code == 403


async def test_there_is_a_most_of_companies(market: Market) -> None:
    async with market.services.db.write(market.tenant) as scope:
        row = {"platform_id": market.tenant, "name": "B.V.", "country": "NL", "address": [], "seller_countries": []}
        row |= {"updated_at": scope.now, "updated_by": "test"}
        await scope.run(insert(legal_entity), [row | {"code": f"E{place}"} for place in range(ENTITIES_MAX)])
    more = await market.operator.send("legalEntitySet", "legalEntity { code }", code="ZZ", name="B.V.", country="NL")
    assert codes(more) == [("InvalidInput", ["code"])]
    changed = await market.operator.do("legalEntitySet", "legalEntity { name }", code="E7", name="New", country="NL")
    assert changed["legalEntity"]["name"] == "New"


async def test_a_month_of_fees_is_an_invoice(market: Market, anna: tuple[Caller, str]) -> None:
    caller, id = anna
    at = await now(market)
    await shift(market, Month.of(at).end - at + timedelta(hours=1))
    await issue_invoices(market.services, market.tenant)
    [invoice] = (await caller.ask(INVOICES))["feeInvoices"]["nodes"]

    assert (invoice["kind"], invoice["net"]["minor"], invoice["tax"]["minor"], invoice["total"]["minor"]) == (
        "INVOICE",
        "530",
        "111",
        "641",
    )
    assert invoice["lines"] == [
        {
            "service": "FEE",
            "jurisdiction": "NL",
            "liable": "PLATFORM",
            "rate": "21",
            "net": {"minor": "530"},
            "tax": {"minor": "111"},
        }
    ]
    assert (invoice["seller"]["id"], invoice["issuer"]["name"], invoice["corrects"]) == (id, "Blue Market", [])
    for name, words in (("pdf", ("Factuur", "Reeds verrekend", "6,41")), ("french", ("Facture", "Déjà réglé", "6,41"))):
        file = await market.http.get(invoice[name]["url"])
        assert (file.status_code, file.headers["content-type"]) == (200, "application/pdf")
        shown = pdf_text(file.content)
        assert all(word in shown for word in (*words, invoice["number"]))
    assert (await market.operator.ask(INVOICES, s=id))["feeInvoices"]["nodes"][0]["id"] == invoice["id"]


async def test_a_seller_gets_no_document_of_another(market: Market, anna: tuple[Caller, str]) -> None:
    caller, id = anna
    asked: dict[str, Any] = {"sellerId": id, "currency": "EUR", "period": await until_now(market)}
    statement = (await market.operator.do("statementIssue", ISSUED, **asked))["statement"]["id"]
    at = await now(market)
    await shift(market, Month.of(at).end - at + timedelta(hours=1))
    await issue_invoices(market.services, market.tenant)
    [invoice] = (await caller.ask(INVOICES))["feeInvoices"]["nodes"]
    bea = await token(market, await market.seller("Bea"))

    assert (await bea.ask(FILES, s=id, p=asked["period"]))["statement"] is None
    for arguments in ("", f'(sellerId: "{id}")'):
        for name in ("issuedStatements", "feeInvoices"):
            assert (await bea.ask(f"{{ {name}{arguments} {{ nodes {{ id }} }} }}"))[name]["nodes"] == []
    for document in (statement, invoice["id"]):
        assert (await caller.ask(NODE, i=document))["node"]["id"] == document
        assert (await bea.ask(NODE, i=document))["node"] is None
