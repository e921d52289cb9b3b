"""An order as a request states it, and what of it can be refused without looking anything up."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from marketbill.errors import InvalidInput
from marketbill.rules.basket import LINES_MAX, BasketEmpty, TooManyLines
from marketbill.text import check_usable

EXTERNAL_REFS_MAX = 10
WORD_LENGTH_MAX = 40
_REF_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line as requested. `unit_price` is minor units of `currency`; `tax_rate` a percentage, None to be decided.

    `tax_category` says what is sold, for its tax; `ship_from` where the goods are at the sale (a country; the seller's
    when empty); `tax_unknown` that the seller alone knows the tax in the price.
    """

    seller_id: str
    description: str
    category: str
    quantity: int
    unit_price: int
    currency: str
    tax_rate: Decimal | None
    tax_inclusive: bool
    external_refs: dict[str, str] = field(default_factory=dict)
    product: str = ""
    tax_category: str = ""
    tax_unknown: bool = False
    ship_from: str = ""

    def body(self) -> list[Any]:
        return [
            self.seller_id,
            self.description,
            self.category,
            self.quantity,
            self.unit_price,
            self.currency,
            None if self.tax_rate is None else str(self.tax_rate),
            self.tax_inclusive,
            self.external_refs,
            self.product,
            self.tax_category,
            self.tax_unknown,
            self.ship_from,
        ]


@dataclass(frozen=True, slots=True)
class OrderShipping:
    """What the buyer pays for the shipping of one seller's lines, in minor units."""

    seller_id: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class OrderDiscount:
    """A discount of `percent` or of `amount` (minor units of `currency`) on some lines, by place; none for all.

    `platform_percent` of it is the platform's: 0 is funded by the sellers, 100 by the platform.
    """

    id: str
    percent: Decimal | None
    amount: int | None
    currency: str | None
    lines: tuple[int, ...] = ()
    platform_percent: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class BuyerPlace:
    """Where the buyer takes the goods or is at home. With a `vat_number` it is a business."""

    country: str
    region: str = ""
    postcode: str = ""
    vat_number: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A basket as requested. `channel` and `method` (the kind of payment method, such as `card`) are for fee rules."""

    currency: str
    lines: tuple[OrderLine, ...]
    shipping: tuple[OrderShipping, ...] = ()
    discounts: tuple[OrderDiscount, ...] = ()
    buyer: BuyerPlace | None = None
    channel: str = ""
    method: str = ""

    def body(self) -> dict[str, Any]:
        """What an idempotency key stands for."""
        buyer = self.buyer
        return {
            "currency": self.currency,
            "lines": [line.body() for line in self.lines],
            "shipping": [[one.seller_id, one.amount, one.currency] for one in self.shipping],
            "discounts": [
                [one.id, _text(one.percent), one.amount, one.currency, list(one.lines), _text(one.platform_percent)]
                for one in self.discounts
            ],
            "buyer": [buyer.country, buyer.region, buyer.postcode, buyer.vat_number] if buyer else None,
            "channel": self.channel,
            "method": self.method,
        }


def check_order(order: Order) -> None:
    """Raises InvalidInput naming the first wrong field; what the split itself refuses is left to it."""
    if not order.lines:
        raise BasketEmpty
    if len(order.lines) > LINES_MAX:
        raise TooManyLines(len(order.lines))
    for index, line in enumerate(order.lines):
        _check_currency(line.currency, order.currency, path=("lines", str(index), "unitPrice", "currency"))
        _check_refs(line, index)
        if line.tax_unknown and line.tax_rate is not None:
            raise InvalidInput(
                "The line states its tax rate and says that it is unknown: give one of both.",
                path=("lines", str(index), "taxRate"),
                constraint="taxRate or taxUnknown",
            )
    for index, one in enumerate(order.shipping):
        _check_currency(one.currency, order.currency, path=("shipping", str(index), "amount", "currency"))
    for index, one in enumerate(order.discounts):
        _check_discount(one, order, index)
    for name, word in (("channel", order.channel), ("methodKind", order.method)):
        check_usable(word, path=(name,))
        if len(word) > WORD_LENGTH_MAX:
            raise InvalidInput(
                f"{name} has at most {WORD_LENGTH_MAX} characters.",
                path=(name,),
                constraint=f"<= {WORD_LENGTH_MAX} characters",
            )


def _check_discount(one: OrderDiscount, order: Order, index: int) -> None:
    path = ("discounts", str(index))
    if one.currency is not None:
        _check_currency(one.currency, order.currency, path=(*path, "amount", "currency"))
    for place, line in enumerate(one.lines):
        if not 0 <= line < len(order.lines):
            raise InvalidInput(
                f"There is no line {line}: the basket has {len(order.lines)}, counted from 0.",
                path=(*path, "lines", str(place)),
                constraint=f"0..{len(order.lines) - 1}",
            )


def _check_currency(given: str, currency: str, *, path: tuple[str, ...]) -> None:
    if given != currency:
        raise InvalidInput(
            f"The basket is in {currency}, this amount in {given}: one basket has one currency.",
            path=path,
            constraint=currency,
        )


def _check_refs(line: OrderLine, index: int) -> None:
    path = ("lines", str(index), "externalRefs")
    if len(line.external_refs) > EXTERNAL_REFS_MAX:
        raise InvalidInput(f"A line has at most {EXTERNAL_REFS_MAX} external ids.", path=path)
    for name, value in line.external_refs.items():
        if not 1 <= len(name) <= 40 or not 1 <= len(value) <= _REF_LENGTH_MAX:
            raise InvalidInput("An external id has a name of 1 to 40 and a value of 1 to 200 characters.", path=path)
        check_usable(name, path=path)
        check_usable(value, path=path)


def _text(number: Decimal | None) -> str | None:
    return None if number is None else str(number)
