"""A tax report as CSV for a spreadsheet: its rows, then the tax accounts that they are tied to.

Amounts are exact decimals of their currency; a difference that nothing explains has a row of its own.
"""

from collections.abc import Iterable

from marketbill.insight.tax_report import TaxReport
from marketbill.money import decimal_text
from marketbill.text import csv_text, safe_cell

HEADER = ("kind", "jurisdiction", "liable", "category", "rate", "currency", "base", "tax", "lines", "account")


def tax_report_csv(report: TaxReport) -> str:
    """The whole file, with its header (RFC 4180)."""
    return csv_text([HEADER, *_rows(report), *_accounts(report)])


def _rows(report: TaxReport) -> Iterable[tuple[str, ...]]:
    for row in report.rows:
        yield (
            row.kind,
            row.jurisdiction,
            row.liable,
            safe_cell(row.category),
            f"{row.rate:f}",
            row.currency,
            decimal_text(row.base, row.currency),
            decimal_text(row.tax, row.currency),
            str(row.lines),
            "",
        )


def _accounts(report: TaxReport) -> Iterable[tuple[str, ...]]:
    for account in report.accounts:
        parts = (("ACCOUNT", account.moved), ("OTHER", account.other), ("DIFFERENCE", account.difference))
        for kind, amount in parts:
            if amount or kind == "ACCOUNT":
                told = decimal_text(amount, account.currency)
                yield (kind, "", "", "", "", account.currency, "", told, "", account.code)
