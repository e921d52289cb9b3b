"""Money at the edge: minor units and a currency; the decimal form is for display."""

from decimal import Decimal

import strawberry

from marketbill import money
from marketbill_graphql import declare
from marketbill_graphql.access import ANYONE
from marketbill_graphql.scalars import BigInt, CurrencyCode


@declare.output(ANYONE)
class Money:
    """An amount. `minor` is authoritative (cents, yen, fils); `decimal` is the same amount for display."""

    minor: BigInt = strawberry.field(description="The amount in minor units of its currency.")
    currency: CurrencyCode = strawberry.field(description="ISO 4217 code.")

    @declare.computed
    def decimal(self) -> Decimal:
        """The exact amount in major units, with all decimals of the currency."""
        return Decimal(money.decimal_text(self.minor, self.currency))

    @declare.computed
    def exponent(self) -> int:
        """How many decimals the currency has."""
        return money.exponent(self.currency)


@declare.input
class MoneyInput:
    """An amount: whole minor units and their currency, so that the scale is never in doubt."""

    minor: BigInt = strawberry.field(description="The amount in minor units, such as 1210 for 12.10 EUR.")
    currency: CurrencyCode = strawberry.field(description="ISO 4217 code.")


def amount(minor: int, currency: str) -> Money:
    return Money(minor=BigInt(minor), currency=CurrencyCode(currency))
