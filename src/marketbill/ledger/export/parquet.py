"""The postings of a period as a Parquet file: the rows of the CSV, typed, and their text exactly as it is booked.

Arrow's Rust library writes it (the packages arro3, the extra `parquet`): as fast as pyarrow at a fifth of its size. It
pulls its batches, so it runs in a thread and asks the event loop for each.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from io import UnsupportedOperation
from itertools import repeat
from typing import Any, BinaryIO, cast

from marketbill.errors import ErrorCode, Refusal
from marketbill.ledger.entry import Phase
from marketbill.ledger.export.books import Books, Report
from marketbill.ledger.export.record import Entry, Posting, entry_name
from marketbill.money import AMOUNT_MINOR_MAX, EXPONENTS, decimal_text

#: Rows of a row group; the writer holds one, compressed, in memory.
ROW_GROUP_MAX = 100_000
#: Every currency's decimals have a place in one column, and so does the largest amount without decimals.
SCALE = max(EXPONENTS)
PRECISION = len(str(AMOUNT_MINOR_MAX)) + SCALE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class ParquetUnavailable(Refusal):
    """The packages that write Parquet are not installed."""

    code = ErrorCode.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__(
            "Parquet is written by a package that is not installed (the extra marketbill[parquet]): python3 -m pip"
            f" --python {sys.executable} install 'arro3-io>=0.9.1,<0.10'; CSV holds the same rows and needs nothing"
        )


def check_parquet() -> None:
    """Raises ParquetUnavailable."""
    try:
        import arro3.io  # noqa: F401
    except ImportError:
        raise ParquetUnavailable from None


class _Door:
    """Where the writer takes batches and leaves bytes. It panics at an exception, so none is let through to it.

    What failed is kept in `failure`, and the writer sees the end of the batches instead.
    """

    def __init__(self, take: Callable[[], Any], file: BinaryIO) -> None:
        self._take = take
        self._file = file
        self.failure: BaseException | None = None

    def batches(self) -> Iterator[Any]:
        while self.failure is None:
            try:
                batch = self._take()
            except BaseException as failure:
                self.failure = failure
                return
            if batch is None:
                return
            yield batch

    def write(self, part: bytes) -> int:
        if self.failure is None:
            try:
                self._file.write(part)
            except OSError as failure:
                self.failure = failure
        return len(part)

    def flush(self) -> None:
        """Whoever opened the file flushes it."""

    def seek(self, place: int, whence: int = 0) -> int:
        """Asked for and never used: the file is written from its beginning to its end."""
        raise UnsupportedOperation("seek")


async def write_parquet(books: Books, file: BinaryIO, report: Report | None = None) -> None:
    """Writes the file; its key-value metadata tell what it is of. Raises ParquetUnavailable; OSError of the file."""
    check_parquet()
    from arro3.core import RecordBatchReader
    from arro3.io import write_parquet as write

    schema = _schema()
    loop = asyncio.get_running_loop()

    async with aclosing(_moving(books, report)) as pages:

        def take() -> Any:
            page = asyncio.run_coroutine_threadsafe(anext(pages, None), loop).result()
            return None if page is None else _batch(schema, page)

        door = _Door(take, file)
        await asyncio.to_thread(
            write,
            RecordBatchReader.from_batches(schema, door.batches()),
            cast(BinaryIO, door),
            compression="zstd(3)",
            max_row_group_size=ROW_GROUP_MAX,
            key_value_metadata={f"marketbill.{name}": fact for name, fact in books.facts().items()},
        )
    if door.failure is not None:
        raise door.failure


async def _moving(books: Books, report: Report | None) -> AsyncGenerator[list[Entry]]:
    async with aclosing(books.entries(report)) as pages:
        async for page in pages:
            entries = [entry for entry in page if entry.phase == Phase.POSTED]
            if entries:
                yield entries


def _schema() -> Any:
    from arro3.core import DataType, Field, Schema

    types = {
        "text": DataType.string(),
        "number": DataType.int64(),
        "instant": DataType.timestamp("us", tz="UTC"),
        "amount": DataType.decimal128(PRECISION, SCALE),
    }
    columns = [*_ENTRY_COLUMNS, *_POSTING_COLUMNS]
    return Schema([Field(name, types[type], nullable=name in _NULLABLE) for name, type, _ in columns])


def _batch(schema: Any, entries: Sequence[Entry]) -> Any:
    from arro3.core import Array, DataType, RecordBatch

    plain = {"number": DataType.int64(), "instant": DataType.int64()}
    postings = [posting for entry in entries for posting in entry.postings]
    columns: list[tuple[str, Sequence[str | int | None]]] = [
        (type, [told for entry in entries for told in repeat(value(entry), len(entry.postings))])
        for _, type, value in _ENTRY_COLUMNS
    ]
    columns += [(type, [value(posting) for posting in postings]) for _, type, value in _POSTING_COLUMNS]
    arrays = [Array(values, plain.get(type, DataType.string())) for type, values in columns]
    return RecordBatch.from_arrays([a.cast(schema.field(n).type) for n, a in enumerate(arrays)], schema=schema)


def _instant(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // _MICROSECOND


_ENTRY_COLUMNS: tuple[tuple[str, str, Callable[[Entry], str | int | None]], ...] = (
    ("entry_number", "number", lambda entry: entry.number),
    ("entry_id", "text", lambda entry: entry_name(entry.id)),
    ("entry_hash", "text", lambda entry: entry.hash.hex()),
    ("kind", "text", lambda entry: entry.kind),
    ("key", "text", lambda entry: entry.key),
    ("source_type", "text", lambda entry: entry.source_type),
    ("source_id", "text", lambda entry: entry.source),
    ("description", "text", lambda entry: entry.description),
    ("effective_at", "instant", lambda entry: _instant(entry.effective_at)),
    ("recorded_at", "instant", lambda entry: _instant(entry.recorded_at)),
    ("occurred_at", "instant", lambda entry: _instant(entry.occurred_at)),
    ("resolves", "text", lambda entry: entry.resolves and entry_name(entry.resolves)),
    ("reverses", "text", lambda entry: entry.reverses and entry_name(entry.reverses)),
)
_POSTING_COLUMNS: tuple[tuple[str, str, Callable[[Posting], str | int]], ...] = (
    ("posting_number", "number", lambda posting: posting.number),
    ("debit_account", "text", lambda posting: posting.debit.code),
    ("credit_account", "text", lambda posting: posting.credit.code),
    ("currency", "text", lambda posting: posting.currency),
    ("amount_minor", "number", lambda posting: posting.amount),
    ("amount", "amount", lambda posting: decimal_text(posting.amount, posting.currency)),
)
_NULLABLE = frozenset({"occurred_at", "resolves", "reverses"})
