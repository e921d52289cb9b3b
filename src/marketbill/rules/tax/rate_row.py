"""One row of the tax rates: what is charged where, on what, from when until when, and by which law."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

#: The categories of rates that a jurisdiction may have. `reduced` and its numbered kin are told apart within one
#: jurisdiction only; `higher` is a rate above the standard one.
RATE_CATEGORIES = frozenset(
    ("standard", "reduced", "reduced-2", "reduced-3", "super-reduced", "parking", "zero", "exempt", "higher")
)

#: What a product may be, for tax: our own closed list. A jurisdiction's rows tell which rate each of them has there;
#: what is none of these is `standard`, or has its rate stated on the line.
PRODUCT_CATEGORIES = {
    "food": "Food for people, as it is sold in a shop; no drinks with alcohol.",
    "books": "Printed books.",
    "ebooks": "Books supplied electronically.",
    "newspapers": "Printed newspapers and periodicals.",
    "pharmaceuticals": "Medicines for people.",
    "medical-devices": "Equipment and aids for the sick and the disabled.",
    "children-clothing": "Clothing and shoes for children.",
    "hotel": "Short stays in hotels and the like.",
    "restaurant": "Meals served on the spot; no drinks with alcohol.",
    "passenger-transport": "Carriage of people within the country.",
    "culture-admission": "Admission to concerts, theatres, museums and the like.",
    "digital-service": "Services supplied electronically: downloads, streaming, games, subscriptions.",
    "software-service": "Software as a service, hosting, licences.",
}


@dataclass(frozen=True, slots=True)
class RateRow:
    """A rate of `rate` percent from `valid_from` until `valid_to` (exclusive; None: still in force).

    `jurisdiction` is ISO 3166-1 or 3166-2 (`DE`, `CA-ON`, `PT-20`), `XI` for Northern Ireland; where ISO has no code,
    the country's and an X (`AT-X1`). `category` is one of `RATE_CATEGORIES`; with a `supply`, one of
    `PRODUCT_CATEGORIES`, the row is the rate of that product alone and wins over the plain row of its category.
    `on_top_of` names the jurisdiction whose tax is due as well (Canada's, beneath a province's). `estimate`: good for
    a guess shown to a buyer, not for a return. `parts` are the rows that a combined rate was added up from.
    """

    jurisdiction: str
    tax: str
    category: str
    rate: Decimal
    valid_from: date
    valid_to: date | None
    legal_source: str
    source_url: str
    retrieved: date
    supply: str = ""
    note: str = ""
    estimate: bool = False
    on_top_of: str = ""
    parts: tuple["RateRow", ...] = ()

    @property
    def reference(self) -> str:
        """The row as refusals and evidence name it: `DE/standard/2020-07-01`, `DE/reduced:books/2020-07-01`."""
        named = f"{self.category}:{self.supply}" if self.supply else self.category
        return f"{self.jurisdiction}/{named}/{self.valid_from.isoformat()}"

    @property
    def subject(self) -> str:
        """What the row is the rate of in its jurisdiction: a product, or a category of rates."""
        return self.supply or self.category

    def holds(self, on: date) -> bool:
        return self.valid_from <= on and (self.valid_to is None or on < self.valid_to)
