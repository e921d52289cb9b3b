"""`marketbill import-orders` at a terminal: what it refuses before it pays, and what it says at its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.cli.orders.run import OrderRun
from marketbill.errors import Unavailable

HEADER = "order_id,order_item_id,product_id,seller_id,price,freight,currency\n"


@pytest.fixture
def joined(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command works with the test's machine, in a folder of its own."""
    given = machine.services.settings
    monkeypatch.setenv("DATABASE_URL", given.database_url.get_secret_value())
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", given.marketbill_secret_key.get_secret_value())
    monkeypatch.setenv("SANDBOX_URL", machine.sandbox_url)
    monkeypatch.chdir(tmp_path)


def written(folder: Path, *rows: str) -> str:
    file = folder / "orders.csv"
    file.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return str(file)


def test_rejects_that_cannot_be_written_are_told_before_anything_else(command, tmp_path: Path) -> None:
    ran = command("import-orders", written(tmp_path, "o1,1,p,s,1.00,0,EUR"), "--rejects", str(tmp_path / "no" / "x"))
    assert ran.code == 1
    assert "--rejects" in ran.line


@pytest.mark.usefixtures("joined")
async def test_the_summary_names_five_reasons_and_counts_the_rest(market: Market, command, tmp_path: Path) -> None:
    bad = ("x", "-1", "0", "1.001", "1e3", "y", "z")
    rows = [f"o{number},1,p,s,{price},0,EUR" for number, price in enumerate(bad)]
    ran = await asyncio.to_thread(command, "import-orders", written(tmp_path, *rows))
    assert "... and 2 kinds more" in ran.out
    assert "7 rows were rejected" in ran.out
    one = await asyncio.to_thread(command, "import-orders", written(tmp_path, rows[0]))
    assert "1 row was rejected" in one.out
    assert "more" not in one.out


@pytest.mark.usefixtures("joined")
async def test_a_database_that_stays_away_says_how_to_go_on(
    market: Market, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("The database cannot be reached just now; try again in a moment.")

    monkeypatch.setattr(OrderRun, "run", away)
    ran = await asyncio.to_thread(command, "import-orders", written(tmp_path, "o1,1,p,s,1.00,0,EUR"))
    assert ran.code == 1
    assert ran.err.strip().splitlines()[-1].endswith("just now: run it again; what was done is skipped")
