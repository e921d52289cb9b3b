"""Amounts explained at a terminal."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.market import Market

from marketbill.ids import public_id


@pytest.fixture
def at_terminal(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands work with the market's database and provider."""
    given = market.machine.services.settings
    monkeypatch.setenv("DATABASE_URL", given.database_url.get_secret_value())
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", given.marketbill_secret_key.get_secret_value())
    monkeypatch.setenv("SANDBOX_URL", market.machine.sandbox_url)


async def worked_sale(market: Market) -> str:
    await worked_sellers(market)
    payment = await market.sale(*(market.line(name, price) for name, price in WORKED_LINES), reference="order-1")
    return public_id("payment", payment)


@pytest.mark.usefixtures("at_terminal")
async def test_a_payment_is_a_tree_that_is_read_from_the_top_down(market: Market, command) -> None:
    ran = await asyncio.to_thread(command, "explain", await worked_sale(market))
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].startswith("order-1: the buyer paid  121.00 EUR  succeeded")
    told = [line.strip("│├└─ ") for line in lines]
    assert any(line.startswith("A gets  43.79 EUR  of 49.99 EUR sold") for line in told)
    assert "percentage  5.00 EUR  = 4999 * 10 / 100 = 499.9000, rounded" in told
    assert "fixed part  0.10 EUR  = 30 * 3999 / 12100 = 9.9148, shared out, one of the remainder" in told
    assert "left for the seller  43.79 EUR  = 4999 - 512 - 108" in told
    assert any(line.startswith("debit seller:A:pending, credit revenue:platform-fee  5.12 EUR") for line in told)


@pytest.mark.usefixtures("at_terminal")
async def test_a_program_gets_json_and_a_wrong_id_one_line(market: Market, command) -> None:
    payment = await worked_sale(market)
    ran = await asyncio.to_thread(command, "explain", payment, "--json")
    tree = json.loads(ran.out)
    assert (tree["reference"], tree["amount"], tree["currency"]) == (payment, 12100, "EUR")
    assert [child["label"] for child in tree["children"]] == ["A gets", "B gets", "C gets", "in the books"]

    ran = await asyncio.to_thread(command, "explain", "pay_" + "0" * 26)
    assert (ran.code, ran.out) == (1, "")
    assert "No payment with id" in ran.line
    ran = await asyncio.to_thread(command, "explain", "order-1")
    assert ran.code == 1
    assert "give the id of a payment (pay_…)" in ran.line


@pytest.mark.usefixtures("at_terminal")
async def test_verify_explains_every_payment_when_asked(market: Market, command) -> None:
    await worked_sale(market)
    ran = await asyncio.to_thread(command, "verify", "--explain")
    assert ran.code == 0, ran.err
    assert "every cent explained" in ran.out
    ran = await asyncio.to_thread(command, "verify")
    assert "every cent explained" not in ran.out
