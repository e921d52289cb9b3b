"""What a buyer pays for at once: lines of several sellers in one currency, and what makes a basket unusable."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from marketbill.errors import InvalidInput, Path
from marketbill.money import bounded, exponent
from marketbill.text import check_usable

#: Lines in one basket: keeps the split, its trace and its journal entry small enough for one transaction.
LINES_MAX = 200
QUANTITY_MAX = 1_000_000
ID_LENGTH_MAX = 100
DESCRIPTION_LENGTH_MAX = 500
CATEGORY_LENGTH_MAX = 100


class BasketEmpty(InvalidInput):
    """A basket without a line."""

    def __init__(self) -> None:
        super().__init__("The basket has no lines: give at least one.", path=("lines",), constraint=">= 1 lines")


class TooManyLines(InvalidInput):
    """A basket with more than `LINES_MAX` lines."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"The basket has {count} lines: at most {LINES_MAX}.", path=("lines",), constraint=f"<= {LINES_MAX} lines"
        )
        self.count = count


class DuplicateLine(InvalidInput):
    """Two lines of a basket with one id."""

    def __init__(self, id: str, *, path: Path) -> None:
        super().__init__(f"Another line has the id {id!r} too.", path=path, constraint="unique in the basket")
        self.id = id


class TextMissing(InvalidInput):
    """An empty text where one is needed."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(f"{path[-1]} is empty.", path=path, constraint=">= 1 characters")


class TextTooLong(InvalidInput):
    """A text beyond the limit of its field."""

    def __init__(self, *, length: int, limit: int, path: Path) -> None:
        super().__init__(
            f"{path[-1]} has {length} characters: at most {limit}.", path=path, constraint=f"<= {limit} characters"
        )
        self.length = length
        self.limit = limit


class QuantityOutOfRange(InvalidInput):
    """A quantity below 1 or above `QUANTITY_MAX`."""

    def __init__(self, quantity: int, *, path: Path) -> None:
        super().__init__(
            f"The quantity must be from 1 to {QUANTITY_MAX}.", path=path, constraint=f">= 1, <= {QUANTITY_MAX}"
        )
        self.quantity = quantity


class PriceNotPositive(InvalidInput):
    """A unit price of zero or less. What is free is not sold, and what is paid back is a refund."""

    def __init__(self, unit_price: int, *, path: Path) -> None:
        super().__init__("The unit price must be more than zero.", path=path, constraint="> 0")
        self.unit_price = unit_price


@dataclass(frozen=True, slots=True)
class BasketLine:
    """One line. `unit_price` is in minor units; `tax_rate` in percent, within the price or on top of it."""

    id: str
    seller_id: str
    description: str
    category: str
    quantity: int
    unit_price: int
    tax_rate: Decimal
    tax_inclusive: bool


@dataclass(frozen=True, slots=True)
class Basket:
    """The lines of one sale, all in one currency (ISO 4217)."""

    currency: str
    lines: tuple[BasketLine, ...]


def check_basket(basket: Basket) -> None:
    """Refuse a basket that cannot be split, naming the first wrong field as `("lines", "3", "unitPrice")`.

    Raises `UnknownCurrency`, `BasketEmpty`, `TooManyLines`, `DuplicateLine`, `TextMissing`, `TextTooLong`,
    `TextUnusable`, `QuantityOutOfRange`, `PriceNotPositive`, `AmountTooLarge`.
    Tax rates are read, and refused, where they are used: in `pricing.price`.
    """
    exponent(basket.currency, path=("currency",))
    if not basket.lines:
        raise BasketEmpty()
    if len(basket.lines) > LINES_MAX:
        raise TooManyLines(len(basket.lines))
    for index, line in enumerate(basket.lines):
        _check_line(line, at=("lines", str(index)))
    _check_ids_differ(basket.lines)


def _check_line(line: BasketLine, *, at: Path) -> None:
    _check_text(line.id, limit=ID_LENGTH_MAX, path=(*at, "id"), needed=True)
    _check_text(line.seller_id, limit=ID_LENGTH_MAX, path=(*at, "sellerId"), needed=True)
    _check_text(line.description, limit=DESCRIPTION_LENGTH_MAX, path=(*at, "description"), needed=False)
    _check_text(line.category, limit=CATEGORY_LENGTH_MAX, path=(*at, "category"), needed=False)
    if not 1 <= line.quantity <= QUANTITY_MAX:
        raise QuantityOutOfRange(line.quantity, path=(*at, "quantity"))
    if line.unit_price <= 0:
        raise PriceNotPositive(line.unit_price, path=(*at, "unitPrice"))
    bounded(line.quantity * line.unit_price, path=(*at, "unitPrice"))


def _check_text(text: str, *, limit: int, path: Path, needed: bool) -> None:
    if needed and not text:
        raise TextMissing(path=path)
    if len(text) > limit:
        raise TextTooLong(length=len(text), limit=limit, path=path)
    check_usable(text, path=path)


def _check_ids_differ(lines: Sequence[BasketLine]) -> None:
    seen: set[str] = set()
    for index, line in enumerate(lines):
        if line.id in seen:
            raise DuplicateLine(line.id, path=("lines", str(index), "id"))
        seen.add(line.id)
