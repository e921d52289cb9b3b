"""The statement as a file: the same lines, exact decimals, nothing that a spreadsheet would run."""

import csv
import io
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy.pool import QueuePool
from tests.ledger.worked_journal import EUR, START, basket

from marketbill.db import Database
from marketbill.errors import LimitExceeded
from marketbill.ids import PlatformId, public_id
from marketbill.ledger.journal import post_all
from marketbill.statements import statement_csv as file

DAY = timedelta(days=1)


async def test_seller_bs_file(db: Database, platform: PlatformId, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LINES_MAX", 2)
    sale = basket()
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries)
    parts = file.statement_csv(
        partial(db.read, platform), seller=sale.b, currency=EUR, start=START - DAY, end=START + DAY
    )
    written: list[str] = []
    async for part in parts:
        written.append(part)
        assert pool_of(db).checkedout() == 0, "who reads slowly keeps nobody waiting"
    rows = list(csv.DictReader(io.StringIO("".join(written))))

    assert [(row["section"], row["amount"], row["from"], row["to"], row["balance"]) for row in rows] == [
        ("OPENING", "", "", "", "0.00"),
        ("SALES", "39.99", "", "PENDING", "39.99"),
        ("FEES", "-4.10", "PENDING", "", "35.89"),
        ("RELEASES", "0.00", "PENDING", "PAYABLE", "35.89"),
        ("TRANSFERS", "0.00", "PAYABLE", "AVAILABLE", "35.89"),
        ("PAYOUTS", "0.00", "AVAILABLE", "IN_TRANSIT", "35.89"),
        ("PAYOUTS", "-35.89", "IN_TRANSIT", "", "0.00"),
        ("CLOSING", "", "", "", "0.00"),
    ]
    assert rows[1]["time"] == "2026-03-02T10:00:00Z"
    assert rows[1]["source"] == public_id("payment", sale.entries[1].source.id)
    assert {row["currency"] for row in rows} == {"EUR"}


async def test_a_description_cannot_become_a_formula(db: Database, platform: PlatformId) -> None:
    sale = basket()
    entries = [replace(sale.entries[1], description='=HYPERLINK("http://x")'), *sale.entries[2:]]
    async with db.write(platform) as scope:
        await post_all(scope, entries)
    parts = file.statement_csv(
        partial(db.read, platform), seller=sale.a, currency=EUR, start=START - DAY, end=START + DAY
    )
    rows = list(csv.DictReader(io.StringIO("".join([part async for part in parts]))))
    assert rows[1]["description"] == '\'=HYPERLINK("http://x")'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1"])
def test_formula_starts_are_quoted(text: str) -> None:
    assert file.safe_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "Sale 1-2", "a=b", "Größe", "10 %"])
def test_plain_text_stays(text: str) -> None:
    assert file.safe_cell(text) == text


async def test_a_file_has_a_limit(db: Database, platform: PlatformId, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "FILE_LINES_MAX", 5)
    sale = basket()
    async with db.write(platform) as scope:
        await post_all(scope, sale.entries)
    read = partial(db.read, platform)
    with pytest.raises(LimitExceeded, match="6 lines"):
        await anext(file.statement_csv(read, seller=sale.b, currency=EUR, start=START - DAY, end=START + DAY))


def pool_of(db: Database) -> QueuePool:
    pool = db.app.sync_engine.pool
    assert isinstance(pool, QueuePool)
    return pool
