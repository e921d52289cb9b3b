"""What a buyer pays for at once: lines of several sellers in one currency, and what makes a basket unusable."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from marketbill.errors import InvalidInput, Path
from marketbill.money import bounded, exponent
from marketbill.rules.rates import rate_parts
from marketbill.text import check_usable

#: Lines in one basket: keeps the split, its trace and its journal entry small enough for one transaction.
LINES_MAX = 200
QUANTITY_MAX = 1_000_000
ID_LENGTH_MAX = 100
DESCRIPTION_LENGTH_MAX = 500
CATEGORY_LENGTH_MAX = 100
#: Discounts on one basket.
DISCOUNTS_MAX = 50


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


class ShippingUnplaced(InvalidInput):
    """Shipping of a seller who has no line in the basket, or who has shipping already."""

    def __init__(self, seller_id: str, *, repeated: bool, path: Path) -> None:
        why = "has shipping already: give one amount" if repeated else "has no line in the basket"
        super().__init__(f"The seller {seller_id!r} {why}.", path=path, constraint="once for a seller with lines")
        self.seller_id = seller_id


class AmountNotPositive(InvalidInput):
    """An amount of shipping or of a discount of zero or less: what is nothing is left out."""

    def __init__(self, amount: int, *, path: Path) -> None:
        super().__init__("The amount must be more than zero.", path=path, constraint="> 0")
        self.amount = amount


class TooManyDiscounts(InvalidInput):
    """A basket with more than `DISCOUNTS_MAX` discounts."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"The basket has {count} discounts: at most {DISCOUNTS_MAX}.",
            path=("discounts",),
            constraint=f"<= {DISCOUNTS_MAX} discounts",
        )
        self.count = count


class DiscountUnclear(InvalidInput):
    """A discount with both an amount and a percentage, or with neither."""

    def __init__(self, id: str, *, path: Path) -> None:
        super().__init__(
            f"The discount {id!r} needs either an amount or a percentage.", path=path, constraint="one of the two"
        )
        self.id = id


class DuplicateDiscount(InvalidInput):
    """Two discounts of a basket with one id."""

    def __init__(self, id: str, *, path: Path) -> None:
        super().__init__(f"Another discount has the id {id!r} too.", path=path, constraint="unique in the basket")
        self.id = id


class DiscountLineUnknown(InvalidInput):
    """A discount on a line that the basket does not have."""

    def __init__(self, line_id: str, *, path: Path) -> None:
        super().__init__(f"The basket has no line {line_id!r}.", path=path, constraint="ids of lines in the basket")
        self.line_id = line_id


@dataclass(frozen=True, slots=True)
class BasketLine:
    """One line. `unit_price` is in minor units; `tax_rate` in percent, within the price or on top of it.

    `tax_rate` is None where the tax is to be decided from `tax_category`, the goods' country (`ship_from`, empty for
    the seller's own) and the parties; `tax_unknown` says that the seller alone knows it. `category` is a path such as
    `books/children`.
    """

    id: str
    seller_id: str
    description: str
    category: str
    quantity: int
    unit_price: int
    tax_rate: Decimal | None
    tax_inclusive: bool
    product: str = ""
    tax_category: str = ""
    ship_from: str = ""
    tax_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Shipping:
    """What one seller asks for delivery, in minor units, taxed as his goods are: each line takes its share of it, with
    the tax within where the line's price has it within, else before tax."""

    seller_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Discount:
    """A discount on some lines (`line_ids`) or on all: `amount` in minor units off their prices, or `percent` of them.

    `platform_percent` of it is paid by the platform (0: the sellers give all of it, 100: the platform does).
    """

    id: str
    amount: int | None = None
    percent: Decimal | None = None
    line_ids: tuple[str, ...] = ()
    platform_percent: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Basket:
    """The lines of one sale, all in one currency (ISO 4217), with their shipping and discounts."""

    currency: str
    lines: tuple[BasketLine, ...]
    shipping: tuple[Shipping, ...] = ()
    discounts: tuple[Discount, ...] = ()
    channel: str = ""
    payment_method: str = ""


def check_basket(basket: Basket) -> None:
    """Refuse a basket that cannot be split, naming the first wrong field as `("lines", "3", "unitPrice")`.

    Raises `UnknownCurrency`, `BasketEmpty`, `TooManyLines`, `DuplicateLine`, `TextMissing`, `TextTooLong`,
    `TextUnusable`, `QuantityOutOfRange`, `PriceNotPositive`, `AmountTooLarge`, `ShippingUnplaced`,
    `AmountNotPositive`, `TooManyDiscounts`, `DiscountUnclear`, `DuplicateDiscount`, `DiscountLineUnknown` and, for a
    discount's percentages, `RateOutOfRange` and `RateTooPrecise`. Tax rates are read, and refused, where they are
    used: in `tax.decision`.
    """
    exponent(basket.currency, path=("currency",))
    if not basket.lines:
        raise BasketEmpty()
    if len(basket.lines) > LINES_MAX:
        raise TooManyLines(len(basket.lines))
    for index, line in enumerate(basket.lines):
        _check_line(line, at=("lines", str(index)))
    _check_ids_differ(basket.lines)
    _check_text(basket.channel, limit=CATEGORY_LENGTH_MAX, path=("channel",), needed=False)
    _check_text(basket.payment_method, limit=CATEGORY_LENGTH_MAX, path=("paymentMethod",), needed=False)
    if basket.shipping:
        _check_shipping(basket)
    if basket.discounts:
        _check_discounts(basket)


def _check_line(line: BasketLine, *, at: Path) -> None:
    _check_text(line.id, limit=ID_LENGTH_MAX, path=(*at, "id"), needed=True)
    _check_text(line.seller_id, limit=ID_LENGTH_MAX, path=(*at, "sellerId"), needed=True)
    _check_text(line.description, limit=DESCRIPTION_LENGTH_MAX, path=(*at, "description"), needed=False)
    _check_text(line.category, limit=CATEGORY_LENGTH_MAX, path=(*at, "category"), needed=False)
    _check_text(line.product, limit=ID_LENGTH_MAX, path=(*at, "product"), needed=False)
    _check_text(line.tax_category, limit=CATEGORY_LENGTH_MAX, path=(*at, "taxCategory"), needed=False)
    if not 1 <= line.quantity <= QUANTITY_MAX:
        raise QuantityOutOfRange(line.quantity, path=(*at, "quantity"))
    if line.unit_price <= 0:
        raise PriceNotPositive(line.unit_price, path=(*at, "unitPrice"))
    bounded(line.quantity * line.unit_price, path=(*at, "unitPrice"))


def _check_shipping(basket: Basket) -> None:
    sellers = {line.seller_id for line in basket.lines}
    seen: set[str] = set()
    for index, shipping in enumerate(basket.shipping):
        at = ("shipping", str(index))
        if shipping.seller_id not in sellers or shipping.seller_id in seen:
            raise ShippingUnplaced(shipping.seller_id, repeated=shipping.seller_id in seen, path=(*at, "sellerId"))
        seen.add(shipping.seller_id)
        if shipping.amount <= 0:
            raise AmountNotPositive(shipping.amount, path=(*at, "amount"))
        bounded(shipping.amount, path=(*at, "amount"))


def _check_discounts(basket: Basket) -> None:
    if len(basket.discounts) > DISCOUNTS_MAX:
        raise TooManyDiscounts(len(basket.discounts))
    lines = {line.id for line in basket.lines}
    seen: set[str] = set()
    for index, discount in enumerate(basket.discounts):
        at = ("discounts", str(index))
        _check_text(discount.id, limit=ID_LENGTH_MAX, path=(*at, "id"), needed=True)
        if discount.id in seen:
            raise DuplicateDiscount(discount.id, path=(*at, "id"))
        seen.add(discount.id)
        if (discount.amount is None) == (discount.percent is None):
            raise DiscountUnclear(discount.id, path=at)
        if discount.percent is not None:
            rate_parts(discount.percent, path=(*at, "percent"))
        elif discount.amount is not None and discount.amount <= 0:
            raise AmountNotPositive(discount.amount, path=(*at, "amount"))
        rate_parts(discount.platform_percent, path=(*at, "platformPercent"))
        for place, line_id in enumerate(discount.line_ids):
            if line_id not in lines or line_id in discount.line_ids[:place]:
                raise DiscountLineUnknown(line_id, path=(*at, "lineIds", str(place)))


def _check_text(text: str, *, limit: int, path: Path, needed: bool) -> None:
    if needed and not text:
        raise TextMissing(path=path)
    if len(text) <= limit and text.isascii() and text.isprintable():
        return
    if len(text) > limit:
        raise TextTooLong(length=len(text), limit=limit, path=path)
    check_usable(text, path=path)


def _check_ids_differ(lines: Sequence[BasketLine]) -> None:
    seen: set[str] = set()
    for index, line in enumerate(lines):
        if line.id in seen:
            raise DuplicateLine(line.id, path=("lines", str(index), "id"))
        seen.add(line.id)
