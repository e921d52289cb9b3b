"""The formats by name, and the writing of a file in one of them."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from enum import StrEnum
from typing import BinaryIO

from marketbill.ledger.export.beancount import beancount_file
from marketbill.ledger.export.books import Books, Report
from marketbill.ledger.export.csv import csv_table
from marketbill.ledger.export.hledger import hledger_journal
from marketbill.ledger.export.parquet import check_parquet, write_parquet


class Format(StrEnum):
    """What an export can be."""

    HLEDGER = "hledger"
    BEANCOUNT = "beancount"
    CSV = "csv"
    PARQUET = "parquet"


_TEXTS: Mapping[Format, Callable[[Books, Report | None], AsyncGenerator[str]]] = {
    Format.HLEDGER: hledger_journal,
    Format.BEANCOUNT: beancount_file,
    Format.CSV: csv_table,
}


def check(format: Format) -> None:
    """Raises `parquet.ParquetUnavailable` where this machine cannot write the format."""
    if format is Format.PARQUET:
        check_parquet()


async def write(books: Books, format: Format, file: BinaryIO, report: Report | None = None) -> None:
    """Writes the books to a file, UTF-8 where it is text. Raises `parquet.ParquetUnavailable`; OSError of the file."""
    if format is Format.PARQUET:
        await write_parquet(books, file, report)
        return
    async with aclosing(_TEXTS[format](books, report)) as parts:
        async for part in parts:
            file.write(part.encode())
