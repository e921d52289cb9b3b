"""A statement as a workbook: a sheet with the summary, and a sheet with every line.

Amounts are numbers with the decimals of their currency, so that they can be added up; one with more digits than a cell
of a spreadsheet holds exactly is text. The same statement makes the same bytes.
"""

import io
from datetime import UTC, datetime
from decimal import Decimal

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from marketbill.clock import rfc3339
from marketbill.ids import public_id
from marketbill.money import decimal_text, exponent
from marketbill.statements.document import StatementDocument
from marketbill.statements.statement import Bucket
from marketbill.statements.words import Language, Tongue
from marketbill.text import safe_cell

#: What a cell's number (IEEE 754 double) holds exactly, in digits.
DIGITS_MAX = 15

#: A workbook holds when it was made; what the file says must not depend on that.
_MADE = datetime(2000, 1, 1)  # noqa: DTZ001 (a workbook's times have no zone)


def statement_xlsx(document: StatementDocument, language: Language) -> bytes:
    """The workbook, with headings in `language`."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    try:
        tongue = Tongue(language)
        book.set_properties(
            {"title": tongue.label("statement"), "author": document.issuer.name, "created": document.issued_at or _MADE}
        )
        decimals = exponent(document.statement.currency)
        money = book.add_format({"num_format": "#,##0" + ("." + "0" * decimals if decimals else "")})
        pages = _Pages(document, tongue, money, book.add_format({"bold": True}))
        pages.summary(book.add_worksheet(tongue.label("summary")))
        pages.lines(book.add_worksheet(tongue.label("movements")))
    finally:
        book.close()
    return out.getvalue()


class _Pages:
    """The sheets of one workbook."""

    def __init__(self, document: StatementDocument, tongue: Tongue, money: Format, bold: Format) -> None:
        self._document, self._told = document, document.statement
        self._tongue, self._money, self._bold = tongue, money, bold

    def summary(self, sheet: Worksheet) -> None:
        told, label = self._told, self._tongue.label
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 2, 18)
        facts = [
            (label("seller"), safe_cell(self._document.seller.name)),
            ("", public_id("seller", told.seller)),
            (label("number"), self._document.number or label("draft")),
            (label("period"), self._tongue.period(told.start, told.end)),
            (label("currency"), told.currency),
        ]
        row = 0
        for name, fact in facts:
            sheet.write_string(row, 0, name, self._bold)
            sheet.write_string(row, 1, fact)
            row += 1
        row = self._headings(sheet, row + 1, "section", "count", "amount")
        row = self._total(sheet, row, label("opening"), told.opening.total)
        for total in told.totals:
            sheet.write_string(row, 0, self._tongue.section(total.section))
            sheet.write_number(row, 1, total.lines)
            self._amount(sheet, row, 2, total.amount)
            row += 1
        row = self._total(sheet, row, label("closing"), told.closing.total)
        row = self._headings(sheet, row + 1, "where", "opening", "closing")
        for bucket in Bucket:
            sheet.write_string(row, 0, self._tongue.bucket(bucket))
            for column, position in ((1, told.opening), (2, told.closing)):
                held = getattr(position, bucket.lower())
                self._amount(sheet, row, column, -held if bucket is Bucket.DEBT else held)
            row += 1

    def lines(self, sheet: Worksheet) -> None:
        told, tongue = self._told, self._tongue
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, 4, 26)
        sheet.set_column(5, 9, 16)
        names = ("time", "section", "what", "source", "entry", "amount", "from", "into", "moved", "balance")
        row = self._headings(sheet, 0, *names)
        sheet.write_string(row, 1, tongue.label("opening"))
        self._amount(sheet, row, 9, told.opening.total)
        for line in self._document.lines:
            row += 1
            texts = (
                rfc3339(line.effective_at.astimezone(UTC)),
                tongue.section(line.section),
                safe_cell(line.description),
                line.source_id,
                public_id("journal entry", line.entry_id),
            )
            for column, written in enumerate(texts):
                sheet.write_string(row, column, written)
            self._amount(sheet, row, 5, line.amount)
            for column, bucket in ((6, line.origin), (7, line.target)):
                sheet.write_string(row, column, tongue.bucket(bucket) if bucket else "")
            self._amount(sheet, row, 8, line.moved)
            self._amount(sheet, row, 9, line.balance_after)
        sheet.write_string(row + 1, 1, tongue.label("closing"))
        self._amount(sheet, row + 1, 9, told.closing.total)

    def _headings(self, sheet: Worksheet, row: int, *names: str) -> int:
        for column, name in enumerate(names):
            sheet.write_string(row, column, self._tongue.label(name), self._bold)
        return row + 1

    def _total(self, sheet: Worksheet, row: int, name: str, amount: int) -> int:
        sheet.write_string(row, 0, name, self._bold)
        self._amount(sheet, row, 2, amount)
        return row + 1

    def _amount(self, sheet: Worksheet, row: int, column: int, minor: int) -> None:
        written = decimal_text(minor, self._told.currency)
        if len(str(abs(minor))) > DIGITS_MAX:
            sheet.write_string(row, column, written)
        else:
            # A cell's number is a float whatever is given; up to here it is the exact one.
            sheet.write_number(row, column, float(Decimal(written)), self._money)
