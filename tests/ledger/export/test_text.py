"""Whatever an account is called and a description says, the files stay whole and every account stays itself."""

import asyncio
import json
from functools import partial
from pathlib import Path
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.ledger.export.market import START, entry, held
from tests.ledger.export.readers import (
    bean_check,
    beancount_balances,
    csv_rows,
    hledger,
    hledger_balances,
    needs_hledger,
    parquet_rows,
)

from marketbill.db import Database
from marketbill.ids import PlatformId, SellerId, new_id
from marketbill.ledger import chart
from marketbill.ledger.chart import AccountKind, Side
from marketbill.ledger.entry import JournalEntry, Posting
from marketbill.ledger.export.books import open_books
from marketbill.ledger.export.formats import Format, write
from marketbill.ledger.export.names import beancount_name, hledger_name
from marketbill.ledger.export.period import Period
from marketbill.ledger.export.record import Account
from marketbill.ledger.export.text import encoded
from marketbill.ledger.journal import post_all
from marketbill.text import safe_cell

#: Any text that the database takes.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
AWKWARD = st.sampled_from(
    [
        *'\n\r\t;|"\\=:,%()[]*!#^~@',
        "  ",
        "date:",
        "[2026-01-01]",
        "=HYPERLINK()",
        "\u2028",
        "\x85",
        "\x1b[2J",
        "\u202e",
        "🎒",
    ]
)
DESCRIPTION = st.lists(TEXT | AWKWARD, max_size=6).map("".join)
#: Words for the `*` of each family, chosen to look like one another.
WORDS = {
    chart.SELLER: [SellerId(UUID(int=1)), SellerId(UUID(int=2))],
    chart.DISPUTE: [UUID(int=1)],
    chart.COUNTRY: ["NL", "DE"],
    chart.JURISDICTION: ["NL", "US-CA", "US-C"],
    chart.NAME: ["nl", "us-ca", "us-c", "u", "7", "pending", "sel-00000000000000000000000001"],
}
EVERY_ACCOUNT = [
    chart.account(family, "EUR", word)
    for family in chart.CHART
    for word in (WORDS[family.part] if family.part is not None else [None])
]
ROOTS = {
    AccountKind.ASSET: "assets",
    AccountKind.LIABILITY: "liabilities",
    AccountKind.REVENUE: "revenue",
    AccountKind.EXPENSE: "expenses",
    AccountKind.EQUITY: "equity",
    AccountKind.CUSTODY: "equity:custody",
}


def test_every_account_of_the_chart_has_a_name_of_its_own_under_the_root_of_its_kind() -> None:
    accounts = {Account(ref.kind, ref.code) for ref in EVERY_ACCOUNT}
    assert len({hledger_name(account) for account in accounts}) == len(accounts)
    assert len({beancount_name(account) for account in accounts}) == len(accounts)
    for account in accounts:
        assert hledger_name(account).startswith(f"{ROOTS[account.kind]}:")
        assert beancount_name(account).lower().replace("-", "_") == hledger_name(account).lower().replace("-", "_")


@needs_hledger
def test_both_programs_take_every_account_of_the_chart(database_url: str, admin_url: str, tmp_path: Path) -> None:
    """Some lie under others, such as a fee of the platform's own under its fees."""
    postings = []
    in_books, in_custody = chart.account(chart.FX_POSITION, "EUR"), chart.custody_owed(SellerId(UUID(int=3)), "EUR")
    for amount, ref in enumerate(EVERY_ACCOUNT, 100):
        other = in_custody if ref.kind is AccountKind.CUSTODY else in_books
        if ref != other:
            postings.append(Posting(other, ref, amount) if ref.side is Side.CREDIT else Posting(ref, other, amount))
    platform, files = exported(
        database_url, [entry("charge", postings, START)], tmp_path, Format.HLEDGER, Format.BEANCOUNT
    )
    kept = asyncio.run(held(admin_url, platform))
    assert {account for account, _ in kept} >= {Account(ref.kind, ref.code) for ref in EVERY_ACCOUNT}
    for file, name, checked, balances in (
        (files[0], hledger_name, hledger(files[0], "check", "--strict"), hledger_balances),
        (files[1], beancount_name, bean_check(files[1]), beancount_balances),
    ):
        assert (checked.returncode, checked.stderr) == (0, "")
        assert balances(file) == {(name(account), currency): net for (account, currency), net in kept.items() if net}


@given(DESCRIPTION)
def test_encoded_text_is_one_plain_word_and_reads_back(text: str) -> None:
    assert not set(encoded(text)) & set(' ,;[]()"\n\t')
    assert unquote(encoded(text)) == text


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1", "\uff201"])
def test_formula_starts_are_quoted(text: str) -> None:
    assert safe_cell(text) == "'" + text


def described(texts: list[str]) -> list[JournalEntry]:
    postings = [Posting(chart.psp_pending(currency), chart.bank(currency), 7) for currency in ("EUR", "JPY")]
    return [entry("charge", postings, START, description=text) for text in texts]


def exported(url: str, entries: list[JournalEntry], folder: Path, *formats: Format) -> tuple[PlatformId, list[Path]]:
    """Posts to a platform of its own and exports it."""
    platform = PlatformId(new_id())

    async def work() -> list[Path]:
        db = Database(url, pool_size=2)
        try:
            async with db.write(platform) as scope:
                await post_all(scope, entries)
            books = await open_books(partial(db.read, platform), name=entries[0].description, period=Period())
            files = [folder / f"books.{format}" for format in formats]
            for format, place in zip(formats, files, strict=True):
                with place.open("wb") as file:
                    await write(books, format, file)
            return files
        finally:
            await db.dispose()

    return platform, asyncio.run(work())


anything = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@needs_hledger
@anything
@given(texts=st.lists(DESCRIPTION, min_size=1, max_size=40))
@example(texts=["a;b | c = d", "; date:", "date:x, [2026]", "(code) ! *", "=2026-02-02 x", "  spaced  ", "% 10%"])
def test_no_description_breaks_an_hledger_journal(database_url: str, tmp_path: Path, texts: list[str]) -> None:
    _, [file] = exported(database_url, described(texts), tmp_path, Format.HLEDGER)
    checked = hledger(file, "check", "--strict")
    assert (checked.returncode, checked.stderr) == (0, "")
    told = json.loads(hledger(file, "print", "-O", "json").stdout)[:-1]
    tags = [dict(transaction["ttags"]) for transaction in told]
    found = [unquote(tag.get("description", "")) or one["tdescription"] for tag, one in zip(tags, told, strict=True)]
    assert found == texts
    assert [tag["key"].partition(":")[0] for tag in tags] == ["charge"] * len(texts)
    assert {one["tdate"] for one in told} == {"2026-01-10"}


@anything
@given(texts=st.lists(DESCRIPTION, min_size=1, max_size=40))
@example(texts=['"', "\\", '\\"', "\\n", "a\nb", "\n" * 100, "2026-01-01 open Assets:X", "; x", "\x01\x7f"])
def test_no_description_breaks_the_other_formats(database_url: str, tmp_path: Path, texts: list[str]) -> None:
    formats = (Format.BEANCOUNT, Format.CSV, Format.PARQUET)
    _, [beans, table, parquet] = exported(database_url, described(texts), tmp_path, *formats)
    checked = bean_check(beans)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert [row["description"] for row in csv_rows(table)[::2]] == [safe_cell(text) for text in texts]
    statement = "select description from read_parquet($file) order by posting_number"
    assert [text for [text] in parquet_rows(parquet, statement)][::2] == texts
