"""The books taken out as a person at a terminal does it."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from tests.ledger.export.market import post_market
from tests.ledger.export.readers import bean_check, csv_rows, hledger, needs_hledger

from marketbill import clock
from marketbill.cli.failure import CommandRefused
from marketbill.cli.ledger.output import STDOUT, output
from marketbill.db import Database
from marketbill.ids import PlatformId, new_id

INSERT = """
insert into platform (platform_id, name, country, default_currency, fee_tax_rate, hold_from, hold_days, created_at,
                      updated_at, version)
values ($1, $2, 'NL', 'EUR', 0, 'CAPTURE', 0, now(), now(), 1)
"""


async def create(url: str, admin_url: str, name: str, *, sales: int) -> PlatformId:
    platform = PlatformId(new_id())
    connection = await asyncpg.connect(admin_url)
    await connection.execute(INSERT, platform, name)
    await connection.close()
    db = Database(url, pool_size=2)
    if sales:
        await post_market(db, platform, sales=sales)
    await db.dispose()
    return platform


@pytest.fixture
def market_url(database_url: str, admin_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with one platform, `Shoes`, whose books are those of the market."""
    asyncio.run(create(database_url, admin_url, "Shoes", sales=30))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", secrets.token_urlsafe(32))
    return database_url


@pytest.fixture
def export(market_url: str, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    return partial(command, "ledger", "export")


@needs_hledger
def test_the_line_that_a_person_pastes_for_hledger(export) -> None:
    ran = export("--format", "hledger", "-o", "books.journal")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "books.journal: the books of Shoes, the first entry to the last; check it: hledger -f books.journal check"
        " --strict\n"
    )
    assert hledger(Path("books.journal"), "check", "--strict").returncode == 0


def test_a_month_for_beancount(export) -> None:
    ran = export("--format", "beancount", "-o", "books.beancount", "--from", "2026-02-01", "--to", "2026-03-01")
    assert (ran.code, ran.err) == (0, "")
    assert "2026-02-01 to 2026-03-01; check it: bean-check books.beancount" in ran.out
    assert bean_check(Path("books.beancount")).returncode == 0


def test_csv_flows_into_another_program(export) -> None:
    ran = export("--format", "csv", "-o", "-", "--currency", "jpy")
    assert (ran.code, ran.err) == (0, "")
    rows = ran.out.splitlines()
    assert rows[0].startswith("entry_number,")
    assert len(rows) > 10


def test_parquet(export) -> None:
    assert export("--format", "parquet", "-o", "books.parquet").code == 0
    assert Path("books.parquet").read_bytes()[:4] == b"PAR1"


def test_parquet_flows_too_but_not_over_a_terminal(export, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    out = io.TextIOWrapper(content)
    monkeypatch.setattr(sys, "stdout", out)
    assert export("--format", "parquet", "-o", "-").code == 0
    assert content.getvalue()[-4:] == b"PAR1"
    monkeypatch.setattr(out, "isatty", lambda: True)
    assert "no text for a terminal" in export("--format", "parquet", "-o", "-").line


def test_parquet_without_its_package_says_how_to_get_it(export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arro3.io", None)
    ran = export("--format", "parquet", "-o", "books.parquet")
    assert ran.code == 1
    assert f"python3 -m pip --python {sys.executable} install 'arro3-io" in ran.line
    assert list(Path.cwd().iterdir()) == []


def test_one_platform_of_several_is_named(export, market_url: str, admin_url: str) -> None:
    asyncio.run(create(market_url, admin_url, "Hats [/x]", sales=0))
    assert "several platforms" in export("--format", "csv", "-o", "books.csv").line
    assert "no platform called 'Boots'" in export("--format", "csv", "-o", "x.csv", "--platform", "Boots").line
    assert export("--format", "csv", "-o", "books.csv", "--platform", "Shoes").code == 0
    ran = export("--format", "csv", "-o", "hats.csv", "--platform", "Hats [/x]")
    assert (ran.code, ran.line) == (1, "There is nothing to export: nothing is booked.")
    assert sorted(place.name for place in Path.cwd().iterdir()) == ["books.csv"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "2026-03-01", "--to", "2026-03-01"], "to: 2026-03-01 is not after 2026-03-01"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], "to: 2026-03-01 is not after 2026-03-02"),
        (["--from", "2999-01-01"], "from: 2999-01-01 is in the future"),
        (["--to", "2999-01-01"], "to: 2999-01-01 is in the future"),
        (["--from", "March"], "--from: 'March' is not a day: write it such as 2026-11-01"),
        (["--to", "2026-02-30"], "--to: '2026-02-30' is not a day"),
        (["--to", "2020-01-01"], "There is nothing to export: nothing is booked before 2020-01-01."),
        (["--currency", "EURO"], "currency: 'EURO' is not a currency"),
        (["--currency", "USD"], "There is nothing to export: nothing is booked in USD."),
    ],
)
def test_what_is_wrong_is_said_in_one_line(export, words: list[str], said: str) -> None:
    ran = export("--format", "csv", "-o", "books.csv", *words)
    assert ran.code in (1, 2)
    assert said in ran.line
    assert list(Path.cwd().iterdir()) == []


def test_a_period_may_end_with_today(export) -> None:
    assert export("--format", "csv", "-o", "books.csv", "--to", str(clock.now().date() + timedelta(days=1))).code == 0


def test_what_is_not_said_or_not_known(export) -> None:
    assert export("--format", "csv").code == 2
    assert export("-o", "books.csv").code == 2
    assert "-o needs a file, not '--from'" in export("--format", "csv", "-o", "--from").line
    assert "xlsx" in export("--format", "xlsx", "-o", "books.xlsx").line


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("taken", "taken is a folder"),
        ("no/such/books.csv", "there is no folder"),
        ("file/books.csv", "there is no folder"),
    ],
)
def test_a_place_that_cannot_be_written(export, place: str, said: str) -> None:
    Path("taken").mkdir()
    Path("file").touch()
    ran = export("--format", "csv", "-o", place)
    assert ran.code == 1
    assert said in ran.line


def test_an_older_file_is_replaced_whole(export) -> None:
    place = Path("books.csv")
    place.write_text("old")
    place.chmod(0o640)
    assert export("--format", "csv", "-o", "books.csv").code == 0
    assert csv_rows(place)[0]["posting_number"] == "1"
    assert place.stat().st_mode & 0o777 == 0o640
    assert [found.name for found in Path.cwd().iterdir()] == ["books.csv"]


def test_a_file_that_fails_on_the_way_leaves_the_older_one(tmp_path: Path) -> None:
    place = tmp_path / "books.csv"
    place.write_text("old")
    with pytest.raises(OSError, match="full"), output(place) as file:
        file.write(b"half")
        raise OSError("full")
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link, place = tmp_path / "link", tmp_path / "books.csv"
    place.touch()
    link.symlink_to(place)
    with output(link) as file:
        file.write(b"whole")
    assert link.is_symlink()
    assert place.read_bytes() == b"whole"


def test_a_device_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with output(pipe) as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(CommandRefused, match="is a folder"), output(tmp_path):
        pass
    assert str(STDOUT) == "-"
