"""A statement as CSV for a spreadsheet: an opening row, the same lines page by page, a closing row.

Amounts are exact decimals of the currency; times are RFC 3339 in UTC.
"""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from marketbill.clock import rfc3339
from marketbill.db import ReadScope
from marketbill.ids import SellerId, public_id
from marketbill.ledger.accounts import SellerPosition
from marketbill.money import decimal_text
from marketbill.statements.document import FILE_LINES_MAX, StatementDocument, check_length
from marketbill.statements.statement import LINES_MAX, Line, lines_after, statement
from marketbill.text import csv_text, safe_cell

HEADER = (
    "time",
    "section",
    "description",
    "source",
    "entry",
    "currency",
    "amount",
    "from",
    "to",
    "moved",
    "balance",
)


async def statement_csv(
    read: Callable[[], AbstractAsyncContextManager[ReadScope]],
    *,
    seller: SellerId,
    currency: str,
    start: datetime,
    end: datetime,
    known: int | None = None,
    known_at: datetime | None = None,
) -> AsyncGenerator[str]:
    """The whole statement of [start, end), in parts. Raises like `statement`, and LimitExceeded when it is too long.

    Every page has a transaction of its own from `read`, so that a slow reader of the parts holds none; all pages tell
    of one state of the books.
    """
    async with read() as scope:
        page = await statement(
            scope,
            seller=seller,
            currency=currency,
            start=start,
            end=end,
            limit=LINES_MAX,
            known=known,
            known_at=known_at,
        )
    check_length(page, FILE_LINES_MAX)
    yield csv_text([HEADER, _balance_row("OPENING", page.opening, start)])
    yield to_csv(page.lines, currency)
    lines, more = page.lines, page.more
    while more:
        async with read() as scope:
            lines, more = await lines_after(
                scope, lines[-1].place, seller=seller, currency=currency, start=start, end=end, limit=LINES_MAX
            )
        yield to_csv(lines, currency)
    yield csv_text([_balance_row("CLOSING", page.closing, end)])


def whole_csv(document: StatementDocument) -> str:
    """The same file, of a statement that is drawn up already."""
    told = document.statement
    return (
        csv_text([HEADER, _balance_row("OPENING", told.opening, told.start)])
        + to_csv(document.lines, told.currency)
        + csv_text([_balance_row("CLOSING", told.closing, told.end)])
    )


def to_csv(lines: Iterable[Line], currency: str) -> str:
    """The rows of these lines, without a header."""
    return csv_text(
        (
            rfc3339(line.effective_at),
            line.section,
            safe_cell(line.description),
            safe_cell(line.source_id),
            public_id("journal entry", line.entry_id),
            currency,
            decimal_text(line.amount, currency),
            line.origin or "",
            line.target or "",
            decimal_text(line.moved, currency),
            decimal_text(line.balance_after, currency),
        )
        for line in lines
    )


def _balance_row(name: str, position: SellerPosition, at: datetime) -> tuple[str, ...]:
    balance = decimal_text(position.total, position.currency)
    return (rfc3339(at), name, "", "", "", position.currency, "", "", "", "", balance)
