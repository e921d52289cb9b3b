"""The same books in four formats, read back by programs that others wrote: every account to the cent."""

import io
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from functools import partial
from itertools import count
from pathlib import Path

import asyncpg
import pytest
from tests.ledger.export.market import Held, charge, held, held_before, post_market, posted
from tests.ledger.export.readers import (
    Names,
    bean_check,
    beancount_balances,
    csv_balances,
    csv_rows,
    hledger,
    hledger_balances,
    needs_hledger,
    parquet_balances,
    parquet_rows,
)

from marketbill.db import Database, ReadScope
from marketbill.errors import Unavailable
from marketbill.ids import PlatformId, SellerId, new_id, public_id
from marketbill.ledger.export import books as reading
from marketbill.ledger.export.books import NothingToExport, open_books
from marketbill.ledger.export.formats import Format, write
from marketbill.ledger.export.names import beancount_name, hledger_name
from marketbill.ledger.export.period import Period
from marketbill.ledger.export.record import Account

WHOLE = Period()
FEBRUARY = Period(date(2026, 2, 1), date(2026, 3, 1))
FROM_MARCH = Period(date(2026, 3, 1))
UNTIL_FEBRUARY = Period(None, date(2026, 2, 1))
PERIODS = [WHOLE, FEBRUARY, FROM_MARCH, UNTIL_FEBRUARY]
TEXTS = (Format.HLEDGER, Format.BEANCOUNT, Format.CSV)


class Exporter:
    """A platform's books with the market in them, exported to files of the test's folder."""

    def __init__(self, db: Database, platform: PlatformId, admin_url: str, folder: Path) -> None:
        self.db, self.platform, self.admin_url, self.folder = db, platform, admin_url, folder

    async def __call__(self, format: Format, period: Period = WHOLE, currency: str | None = None) -> Path:
        read = partial(self.db.read, self.platform)
        books = await open_books(read, name='The "Market"\n; of all', period=period, currency=currency)
        place = self.folder / f"books.{format}"
        with place.open("wb") as file:
            await write(books, format, file)
        return place

    async def held_at_end(self, period: Period) -> Held:
        if period.end is None:
            return {name: net for name, net in (await held(self.admin_url, self.platform)).items() if net}
        return await held_before(self.admin_url, self.platform, period.end_at)

    async def moved(self, period: Period) -> Names:
        """By code: what the period changed."""
        change = Counter(
            {(account.code, money): net for (account, money), net in (await self.held_at_end(period)).items()}
        )
        if period.first is not None:
            before = await held_before(self.admin_url, self.platform, period.start_at)
            change.subtract({(account.code, currency): net for (account, currency), net in before.items()})
        return Counter({name: net for name, net in change.items() if net})


@pytest.fixture
async def export(db: Database, platform: PlatformId, admin_url: str, tmp_path: Path) -> Exporter:
    await post_market(db, platform)
    return Exporter(db, platform, admin_url, tmp_path)


def named(name: Callable[[Account], str], found: Held) -> Mapping[tuple[str, str], int]:
    return {(name(account), currency): net for (account, currency), net in found.items()}


@needs_hledger
@pytest.mark.parametrize("period", PERIODS)
async def test_hledger_accepts_the_journal_and_finds_every_balance(export: Exporter, period: Period) -> None:
    file = await export(Format.HLEDGER, period)
    checked = hledger(file, "check", "--strict")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert hledger_balances(file) == named(hledger_name, await export.held_at_end(period))


@pytest.mark.parametrize("period", PERIODS)
async def test_beancount_accepts_the_file_and_finds_every_balance(export: Exporter, period: Period) -> None:
    file = await export(Format.BEANCOUNT, period)
    checked = bean_check(file)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert beancount_balances(file) == named(beancount_name, await export.held_at_end(period))


@pytest.mark.parametrize("period", PERIODS)
async def test_the_rows_of_csv_and_parquet_add_up_to_what_the_period_moved(export: Exporter, period: Period) -> None:
    moved = await export.moved(period)
    assert csv_balances(await export(Format.CSV, period)) == moved
    assert parquet_balances(await export(Format.PARQUET, period)) == moved


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
async def test_one_currency_alone_is_whole(export: Exporter, currency: str) -> None:
    expected = {name: net for name, net in (await export.held_at_end(FEBRUARY)).items() if name[1] == currency}
    file = await export(Format.BEANCOUNT, FEBRUARY, currency)
    assert bean_check(file).returncode == 0
    assert beancount_balances(file) == named(beancount_name, expected)
    assert {row["currency"] for row in csv_rows(await export(Format.CSV, FEBRUARY, currency))} == {currency}


@needs_hledger
async def test_hledger_refuses_a_journal_in_which_one_cent_moved(export: Exporter) -> None:
    file = await export(Format.HLEDGER, FEBRUARY)
    text = file.read_text("utf-8")
    for changed in (
        one_cent_off(text, "\n    assets:psp:pending  "),
        one_cent_off(text, " 0 EUR = "),
        without_an_entry(text),
    ):
        file.write_text(changed, "utf-8")
        assert hledger(file, "check", "--strict").returncode != 0


async def test_beancount_refuses_a_file_in_which_one_cent_moved(export: Exporter) -> None:
    file = await export(Format.BEANCOUNT, FEBRUARY)
    text = file.read_text("utf-8")
    closing = one_cent_off(text, " balance Assets:Psp:Pending  ")
    for changed in (one_cent_off(text, "\n  Assets:Psp:Pending  "), closing, without_an_entry(text)):
        file.write_text(changed, "utf-8")
        assert bean_check(file).returncode != 0


async def test_an_export_shows_a_balance_that_does_not_follow_from_the_entries(export: Exporter) -> None:
    connection = await asyncpg.connect(export.admin_url)
    await connection.execute("update posting set debit_balance_after = debit_balance_after + 1")
    await connection.close()
    assert bean_check(await export(Format.BEANCOUNT, FEBRUARY)).returncode != 0


@needs_hledger
async def test_accounts_have_their_types_and_custody_is_off_the_balance_sheet(export: Exporter) -> None:
    file = await export(Format.HLEDGER)
    types = dict(
        line.split("  ; type: ") for line in map(str.strip, hledger(file, "accounts", "--types").stdout.splitlines())
    )
    kinds = {name.strip(): type for name, type in types.items()}
    assert kinds["assets:bank" if "assets:bank" in kinds else "assets:psp:pending"] == "A"
    assert kinds["liabilities:tax:output-vat:NL"] == "L"
    assert (kinds["revenue:platform-fee"], kinds["expenses:psp-fee"]) == ("R", "X")
    custody = [name for name in kinds if ":sel_" in name and name.endswith((":available", ":owed", ":in-transit"))]
    assert custody
    assert all(name.startswith("equity:custody:") and kinds[name] == "E" for name in custody)
    assert "custody" not in hledger(file, "balancesheet").stdout


async def test_holds_are_told_and_move_nothing(export: Exporter) -> None:
    for format in (Format.HLEDGER, Format.BEANCOUNT):
        comments = [line for line in (await export(format)).read_text("utf-8").splitlines() if line.startswith("; (")]
        assert [line.split()[2] for line in comments] == ["hold,", "hold,", "hold,", "release,"]
    found = Counter(row["key"].partition(":")[0] for row in csv_rows(await export(Format.CSV)))
    assert (found["payout"], found["payout-failed"], found["payout-paid"]) == (0, 0, 1)


async def test_a_row_tells_all_of_its_posting(export: Exporter) -> None:
    [row] = [row for row in csv_rows(await export(Format.CSV)) if row["key"].startswith("payout-paid:")]
    assert (row["currency"], row["amount_minor"], row["amount"]) == ("EUR", "300", "3.00")
    assert row["effective_at"] == "2026-02-19T07:00:00Z"
    assert row["debit_account"].endswith(":in-transit")
    assert row["credit_account"].endswith(":available")
    assert row["resolves"].startswith("ent_")
    assert (row["occurred_at"], row["reverses"]) == ("", "")
    assert bytes.fromhex(row["entry_hash"]) == await hash_of(export, int(row["entry_number"]))


async def test_a_cell_is_no_formula_and_parquet_keeps_the_text(export: Exporter) -> None:
    told = {row["description"] for row in csv_rows(await export(Format.CSV))}
    assert "'=1+1" in told
    assert "two\nlines" in told
    statement = "select distinct description from read_parquet($file)"
    assert {"=1+1", "two\nlines"} <= {text for [text] in parquet_rows(await export(Format.PARQUET), statement)}


async def test_parquet_is_typed_and_says_what_it_is_of(export: Exporter) -> None:
    file = await export(Format.PARQUET, FEBRUARY)
    types = {name: type for name, type, *_ in parquet_rows(file, "describe select * from read_parquet($file)")}
    assert (types["amount"], types["amount_minor"]) == ("DECIMAL(19,3)", "BIGINT")
    assert types["effective_at"] == types["recorded_at"] == "TIMESTAMP WITH TIME ZONE"
    facts = dict(parquet_rows(file, "select decode(key), decode(value) from parquet_kv_metadata($file)"))
    assert facts["marketbill.platform"] == public_id("platform", export.platform)
    assert (facts["marketbill.from"], facts["marketbill.to"]) == ("2026-02-01", "2026-03-01")
    last = int(facts["marketbill.chain-entries"])
    assert bytes.fromhex(facts["marketbill.chain-hash"]) == await hash_of(export, last)


async def test_small_pages_give_the_same_files(export: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {format: (await export(format, FEBRUARY)).read_bytes() for format in TEXTS}
    for name, size in (("ENTRIES_MAX", 3), ("POSTINGS_MAX", 7), ("ACCOUNTS_MAX", 2), ("_KNOWN_MAX", 4)):
        monkeypatch.setattr(reading, name, size)
    assert {format: (await export(format, FEBRUARY)).read_bytes() for format in TEXTS} == whole


async def test_a_fact_of_a_closed_period_is_told_with_when_it_happened(export: Exporter) -> None:
    connection = await asyncpg.connect(export.admin_url)
    closed_until = datetime(2026, 4, 1, tzinfo=UTC)
    await connection.execute("update ledger_head set closed_until = $1, revision = revision + 1", closed_until)
    await connection.close()
    happened = datetime(2026, 2, 3, 10, tzinfo=UTC)
    await posted(export.db, export.platform, charge(SellerId(new_id()), "EUR", 5_000, happened, "Late"))

    assert "Late" not in {row["description"] for row in csv_rows(await export(Format.CSV, FEBRUARY))}
    [row, *_] = csv_rows(await export(Format.CSV, Period(date(2026, 4, 1))))
    assert (row["effective_at"], row["occurred_at"]) == ("2026-04-01T00:00:00Z", "2026-02-03T10:00:00Z")
    assert bean_check(await export(Format.BEANCOUNT)).returncode == 0


@pytest.mark.parametrize("format", Format)
async def test_a_full_disk_and_a_lost_database_are_told_as_they_are(
    export: Exporter, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    monkeypatch.setattr(reading, "ENTRIES_MAX", 5)
    calls = count()

    @asynccontextmanager
    async def read() -> AsyncGenerator[ReadScope]:
        if next(calls) > 4:
            raise Unavailable("lost")
        async with export.db.read(export.platform) as scope:
            yield scope

    books = await open_books(read, name="Market", period=WHOLE)
    with pytest.raises(Unavailable, match="lost"):
        await write(books, format, io.BytesIO())
    books = await open_books(partial(export.db.read, export.platform), name="Market", period=WHOLE)
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb", buffering=0) as full:  # noqa: ASYNC230
        await write(books, format, full)


async def test_what_is_posted_during_an_export_is_not_in_it(export: Exporter) -> None:
    books = await open_books(partial(export.db.read, export.platform), name="Market", period=WHOLE)
    before = await export.held_at_end(WHOLE)
    await post_market(export.db, export.platform, sales=12)
    out = io.BytesIO()
    await write(books, Format.BEANCOUNT, out)
    file = export.folder / "books.beancount"
    file.write_bytes(out.getvalue())
    assert bean_check(file).returncode == 0
    assert beancount_balances(file) == named(beancount_name, before)


async def test_books_of_others_are_not_in_it(export: Exporter, db: Database) -> None:
    with pytest.raises(NothingToExport):
        await open_books(partial(db.read, PlatformId(new_id())), name="Empty", period=WHOLE)


@pytest.mark.parametrize(("period", "currency"), [(Period(None, date(2025, 1, 1)), None), (WHOLE, "USD")])
async def test_nothing_to_export_is_refused(export: Exporter, period: Period, currency: str | None) -> None:
    with pytest.raises(NothingToExport, match="nothing is booked"):
        await export(Format.CSV, period, currency)


async def test_a_quiet_month_leads_from_its_opening_to_the_same_closing(export: Exporter) -> None:
    quiet = Period(date(2026, 5, 1), date(2026, 6, 1))
    file = await export(Format.BEANCOUNT, quiet)
    assert bean_check(file).returncode == 0
    assert beancount_balances(file) == named(beancount_name, await export.held_at_end(WHOLE))
    assert csv_rows(await export(Format.CSV, quiet)) == []


def one_cent_off(text: str, before_amount: str) -> str:
    """The text with one cent more (or nine fewer) in the first amount of euros after these words."""
    amount = re.search(rf"{re.escape(before_amount)}-?\d+\.\d(\d)(?: ~ 0)? EUR\n", text)
    assert amount is not None
    return f"{text[: amount.start(1)]}{(int(amount[1]) + 1) % 10}{text[amount.end(1) :]}"


def without_an_entry(text: str) -> str:
    """The text without a charge: every transaction still balances."""
    parts = text.split("\n\n")
    charges = [place for place, part in enumerate(parts) if "charge:" in part]
    assert charges
    return "\n\n".join(part for place, part in enumerate(parts) if place != charges[0])


async def hash_of(export: Exporter, number: int) -> bytes:
    connection = await asyncpg.connect(export.admin_url)
    statement = "select hash from journal_entry where platform_id = $1 and number = $2"
    found: bytes = await connection.fetchval(statement, export.platform, number)
    await connection.close()
    return found
