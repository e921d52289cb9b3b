"""`marketbill fees`: files become drafts, drafts are tried out and published, history tells what they would change."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.market.machine import Machine
from tests.market.market import Market

Run = Callable[..., Any]

FEES = """\
name: Standard 2027
rules:
  - name: commission
    percent: 8.5
    fixed: {EUR: 0.30, JPY: 30}
    base: GROSS
    tax_mode: EXCLUSIVE
  - name: books from Norway
    when: {categories: [books], seller_countries: [NO]}
    percent: 5
    base: NET
    tax_mode: EXCLUSIVE
"""


@pytest.fixture
async def shop(machine: Machine, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Market:
    """A platform with two sellers and three sales, and the environment of an operator."""
    market = await machine.platform(name="Market")
    await market.seller("A", onboard=None)
    await market.seller("B", onboard=None)
    await market.sale(market.line("A", 5000))
    await market.sale(market.line("A", 5000), market.line("B", 5000))
    await market.sale(market.line("B", 1000, currency="JPY"))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", "a master key for tests, long enough")
    return market


@pytest.fixture
def ran(command: Run) -> Run:
    return lambda *words: asyncio.to_thread(command, "fees", *map(str, words))


async def test_from_a_file_to_a_published_version(shop: Market, ran: Run, tmp_path: Path) -> None:
    file = tmp_path / "fees.yaml"
    file.write_text(FEES)
    drafted = await ran("draft", file)
    assert drafted.code == 0, drafted.err
    id = drafted.out.split()[1]
    listed = await ran("list")
    assert [word in listed.out for word in (id, "draft", "live", "Standard 2027")] == [True] * 4
    published = await ran("publish", id)
    assert "is version 2, in force from" in published.out
    shown = await ran("show")
    again = tmp_path / "again.yaml"
    again.write_text(shown.out)
    assert "percent: '8.5'" in shown.out
    assert "JPY: '30'" in shown.out
    assert (await ran("show", "1")).code == 0
    same = await ran("draft", again)
    assert (await ran("discard", same.out.split()[1])).code == 0
    assert f"{id} is published as version 2 and never changes" in (await ran("discard", id)).line
    assert (await ran("show", "9")).code == 1
    late = await ran("publish", (await ran("draft", file)).out.split()[1], "--at", "2020-01-01")
    assert "which has passed" in late.line


async def test_a_wrong_file_is_told_by_its_place(shop: Market, ran: Run, tmp_path: Path) -> None:
    file = tmp_path / "fees.yaml"
    for text, said in [
        (FEES.replace("percent: 8.5", "percent: 850"), "rules.0.percent"),
        (FEES.replace("EUR: 0.30", "EUR: 0.305"), "rules.0.fixed.EUR"),
        (FEES.replace("tax_mode", "taxmode"), "rules.0.taxmode"),
        (FEES.replace("  - name: books from Norway", "  - name: commission"), "rules.1.name"),
        (FEES + "name: twice\n", "the key 'name' is there twice"),
        ("rules: [", "line 1"),
        ("", "write a mapping"),
        ("&a [*a]", "fees.yaml"),
    ]:
        file.write_text(text)
        refused = await ran("draft", file)
        assert refused.code == 1, text
        assert said in refused.line, refused.line
    file.write_bytes(b"\xff\xfe")
    assert "is not UTF-8 text" in (await ran("draft", file)).line
    assert "cannot be read" in (await ran("draft", tmp_path / "none.yaml")).line


async def test_a_basket_and_a_line_are_explained(shop: Market, ran: Run, tmp_path: Path) -> None:
    file, basket = tmp_path / "fees.yaml", tmp_path / "basket.yaml"
    file.write_text(FEES)
    a = (await ran("why", "--seller", seller_id(shop, "A"), "--amount", "20.00", "--currency", "EUR")).out
    assert "line 001, commission: commission is charged" in a
    told = await ran("why", "--file", file, "--seller", seller_id(shop, "A"), "--amount", "20", "--currency", "EUR")
    assert "not books from Norway: seller countries must be NO, and is NL; categories must be books" in told.out
    basket.write_text(
        f"currency: EUR\nlines:\n  - {{seller: {seller_id(shop, 'A')}, amount: 50.00, category: books}}\n"
        f"  - {{seller: {seller_id(shop, 'B')}, amount: 9.99, quantity: 2}}\n"
    )
    previewed = await ran("preview", file, "--basket", basket)
    assert previewed.code == 0, previewed.err
    assert "4.25" in previewed.out
    assert "002" in previewed.out
    basket.write_text("currency: EUR\nlines:\n  - {seller: nobody, amount: 1}\n")
    assert (await ran("preview", file, "--basket", basket)).code == 1


async def test_an_exception_goes_before_the_rest(shop: Market, ran: Run, machine: Machine) -> None:
    drafted = await ran("exception", seller_id(shop, "A"), "--percent", "4", "--until", "2099-03-01")
    assert drafted.code == 0, drafted.err
    assert (await ran("publish", drafted.out.split()[1])).code == 0
    mine = await shop.payment(await shop.sale(shop.line("A", 5000)))
    others = await shop.payment(await shop.sale(shop.line("B", 5000)))
    assert (mine.fee, others.fee) == (230, 530)
    assert (await ran("exception", "nobody", "--percent", "4", "--until", "2099-03-01")).code == 1
    assert (await ran("exception", seller_id(shop, "A"), "--percent", "400", "--until", "2099-03-01")).code == 1


async def test_an_exception_goes_before_a_rule_with_more_conditions(shop: Market, ran: Run, tmp_path: Path) -> None:
    file, seller = tmp_path / "fees.yaml", seller_id(shop, "A")
    file.write_text(
        FEES
        + f"""\
  - name: the seller's dearer sales
    when: {{sellers: [{seller}], currencies: [EUR]}}
    percent: 12
    base: GROSS
    tax_mode: EXCLUSIVE
"""
    )
    for words in (("draft", file), ("exception", seller, "--percent", "4", "--until", "2099-03-01")):
        drafted = await ran(*words)
        assert drafted.code == 0, drafted.err
        id = next(word for word in drafted.out.split() if word.startswith("fee_"))
        assert (await ran("publish", id)).code == 0
    sale = await shop.payment(await shop.sale(shop.line("A", 5000)))
    assert sale.fee == 230, "4 % and 0.30"


async def test_history_under_a_draft(shop: Market, ran: Run, tmp_path: Path) -> None:
    live = await ran("simulate", "--live")
    assert live.code == 0, live.err
    assert "3 sales in" in live.out
    assert "; 0 would change." in live.out

    file, sums = tmp_path / "fees.yaml", tmp_path / "sums.csv"
    file.write_text(FEES)
    done = await ran("simulate", file, "--csv", sums, "--from", "2020-01-01", "--to", "2099-12-31")
    assert done.code == 0, done.err
    # 1.5 % less of 150.00 EUR and of 1000 JPY.
    assert "-2.25" in done.out
    assert "2 sellers get more in EUR" in done.out
    assert "1 to 2 % less" in done.out
    rows = list(csv.DictReader(sums.open()))
    assert {(row["currency"], row["name"]): row["change"] for row in rows} == {
        ("EUR", "A"): "-1.50",
        ("EUR", "B"): "-0.75",
        ("JPY", "B"): "-15",
    }
    none = await ran("simulate", file, "--to", "2020-12-31")
    assert "No sale was computed." in none.out
    assert (await ran("simulate")).code == 2
    assert (await ran("simulate", file, "--live")).code == 2
    assert (await ran("simulate", file, "--from", "2021-01-01", "--to", "2020-01-01")).code == 2
    to_stdout = await ran("simulate", file, "--csv=-", "--processes", "1")
    assert to_stdout.out.startswith("currency,seller,name")


def seller_id(market: Market, name: str) -> str:
    from marketbill.ids import public_id

    return public_id("seller", market.sellers[name])
