"""When a fee rule holds: any of a dimension's values (OR), in every dimension (AND)."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class Facts(NamedTuple):
    """What conditions look at: one line of a sale, its seller and its buyer.

    `seller` is the public id, countries are ISO 3166-1 codes (empty when unknown), `category` a path such as
    `books/children`, `value` the line's price as the buyer pays it (minor units of `currency`, tax included, after
    discounts that the seller funds, without shipping), `at` the instant of the sale.
    """

    seller: str
    seller_groups: frozenset[str]
    category: str
    product: str
    channel: str
    seller_country: str
    buyer_country: str
    currency: str
    payment_method: str
    value: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ValueBand:
    """Prices of one currency in minor units, from `start` up to and without `end` (None: no end)."""

    currency: str
    start: int
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """An empty dimension holds for everything. A category holds for itself and all below it (`books` for
    `books/children`); the bands hold for prices in any of them."""

    sellers: frozenset[str] = frozenset()
    seller_groups: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    products: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    seller_countries: frozenset[str] = frozenset()
    buyer_countries: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    payment_methods: frozenset[str] = frozenset()
    values: tuple[ValueBand, ...] = ()


ALWAYS = Conditions()
