"""Float: what the platform's own balance at the provider must pay before more comes, and where it falls short.

Transfers from a charge need no float; those from the platform's own balance do, such as what a won dispute gives back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import select, text, update

from marketbill.db import Scope
from marketbill.ids import PlatformId
from marketbill.ledger import chart
from marketbill.payouts.model import float_short
from marketbill.prepared import prepared
from marketbill.services import Services

#: Days that are looked ahead.
DAYS_MAX = 14


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that comes (above zero) or is asked for (below zero) at an instant, in minor units."""

    currency: str
    at: datetime
    amount: int
    what: str


@dataclass(frozen=True, slots=True)
class Float:
    """The forecast of a currency, in minor units: what is there now, what is asked of it and comes to it within the
    time looked at, the lowest that it gets to, and when. `short` is what lacks then; 0 where it is enough."""

    currency: str
    available: int
    asked: int
    coming: int
    lowest: int
    lowest_at: datetime

    @property
    def short(self) -> int:
        return max(-self.lowest, 0)


_MOVEMENTS = prepared(
    text(
        """
        select currency, at, amount, what from (
          select t.currency, cast(:now as timestamptz) as at, - sum(t.amount) as amount, 'transfers' as what
          from transfer t where t.platform_id = :platform and t.status = 'PENDING' and t.source_charge = ''
          group by t.currency
          union all
          select a.currency, cast(:now as timestamptz), - (a.credits - a.debits), 'refunds'
          from ledger_account a where a.platform_id = :platform and a.code = 'buyer:refund-payable'
            and a.credits > a.debits
          union all
          select coalesce(p.settlement_currency, p.currency), greatest(p.available_on, cast(:now as timestamptz)),
            sum(coalesce(p.settlement_gross, p.gross) - p.provider_fee
              - coalesce((select sum(coalesce(s.settled_net, s.seller_net)) from payment_share s
                  where s.platform_id = p.platform_id and s.payment_id = p.id), 0)), 'funds of sales'
          from payment p where p.platform_id = :platform and p.settled_at is not null and p.available_at is null
            and p.available_on <= :until group by 1, 2
        ) m where amount <> 0 order by currency, at, amount
        """
    )
)

_AVAILABLE = prepared(
    text(
        "select currency, debits - credits as available from ledger_account"
        " where platform_id = :platform and code = :code"
    )
)
_KEEP = text(
    """
    insert into float_short (platform_id, currency, short, since) values (:platform, :currency, :short, :now)
    on conflict (platform_id, currency) do update set short = excluded.short,
      since = coalesce(float_short.since, excluded.since)
    """
)


def forecast(available: dict[str, int], movements: Sequence[Movement], now: datetime) -> list[Float]:
    """The lowest that each currency's balance gets to when all this happens in its time; at one instant, what is asked
    goes before what comes."""
    found: list[Float] = []
    by_currency = {currency: list(those) for currency, those in groupby(movements, key=lambda one: one.currency)}
    for currency in sorted(available.keys() | by_currency.keys()):
        balance = lowest = available.get(currency, 0)
        lowest_at = now
        moved = sorted(by_currency.get(currency, []), key=lambda one: (one.at, one.amount))
        for one in moved:
            balance += one.amount
            if balance < lowest:
                lowest, lowest_at = balance, one.at
        found.append(
            Float(
                currency,
                available.get(currency, 0),
                -sum(one.amount for one in moved if one.amount < 0),
                sum(one.amount for one in moved if one.amount > 0),
                lowest,
                lowest_at,
            )
        )
    return found


async def of(scope: Scope, *, days: int = 7) -> list[Float]:
    """The forecast of each currency that the platform has at the provider, for some days (`DAYS_MAX` at most)."""
    until = scope.now + timedelta(days=min(days, DAYS_MAX))
    rows = await scope.rows(_MOVEMENTS, {"platform": scope.platform, "now": scope.now, "until": until})
    movements = [Movement(row.currency, row.at, int(row.amount), row.what) for row in rows]
    held = await scope.rows(_AVAILABLE, {"platform": scope.platform, "code": chart.PSP_AVAILABLE.pattern})
    available = {row.currency: row.available for row in held}
    return forecast(available, movements, scope.now)


async def watch(services: Services, platform: PlatformId) -> None:
    """Keeps where the next days ask for more than there is, for the alarms; safe to run in many workers at once."""
    async with services.db.read(platform) as scope:
        short = {one.currency: one.short for one in await of(scope) if one.short}
        mine = (float_short.c.platform_id == platform) & (float_short.c.short > 0)
        rows = await scope.rows(select(float_short).where(mine))
    if short == {row.currency: row.short for row in rows}:
        return
    async with services.db.write(platform) as scope:
        over = mine & float_short.c.currency.not_in(list(short))
        await scope.run(update(float_short).where(over).values(short=0, since=None))
        for currency, amount in sorted(short.items()):
            await scope.run(_KEEP, {"platform": platform, "currency": currency, "short": amount, "now": scope.now})
