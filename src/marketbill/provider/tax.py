"""The port to a provider of taxes: what a sale is taxed with, asked before it is made, and reported once it is booked.

`BUILT_IN` is the platform's own tables, and asks nobody. A calculation changes nothing and may be asked again; it costs
a fee each time. The two methods raise what every method of the port raises (`provider.port`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from marketbill.errors import InvalidInput, ProviderUnavailable
from marketbill.rules.tax.provided import AskedAmount, TaxCalculation

if TYPE_CHECKING:
    from marketbill.provider.port import Failure


class TaxProvider(StrEnum):
    """Who calculates the tax of lines that state no rate."""

    #: The tables of rates and of liability that are installed, with the platform's own rates.
    BUILT_IN = "BUILT_IN"
    #: Stripe Tax, with the key of the platform's payments.
    STRIPE = "STRIPE"


@dataclass(frozen=True, slots=True)
class TaxAddress:
    """Where the buyer is. `region` as in ISO 3166-2 (`US-WA`); a `vat_number` makes it a business."""

    country: str
    region: str = ""
    postcode: str = ""
    vat_number: str = ""


class TaxPlaceUnknown(InvalidInput):
    """The buyer's place is not told, or not well enough for the provider to know its taxes."""

    def __init__(self, field: str = "") -> None:
        super().__init__(
            "The provider cannot tell the buyer's place for tax: give the country, and in the United States and Canada"
            " the postcode with the state or province.",
            path=("buyer", field) if field else ("buyer",),
            constraint="country, postcode and region",
        )


class TaxUnavailable(ProviderUnavailable):
    """The provider of taxes gave no answer. Nothing was kept and nobody was charged: ask again."""

    def __init__(self, failure: "Failure") -> None:
        super().__init__("The provider of taxes gave no answer: nothing was kept and nobody was charged. Try again.")
        self.failure = failure


class CalculatesTax(Protocol):
    """What a provider of taxes does."""

    async def calculate_tax(
        self, *, currency: str, amounts: Sequence[AskedAmount], buyer: TaxAddress
    ) -> TaxCalculation:
        """The taxes on these amounts for this buyer. Raises TaxPlaceUnknown."""
        ...

    async def create_tax_transaction(
        self, *, key: str, calculation_id: str, reference: str, posted_at: datetime
    ) -> str:
        """Reports a calculation as a sale under a reference that there can be only one of; the transaction's id.

        Where it was reported before, that is known by the reference alone: then the reference is what it answers.
        """
        ...
