"""The same statement in four renderings: read back, they hold equal numbers; made again, they are equal bytes."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pypdf
import pytest
from python_calamine import CalamineWorkbook
from tests.ledger.worked_journal import EUR, START
from tests.statements.test_statement import told_whole_story

from marketbill.db import Database
from marketbill.errors import InvalidInput, LimitExceeded
from marketbill.ids import PlatformId
from marketbill.ledger.flows import FLOWS
from marketbill.statements import words
from marketbill.statements.document import PDF_LINES_MAX, Party, StatementDocument
from marketbill.statements.model import FileFormat
from marketbill.statements.rendering import parse_format, render
from marketbill.statements.statement import Bucket, Section, statement
from marketbill.statements.words import Language, Tongue, parse_language

DAY = timedelta(days=1)
#: A's whole story: the sale of 49.99 less fees, a refund of 20.00 and a lost dispute leave a debt of 0.15.
AMOUNTS = [4999, -512, -108, 0, 0, 0, -1758, 0, 0, -2636]
BALANCES = [4999, 4487, 4379, 4379, 4379, 4379, 2621, 2621, 2621, -15]


@pytest.fixture
async def document(db: Database, platform: PlatformId) -> StatementDocument:
    a, _, _ = await told_whole_story(db, platform)
    async with db.read(platform) as scope:
        told = await statement(scope, seller=a, currency=EUR, start=START - DAY, end=START + 5 * DAY)
    seller = Party("=Ångström & Söhne #1", "DE", "DE136695976", reference="demo-A")
    return StatementDocument(told, told.lines, Party("Markt B.V.", "NL"), seller, "ST-2026-000001", START + 6 * DAY)


COUNTRY = {Language.EN: "Germany", Language.NL: "Duitsland", Language.DE: "Deutschland", Language.FR: "Allemagne"}


def minor(text: Any) -> int:
    return int(Decimal(str(text)).scaleb(2).to_integral_exact())


def test_the_csv_reads_back(document: StatementDocument) -> None:
    rows = list(csv.DictReader(io.StringIO(render(document, FileFormat.CSV, Language.EN).decode())))
    assert [minor(row["amount"]) for row in rows[1:-1]] == AMOUNTS
    assert [minor(row["balance"]) for row in rows] == [0, *BALANCES, -15]


def test_the_workbook_reads_back(document: StatementDocument) -> None:
    book = CalamineWorkbook.from_filelike(io.BytesIO(render(document, FileFormat.XLSX, Language.DE)))
    assert book.sheet_names == ["Übersicht", "Bewegungen"]
    lines = book.get_sheet_by_index(1).to_python()
    assert [minor(row[5]) for row in lines[2:-1]] == AMOUNTS
    assert [minor(row[9]) for row in lines[1:]] == [0, *BALANCES, -15]
    summary = {row[0]: row[1:] for row in book.get_sheet_by_index(0).to_python()}
    assert summary["Verkäufer"][0] == "'=Ångström & Söhne #1", "no cell runs what a seller is called"
    assert (minor(summary["Erstattungen"][1]), minor(summary["Zahlungsanfechtungen"][1])) == (-1758, -2636)
    assert [minor(one) for one in summary["Schuld"]] == [0, -15]


@pytest.mark.parametrize("language", list(Language))
def test_the_pdf_reads_back_in_every_language(document: StatementDocument, language: Language) -> None:
    # A thousand times the amounts, so that there are separators of thousands to be read.
    lines = tuple(
        replace(line, amount=line.amount * 1000, balance_after=line.balance_after * 1000) for line in document.lines
    )
    reader = pypdf.PdfReader(io.BytesIO(render(replace(document, lines=lines), FileFormat.PDF, language)))
    text = "\n".join(page.extract_text() for page in reader.pages)
    tongue = Tongue(language)

    for told in (
        tongue.label("statement"),
        tongue.section(Section.REFUNDS),
        tongue.kind("dispute-lost"),
        "ST-2026-000001",
    ):
        assert told in text
    assert "=Ångström & Söhne #1" in text
    assert COUNTRY[language] in text
    [total] = [line for line in text.splitlines() if line.startswith(f"{tongue.label('total')} ")]
    assert amounts(total, tongue) == [0, -15], "the buckets make the balances"
    movements = text[text.index(tongue.label("movements")) :]
    pairs = [tuple(amounts(line, tongue)) for line in movements.splitlines()]
    assert [pair for pair in pairs if len(pair) == 2] == [
        (amount * 1000, balance * 1000) for amount, balance in zip(AMOUNTS, BALANCES, strict=True)
    ]
    fonts = [font.get_object() for page in reader.pages for font in page["/Resources"]["/Font"].values()]
    described = [font["/DescendantFonts"][0]["/FontDescriptor"] for font in fonts]
    assert all({"/FontFile2", "/FontFile3"} & set(one) for one in described), "every font is in the file"


def amounts(line: str, tongue: Tongue) -> list[int]:
    """The amounts with decimals in a line of text."""
    found: list[int] = []
    for word in line.replace("\u202f", "\xa0").split(" "):
        if len(word) >= 4 and word[-3] in ",." and word.count(word[-3]) == 1 and word[-1].isdigit():
            try:
                found.append(tongue.parse_amount(word, EUR))
            except ValueError:
                continue
    return found


@pytest.mark.parametrize("format", list(FileFormat))
def test_the_same_statement_makes_the_same_bytes(document: StatementDocument, format: FileFormat) -> None:
    assert render(document, format, Language.NL) == render(document, format, Language.NL)


def test_a_pdf_has_a_limit(document: StatementDocument) -> None:
    total = replace(document.statement.totals[0], lines=PDF_LINES_MAX + 1)
    long = replace(document, statement=replace(document.statement, totals=(total,)))
    with pytest.raises(LimitExceeded):
        render(long, FileFormat.PDF, Language.EN)


def test_every_word_is_there_in_every_language() -> None:
    assert set(words.SECTIONS) == {*Section}
    assert set(words.BUCKETS) == {*Bucket}
    for table in (words.SECTIONS, words.BUCKETS, words.KINDS, words.LABELS):
        for name, told in table.items():
            assert len(told) == len(Language), name
            assert all(one.strip() for one in told), name
    touching = {
        kind
        for kind, template in FLOWS.items()
        for leg in template.legs
        if {"seller:*:pending", "seller:*:payable", "custody:*:available", "seller-receivable:*"}
        & {leg.debit.pattern, leg.credit.pattern}
    }
    assert touching - set(words.KINDS) == set()


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize(("currency", "minor"), [("EUR", -123456789), ("JPY", 1234567), ("KWD", -1001), ("EUR", 0)])
def test_an_amount_reads_back(language: Language, currency: str, minor: int) -> None:
    tongue = Tongue(language)
    assert tongue.parse_amount(tongue.amount(minor, currency), currency) == minor


def test_periods_in_words() -> None:
    start, end = datetime(2018, 1, 1, tzinfo=UTC), datetime(2018, 2, 1, tzinfo=UTC)
    assert [Tongue(language).period(start, end) for language in Language] == [
        "Jan 1, 2018 to Jan 31, 2018",
        "1 jan 2018 tot en met 31 jan 2018",
        "01.01.2018 bis 31.01.2018",
        "1 janv. 2018 au 31 janv. 2018",
    ]


def test_unknown_formats_and_languages_are_refused() -> None:
    with pytest.raises(InvalidInput, match="csv, xlsx, pdf"):
        parse_format("docx")
    with pytest.raises(InvalidInput, match="en, nl, de, fr"):
        parse_language("es")
