"""Taxes that a provider calculates, for platforms that chose one: asked before any transaction of the sale is open.

Whoever plans an order tries it first without; where the platform's provider must be asked, planning says so and leaves
everything as it was, the provider is asked, and the order is planned again with its answer. So a sale of a platform
with the built-in tables costs nothing more, and no transaction waits for a provider.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from marketbill.errors import ProviderNotConnected
from marketbill.ids import PlatformId
from marketbill.payments.order import BuyerPlace
from marketbill.platforms.credentials import open_provider
from marketbill.provider.port import Unknown
from marketbill.provider.tax import TaxAddress, TaxPlaceUnknown, TaxUnavailable
from marketbill.rules.basket import Basket
from marketbill.rules.tax.line_tax import LineTax
from marketbill.rules.tax.provided import TaxNotReproduced, asked_amounts, provided_decisions
from marketbill.services import Services

#: Times that a basket is asked about. Shipping is shared out over the lines' net, which the taxes decide: where they
#: differ between the lines of a seller, a second answer is needed for the amounts that follow from the first.
ROUNDS_MAX = 3

T = TypeVar("T")
Taxes = Mapping[str, LineTax]


class TaxesWanted(Exception):
    """An order cannot be planned before the platform's provider of taxes was asked; `secret_key` is sealed."""

    def __init__(self, basket: Basket, buyer: BuyerPlace | None, secret_key: str | None) -> None:
        super().__init__("the provider of taxes must be asked first")
        self.basket = basket
        self.buyer = buyer
        self.secret_key = secret_key


async def with_taxes(services: Services, platform: PlatformId, plan: Callable[[Taxes | None], Awaitable[T]]) -> T:
    """What `plan` gives; it is called again with the provider's taxes where it raised TaxesWanted.

    Raises what `plan` and `taxes_from_provider` raise.
    """
    try:
        return await plan(None)
    except TaxesWanted as asked:
        wanted = asked
    return await plan(await taxes_from_provider(services, platform, wanted))


async def taxes_from_provider(services: Services, platform: PlatformId, wanted: TaxesWanted) -> dict[str, LineTax]:
    """The decisions on the lines that state no rate, by line id. To be called outside any transaction.

    Raises ProviderNotConnected, TaxPlaceUnknown where the buyer's place is not told well enough, TaxUnavailable
    (retryable) when the provider gives no answer, Refused, and TaxNotReproduced.
    """
    buyer, basket = wanted.buyer, wanted.basket
    if wanted.secret_key is None:
        raise ProviderNotConnected
    if buyer is None:
        raise TaxPlaceUnknown
    address = TaxAddress(buyer.country, buyer.region, buyer.postcode, buyer.vat_number)
    provider = open_provider(services, platform, wanted.secret_key)
    decided: dict[str, LineTax] = {}
    for _ in range(ROUNDS_MAX):
        asked = asked_amounts(basket, decided)
        try:
            calculation = await provider.calculate_tax(currency=basket.currency, amounts=asked, buyer=address)
        except Unknown as unknown:
            raise TaxUnavailable(unknown.failure) from None
        decided = provided_decisions(asked, calculation)
        if asked_amounts(basket, decided) == asked:
            return decided
    raise TaxNotReproduced(next(iter(decided)))
