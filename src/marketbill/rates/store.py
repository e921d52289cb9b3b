"""The rates that are kept, and those that a computation may use.

A day without a rate takes the last one published before it, with that one's own date, and only within
`DAYS_MAX`: over the longest run of days on which nothing is fixed, and no further. Beyond that there is no rate.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time
from itertools import islice

from sqlalchemy import ARRAY, BigInteger, Date, Text, bindparam, text

from marketbill.db import Scope, SystemScope
from marketbill.rates.ecb import BASE, SOURCE, Fixing
from marketbill.rules.fx import BadRate, ExchangeRate, RateMissing, Rates, RateTooOld, cross, inverse

#: Days that a rate may be old. Nothing is fixed from Good Friday to Easter Monday, and on the Tuesday not before the
#: afternoon: Thursday's rate is then five days old.
DAYS_MAX = 5

_ROWS_MAX = 10_000

_KEEP = text(
    """
    insert into exchange_rate (source, base, quote, fixed_on, numerator, denominator, read_at)
    select :source, :base, told.quote, told.fixed_on, told.numerator, told.denominator, :now
    from unnest(cast(:quotes as text[]), cast(:days as date[]), cast(:numerators as bigint[]),
                cast(:denominators as bigint[])) as told (quote, fixed_on, numerator, denominator)
    on conflict do nothing
    """
).bindparams(
    bindparam("quotes", type_=ARRAY(Text)),
    bindparam("days", type_=ARRAY(Date)),
    bindparam("numerators", type_=ARRAY(BigInteger)),
    bindparam("denominators", type_=ARRAY(BigInteger)),
)
_LAST = text(
    """
    select wanted.quote, last.fixed_on, last.numerator, last.denominator
    from unnest(cast(:quotes as text[])) as wanted (quote)
    cross join lateral (
      select fixed_on, numerator, denominator from exchange_rate
      where source = :source and base = :base and quote = wanted.quote and fixed_on <= :on
      order by fixed_on desc limit 1
    ) as last
    """
).bindparams(bindparam("quotes", type_=ARRAY(Text)))
#: The dollar is quoted on every day that there is.
_NEWEST = text("select max(fixed_on) from exchange_rate where source = :source and base = :base and quote = 'USD'")


async def keep(scope: SystemScope, fixings: Iterable[Fixing]) -> int:
    """Adds rates of the European Central Bank; those that are known stay as they are. Gives how many were new."""
    added, rest = 0, iter(fixings)
    while some := list(islice(rest, _ROWS_MAX)):
        ratios = [fixing.rate.as_integer_ratio() for fixing in some]
        values = {
            "source": SOURCE,
            "base": BASE,
            "now": scope.now,
            "quotes": [fixing.quote for fixing in some],
            "days": [fixing.on for fixing in some],
            "numerators": [numerator for numerator, _ in ratios],
            "denominators": [denominator for _, denominator in ratios],
        }
        added += (await scope.connection.execute(_KEEP, values)).rowcount
    return added


async def newest(scope: Scope | SystemScope) -> date | None:
    """The last day of which there are rates; None when there are none at all."""
    return await scope.connection.scalar(_NEWEST, {"source": SOURCE, "base": BASE})


async def rates_on(
    scope: Scope | SystemScope, on: date, pairs: Sequence[tuple[str, str]], *, days_max: int = DAYS_MAX
) -> Rates:
    """The official rates of these pairs, of `on` or the last day before it that has them.

    From the euro a rate is as published; to the euro it is the inverse, between two others they are crossed over the
    euro, and its source says so. Raises RateMissing for a pair without any, RateTooOld for one whose last rate is more
    than `days_max` days older than `on`, BadRate and UnknownCurrency for pairs that can have none.
    """
    published = await _published(scope, on, pairs)
    return Rates.of([_between(base, quote, published, on, days_max) for base, quote in pairs])


async def rates_known(scope: Scope | SystemScope, on: date, pairs: Sequence[tuple[str, str]]) -> Rates:
    """The same in one statement for whoever may not need them all: without those that `rates_on` finds missing or too
    old."""
    published = await _published(scope, on, pairs)
    found: list[ExchangeRate] = []
    for base, quote in pairs:
        with suppress(RateMissing, RateTooOld):
            found.append(_between(base, quote, published, on, DAYS_MAX))
    return Rates.of(found)


async def _published(scope: Scope | SystemScope, on: date, pairs: Sequence[tuple[str, str]]) -> dict[str, ExchangeRate]:
    """The last rates from the euro, on or before a day, of the currencies of these pairs."""
    quotes = sorted({currency for pair in pairs for currency in pair} - {BASE})
    values = {"source": SOURCE, "base": BASE, "quotes": quotes, "on": on}
    rows = await scope.connection.execute(_LAST, values)
    # A fixing has a day and no hour.
    return {
        row.quote: ExchangeRate(
            BASE, row.quote, row.numerator, row.denominator, SOURCE, datetime.combine(row.fixed_on, time(), UTC)
        )
        for row in rows
    }


def _between(base: str, quote: str, published: dict[str, ExchangeRate], on: date, days_max: int) -> ExchangeRate:
    if base == quote:
        raise BadRate(base, quote, "a currency is worth itself")
    legs: list[ExchangeRate] = []
    for currency in (base, quote):
        if currency != BASE:
            if currency not in published:
                raise RateMissing(base, quote, on)
            rate = published[currency]
            if (on - rate.at.date()).days > days_max:
                raise RateTooOld(rate, on, days_max)
            legs.append(inverse(rate) if currency == base else rate)
    return cross(*legs) if len(legs) == 2 else legs[0]
