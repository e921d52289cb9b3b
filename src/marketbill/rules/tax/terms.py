"""What the tax of one sale is decided from, beside the sale itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from marketbill.rules.tax.liability import LiabilityTable
from marketbill.rules.tax.line_tax import LineTax
from marketbill.rules.tax.parties import BuyerTax, PlatformTax, SellerTax
from marketbill.rules.tax.rate_table import RateTable

#: A buyer of whom nothing is known: a consumer, anywhere.
NOBODY_KNOWN = BuyerTax()


@dataclass(frozen=True, slots=True)
class TaxTerms:
    """The parties' tax status, sellers by public id, and the tax point: the instant whose rates apply.

    `table` holds the rates and `liability` who owes the tax; both are needed only for lines that state no rate of their
    own (and `table` also for a buyer's fee that is taxed where he is). `given` are decisions by line id that a provider
    of taxes made: for lines that state none they stand in the tables' place.
    """

    platform: PlatformTax
    sellers: Mapping[str, SellerTax]
    buyer: BuyerTax = NOBODY_KNOWN
    at: datetime | None = None
    table: RateTable | None = None
    liability: LiabilityTable | None = None
    given: Mapping[str, LineTax] = field(default_factory=dict)
