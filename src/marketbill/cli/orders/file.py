"""The file: CSV rows become orders, and what is wrong with a row is said with its line number.

An order with a bad row is rejected as a whole: a partial order would charge its buyer a wrong total.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from marketbill.cli.failure import CommandRefused
from marketbill.errors import InvalidInput
from marketbill.money import exponent, parse_decimal

#: A longer file is to be split: everything is read before the first order is paid.
ROWS_MAX = 2_000_000
CELL_LENGTH_MAX = 10_000
ORDER_ROWS_MAX = 100
ID_LENGTH_MAX = 100
#: Read where the file has it; any other column of dates must be there when it is named.
USUAL_DATE = "shipping_limit_at"
_REJECT_COLUMNS = ("line", "reason")
_OTHER_DELIMITERS = (";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns are called in the file; a file without freight has `freight` None, one without dates `date`."""

    order: str
    item: str
    product: str
    seller: str
    price: str
    freight: str | None
    currency: str
    date: str | None = None

    def named(self) -> tuple[str, ...]:
        names = (self.order, self.item, self.product, self.seller, self.price, self.freight, self.currency, self.date)
        return tuple(name for name in names if name is not None)


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One item of an order; `price` and `freight` are minor units of the order's currency."""

    item: str
    product: str
    seller: str
    price: int
    freight: int


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row as it stands in the file, with the number of its first line."""

    line: int
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class FileOrder:
    """An order whose rows are all good. `ordered_at` is the earliest date of its rows, UTC where they name no zone."""

    id: str
    currency: str
    ordered_at: datetime | None
    items: tuple[OrderItem, ...]
    rows: tuple[FileRow, ...]

    @property
    def total(self) -> int:
        return sum(item.price + item.freight for item in self.items)


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is not imported, and why."""

    row: FileRow
    reason: str


@dataclass(frozen=True, slots=True)
class OrderFile:
    """What a file holds: the good orders in the order of their first rows, and the rejected rows."""

    header: tuple[str, ...]
    orders: tuple[FileOrder, ...]
    rejects: tuple[Reject, ...]
    rows: int


@dataclass(slots=True)
class _Draft:
    """An order while its rows are read."""

    currency: str = ""
    ordered_at: datetime | None = None
    items: list[OrderItem] = field(default_factory=list)
    rows: list[FileRow] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)


def read_orders(path: Path, columns: Columns, *, encoding: str = "utf-8") -> OrderFile:
    """Reads and checks a whole file. Raises CommandRefused when it cannot be read as CSV with these columns."""
    try:
        with path.open(newline="", encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding) as file:
            return _read(path, file, columns)
    except UnicodeDecodeError as error:
        raise CommandRefused(
            f"{path} is not {encoding} text (byte {error.object[error.start]:#04x} at offset {error.start}):"
            " name its encoding with --encoding, such as latin-1"
        ) from None
    except LookupError:
        raise CommandRefused(f"{encoding!r} is not an encoding: write utf-8, latin-1 or cp1252") from None


def check_rejects(place: Path, source: Path) -> None:
    """Raises CommandRefused when rejected rows could not be written there; said before anything is paid."""
    if place.exists() and place.samefile(source):
        raise CommandRefused(f"{place} is the file to import: name another one for its rejects with --rejects")
    existed = place.exists()
    try:
        with place.open("a"):
            pass
    except OSError as error:
        raise CommandRefused(
            f"rejected rows cannot be written to {place} ({error.strerror}): name another file with --rejects"
        ) from None
    if not existed:
        place.unlink()


def write_rejects(path: Path, header: Sequence[str], rejects: Sequence[Reject]) -> None:
    """Writes the rejected rows with their lines and reasons first; corrected, the file can be imported as it is."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        kept = [index for index, name in enumerate(header) if name not in _REJECT_COLUMNS]
        writer.writerow([*_REJECT_COLUMNS, *(header[index] for index in kept)])
        for reject in sorted(rejects, key=lambda one: one.row.line):
            cells = reject.row.cells
            writer.writerow([reject.row.line, reject.reason, *(cells[i] if i < len(cells) else "" for i in kept)])


def _read(path: Path, file: Iterator[str], columns: Columns) -> OrderFile:
    rows = _rows(path, file)
    first = next(rows, None)
    if first is None:
        raise CommandRefused(f"{path} is empty: its first line must name the columns")
    header = tuple(name.strip() for name in first.cells)
    if columns.date == USUAL_DATE and USUAL_DATE not in header:
        columns = replace(columns, date=None)
    place = _places(path, header, columns)
    drafts: dict[str, _Draft] = {}
    nameless: list[Reject] = []
    count = 0
    for row in rows:
        count += 1
        if count > ROWS_MAX:
            raise CommandRefused(f"{path} has more than {ROWS_MAX} rows: split it")
        order = row.cells[place[columns.order]].strip() if place[columns.order] < len(row.cells) else ""
        if not order or len(order) > ID_LENGTH_MAX:
            problem = "is empty" if not order else f"has more than {ID_LENGTH_MAX} characters"
            nameless.append(Reject(row, f"{columns.order} {problem}"))
            continue
        _add(drafts.setdefault(order, _Draft()), row, header, place, columns)
    if count == 0:
        raise CommandRefused(f"{path} has a header but no rows")
    orders, rejects = _sorted_out(drafts)
    return OrderFile(header, tuple(orders), (*nameless, *rejects), count)


def _rows(path: Path, file: Iterator[str]) -> Iterator[FileRow]:
    csv.field_size_limit(CELL_LENGTH_MAX)
    reader = csv.reader(file, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise CommandRefused(f"{path}, line {max(line, reader.line_num)}: broken CSV: {error}") from None
        if cells:
            yield FileRow(line, cells)
        line = reader.line_num + 1


def _places(path: Path, header: tuple[str, ...], columns: Columns) -> dict[str, int]:
    missing = [name for name in columns.named() if name not in header]
    if len(header) == 1 and (mark := next((mark for mark in _OTHER_DELIMITERS if mark in header[0]), None)):
        raise CommandRefused(
            f"{path}: its columns are separated by {mark!r}, but a CSV file has commas: save it with commas as the"
            " delimiter"
        )
    if missing:
        raise CommandRefused(
            f"{path} has no column {', '.join(map(repr, missing))}; it has {', '.join(header)[:300]}:"
            " name its columns with --order-column, --seller-column and so on"
        )
    twice = [name for name in columns.named() if header.count(name) > 1]
    if twice:
        raise CommandRefused(f"{path} has the column {twice[0]!r} twice: rename one")
    return {name: header.index(name) for name in columns.named()}


def _add(draft: _Draft, row: FileRow, header: tuple[str, ...], place: dict[str, int], columns: Columns) -> None:
    draft.rows.append(row)
    try:
        draft.items.append(_item(draft, row, header, place, columns))
    except InvalidInput as problem:
        draft.problems[row.line] = problem.message


def _item(draft: _Draft, row: FileRow, header: tuple[str, ...], place: dict[str, int], columns: Columns) -> OrderItem:
    if len(row.cells) != len(header):
        raise InvalidInput(f"the row has {len(row.cells)} cells, the header {len(header)}")

    def cell(column: str, *, needed: bool = True) -> str:
        value = row.cells[place[column]].strip()
        if needed and not value:
            raise InvalidInput(f"{column} is empty")
        if len(value) > ID_LENGTH_MAX:
            raise InvalidInput(f"{column} has more than {ID_LENGTH_MAX} characters")
        if "\0" in value:
            raise InvalidInput(f"{column} holds a NUL character")
        return value

    if columns.date is not None:
        date = _date(cell(columns.date), columns.date)
        draft.ordered_at = min(draft.ordered_at or date, date)
    currency = cell(columns.currency)
    exponent(currency)
    if draft.currency and currency != draft.currency:
        raise InvalidInput(f"the row is in {currency}, its order in {draft.currency}: one order has one currency")
    draft.currency = currency
    item = cell(columns.item)
    if item in draft.seen:
        raise InvalidInput(f"{columns.item} {item!r} is on line {draft.seen[item]} too")
    draft.seen[item] = row.line
    price = _amount(cell(columns.price), currency, columns.price)
    if price == 0:
        raise InvalidInput(f"{columns.price} is zero: an item costs something")
    freight = 0
    if columns.freight is not None:
        freight = _amount(cell(columns.freight, needed=False) or "0", currency, columns.freight)
    return OrderItem(item, cell(columns.product, needed=False) or item, cell(columns.seller), price, freight)


def _date(text: str, column: str) -> datetime:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{column} {text!r} is not a date: write 2026-05-31 or 2026-05-31T14:30:00") from None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _amount(text: str, currency: str, column: str) -> int:
    try:
        amount = parse_decimal(text, currency)
    except InvalidInput as problem:
        raise InvalidInput(f"{column}: {problem.message}") from None
    if amount < 0:
        raise InvalidInput(f"{column} is negative: {text}")
    return amount


def _sorted_out(drafts: dict[str, _Draft]) -> tuple[list[FileOrder], list[Reject]]:
    orders: list[FileOrder] = []
    rejects: list[Reject] = []
    for id, draft in drafts.items():
        if len(draft.rows) > ORDER_ROWS_MAX:
            draft.problems[draft.rows[0].line] = f"order {id} has {len(draft.rows)} rows: at most {ORDER_ROWS_MAX}"
        if not draft.problems:
            orders.append(FileOrder(id, draft.currency, draft.ordered_at, tuple(draft.items), tuple(draft.rows)))
            continue
        bad = min(draft.problems)
        for row in draft.rows:
            whole = f"order {id} is rejected as a whole, because of line {bad}"
            rejects.append(Reject(row, draft.problems.get(row.line, whole)))
    return orders, rejects
