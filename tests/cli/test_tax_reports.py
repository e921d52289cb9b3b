"""`marketbill tax report` and `oss`, as a person at a terminal sees them."""

from __future__ import annotations

import asyncio
import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from tests.insight.taxed_sale import DEEMED, TaxedSale, book
from tests.market.market import Market

from marketbill.rates import store
from marketbill.rates.ecb import Fixing

AT = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
OCTOBER_ON = ("--from", "2026-10-01", "--to", "2027-01-01")


@pytest.fixture
async def taxed(market: Market, monkeypatch: pytest.MonkeyPatch) -> Market:
    """German sales of 100.00 EUR and 100.00 USD whose tax the platform owes, and the environment of an operator."""
    given = market.machine.services.settings
    monkeypatch.setenv("DATABASE_URL", given.database_url.get_secret_value())
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", given.marketbill_secret_key.get_secret_value())
    await book(given_db(market), market.platform, (TaxedSale(), AT), (TaxedSale(currency="USD"), AT))
    return market


def given_db(market: Market):
    return market.machine.services.db


async def test_a_report_of_a_quarter(taxed: Market, command, tmp_path: Path) -> None:
    ran = await asyncio.to_thread(command, "tax", "report", *OCTOBER_ON)
    assert ran.code == 0, ran.err
    shown = [line.split() for line in ran.out.splitlines()]
    assert ["│", "DE", "│", "SALE", "│", "PLATFORM", "│", "standard", "│", "19", "%", "│", "100.00", "│", "19.00", "│",
            "EUR", "│", "1", "│"] in shown  # fmt: skip
    assert ["│", "tax:deemed:DE", "│", "19.00", "│", "0.00", "│", "19.00", "│", "0.00", "│", "USD", "│"] in shown

    file = tmp_path / "taxes.csv"
    ran = await asyncio.to_thread(command, "tax", "report", *OCTOBER_ON, "--jurisdiction", "DE", "--csv", str(file))
    assert ran.code == 0, ran.err
    rows = list(csv.DictReader(file.open(newline="")))
    assert [(row["kind"], row["currency"], row["base"], row["tax"]) for row in rows if row["jurisdiction"]] == [
        ("SALE", "EUR", "100.00", "19.00"),
        ("SALE", "USD", "100.00", "19.00"),
    ]
    assert {(row["account"], row["currency"]): row["tax"] for row in rows if row["kind"] == "ACCOUNT"} == {
        ("tax:deemed:DE", "EUR"): "19.00",
        ("tax:deemed:DE", "USD"): "19.00",
        ("tax:output-vat:NL", "EUR"): "2.10",
        ("tax:output-vat:NL", "USD"): "2.10",
    }


async def test_a_difference_is_told_and_exits_1(taxed: Market, command, admin_url: str) -> None:
    connection = await asyncpg.connect(admin_url)
    await connection.execute("update tax_line set tax = tax - 1 where kind = 'SALE' and currency = 'EUR'")
    await connection.close()
    ran = await asyncio.to_thread(command, "tax", "report", *OCTOBER_ON)
    assert ran.code == 1
    assert "the rows do not make the movement of every tax account" in ran.line
    shown = [line.split() for line in ran.out.splitlines()]
    assert ["│", "tax:deemed:DE", "│", "18.99", "│", "0.00", "│", "19.00", "│", "0.01", "│", "EUR", "│"] in shown


async def test_the_return_of_a_quarter_waits_for_its_rate(taxed: Market, command) -> None:
    """1.25 dollars to the euro: 80.00 and 15.20."""
    ran = await asyncio.to_thread(command, "tax", "oss", "2026Q4")
    assert ran.code == 1
    assert "There is no exchange rate from USD to EUR of 2026-12-31" in ran.line
    async with given_db(taxed).system() as scope:
        await store.keep(scope, [Fixing(date(2026, 12, 31), "USD", Decimal("1.25"))])
    ran = await asyncio.to_thread(command, "tax", "oss", "2026Q4")
    assert ran.code == 0, ran.err
    shown = [line.split() for line in ran.out.splitlines()]
    assert ["│", "DE", "│", "GOODS", "│", "NL", "│", "19", "%", "│", "180.00", "│", "34.20", "│", "100.00", "EUR,",
            "100.00", "USD", "│"] in shown  # fmt: skip
    assert "1 USD = 0.8 EUR (inverse of ecb, 2026-12-31)" in ran.out
    assert "payable 34.20 EUR" in ran.out


async def test_what_is_no_quarter_or_no_day_is_wrong_use(taxed: Market, command) -> None:
    ran = await asyncio.to_thread(command, "tax", "oss", "2026Q5")
    assert ran.code != 0
    assert "write 2026Q4" in ran.line
    ran = await asyncio.to_thread(command, "tax", "report", "--from", "October", "--to", "2027-01-01")
    assert ran.code == 2
    assert "is no instant" in ran.line


def test_the_deemed_line_is_what_these_stories_say() -> None:
    assert (DEEMED["net"], DEEMED["tax"], DEEMED["jurisdiction"]) == (10_000, 1_900, "DE")
