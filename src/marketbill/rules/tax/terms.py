"""What the tax of one sale is decided from, beside the sale itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marketbill.rules.tax.parties import BuyerTax, PlatformTax, SellerTax

#: A buyer of whom nothing is known: a consumer, anywhere.
NOBODY_KNOWN = BuyerTax()


@dataclass(frozen=True, slots=True)
class TaxTerms:
    """The parties' tax status, sellers by public id, and the tax point: the instant whose rates apply.

    `table` holds the rates, and is needed only for lines that do not state their own.
    """

    platform: PlatformTax
    sellers: Mapping[str, SellerTax]
    buyer: BuyerTax = NOBODY_KNOWN
    at: datetime | None = None
    table: Any = None
