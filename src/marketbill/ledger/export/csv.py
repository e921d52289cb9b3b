"""The postings of a period as CSV for spreadsheets and scripts: one row each (RFC 4180, UTF-8).

Text that a spreadsheet would take for a formula gets an apostrophe before it (CWE-1236), so free text may differ by
that one character from what is booked; amounts, times, ids and hashes never do.
"""

import csv
import io
from collections.abc import AsyncGenerator, Iterator, Sequence

from marketbill.clock import rfc3339
from marketbill.ledger.entry import Phase
from marketbill.ledger.export.books import Books, Report
from marketbill.ledger.export.record import Entry, entry_name
from marketbill.money import decimal_text
from marketbill.text import safe_cell

HEADER = (
    "entry_number",
    "entry_id",
    "entry_hash",
    "kind",
    "key",
    "source_type",
    "source_id",
    "description",
    "effective_at",
    "recorded_at",
    "occurred_at",
    "resolves",
    "reverses",
    "posting_number",
    "debit_account",
    "credit_account",
    "currency",
    "amount_minor",
    "amount",
)


async def csv_table(books: Books, report: Report | None = None) -> AsyncGenerator[str]:
    """The header, then the rows page by page."""
    yield ",".join(HEADER) + "\r\n"
    async for page in books.entries(report):
        yield "".join(_rows([entry for entry in page if entry.phase == Phase.POSTED]))


def _rows(entries: Sequence[Entry]) -> Iterator[str]:
    """Entries are quoted where they need it, once for all of their rows; what a posting adds never needs it."""
    text = io.StringIO()
    writer = csv.writer(text)
    for entry in entries:
        text.seek(0)
        text.truncate()
        writer.writerow(_told(entry))
        told = text.getvalue().removesuffix("\r\n")
        for posting in entry.postings:
            yield (
                f"{told},{posting.number},{posting.debit.code},{posting.credit.code},{posting.currency},{posting.amount},"
                f"{decimal_text(posting.amount, posting.currency)}\r\n"
            )


def _told(entry: Entry) -> tuple[str | int, ...]:
    return (
        entry.number,
        entry_name(entry.id),
        entry.hash.hex(),
        safe_cell(entry.kind),
        safe_cell(entry.key),
        safe_cell(entry.source_type),
        safe_cell(entry.source),
        safe_cell(entry.description),
        rfc3339(entry.effective_at),
        rfc3339(entry.recorded_at),
        "" if entry.occurred_at is None else rfc3339(entry.occurred_at),
        "" if entry.resolves is None else entry_name(entry.resolves),
        "" if entry.reverses is None else entry_name(entry.reverses),
    )
