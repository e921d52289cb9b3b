"""Official exchange rates."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import strawberry

from marketbill.rates.store import rates_on
from marketbill.rules import fx
from marketbill_graphql import declare
from marketbill_graphql.access import BUYER, TENANT
from marketbill_graphql.context import Info
from marketbill_graphql.scalars import BigInt, CurrencyCode


@declare.output(TENANT - BUYER)
class ExchangeRate:
    """What one unit of `base` is worth in `quote`: exactly `numerator` / `denominator`."""

    base: CurrencyCode
    quote: CurrencyCode
    numerator: BigInt
    denominator: BigInt
    decimal: str = strawberry.field(description="To be read; rounded to ten digits where the fraction does not end.")
    source: str = strawberry.field(
        description="Who fixed it, and whether it was inverted or crossed; a provider's with its transaction."
    )
    fixed_on: date = strawberry.field(description="The day it is of; not the day that was asked for, if that had none.")


def exchange_rate_of(kept: Mapping[str, Any]) -> ExchangeRate:
    """A rate that is kept with a payment."""
    at = datetime.fromisoformat(kept["at"])
    return told(
        fx.ExchangeRate(kept["base"], kept["quote"], kept["numerator"], kept["denominator"], kept["source"], at)
    )


def told(rate: fx.ExchangeRate) -> ExchangeRate:
    """A rate as the schema tells it."""
    return ExchangeRate(
        base=CurrencyCode(rate.base),
        quote=CurrencyCode(rate.quote),
        numerator=BigInt(rate.numerator),
        denominator=BigInt(rate.denominator),
        decimal=fx.decimal_of(rate),
        source=rate.source,
        fixed_on=rate.at.date(),
    )


@strawberry.type
class ExchangeRateQueries:
    @declare.query(TENANT - BUYER)
    async def exchange_rate(self, info: Info, base: CurrencyCode, quote: CurrencyCode, on: date) -> ExchangeRate:
        """The European Central Bank's reference rate of a day, or of the last day before it that has one.

        There is none when that is more than five days earlier.
        """
        rates = await info.context.read(lambda scope: rates_on(scope, on, [(base, quote)]))
        return told(rates.rate(base, quote))
