"""What each seller has sold in the running periods: counted when a charge is booked, read for fees with tiers."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Scope, WriteScope
from marketbill.ids import public_id
from marketbill.prepared import prepared
from marketbill.rules.fees.schedule import Period, Schedule

# In the order of the key, so that two batches never wait for each other.
_ADD = prepared(
    text(
        """
        insert into seller_volume (platform_id, seller_id, currency, month, gross)
        select :platform, sold.*
        from jsonb_to_recordset(:sold) as sold (seller_id uuid, currency text, month date, gross bigint)
        order by sold.seller_id, sold.currency, sold.month
        on conflict (platform_id, seller_id, currency, month) do update
        set gross = seller_volume.gross + excluded.gross
        """
    ).bindparams(bindparam("sold", type_=JSONB))
)
_BEFORE = prepared(
    text(
        """
        select seller_id,
          coalesce(sum(gross) filter (where month = :month), 0)::bigint as month,
          coalesce(sum(gross) filter (where month >= :quarter), 0)::bigint as quarter,
          sum(gross)::bigint as year
        from seller_volume
        where platform_id = :platform and seller_id = any(:sellers) and currency = :currency
          and month >= :year and month <= :month
        group by seller_id
        """
    ).bindparams(bindparam("sellers", type_=ARRAY(Uuid)))
)


class Booked(Protocol):
    """A payment in the transaction that books it: its row as it was, its shares, and its columns as they become."""

    row: Row[Any]
    shares: list[Row[Any]]
    values: dict[str, Any]


async def add(scope: WriteScope, steps: Sequence[Booked]) -> None:
    """Counts the charges that are booked in this transaction, in the month (UTC) of each."""
    sold: dict[tuple[UUID, str, date], int] = {}
    for step in steps:
        if step.row.booked_at is not None or step.values["booked_at"] is None:
            continue
        month = period_start(Period.MONTH, step.values["booked_at"])
        for share in step.shares:
            if share.gross:
                key = (share.seller_id, step.row.currency, month)
                sold[key] = sold.get(key, 0) + share.gross
    if sold:
        rows = [
            {"seller_id": str(id), "currency": currency, "month": month.isoformat(), "gross": gross}
            for (id, currency, month), gross in sold.items()
        ]
        await scope.run(_ADD, {"platform": scope.platform, "sold": rows})


async def before(
    scope: Scope, schedule: Schedule, sellers: Iterable[UUID], *, currency: str, at: datetime
) -> dict[str, Mapping[Period, int]]:
    """What each seller sold in the running month, quarter and year, by public id; nothing is read without tiers."""
    if all(rule.tiers is None for rule in schedule.rules):
        return {}
    starts = {period.lower(): period_start(period, at) for period in Period}
    rows = await scope.rows(
        _BEFORE, {"platform": scope.platform, "sellers": list(sellers), "currency": currency, **starts}
    )
    return {
        public_id("seller", row.seller_id): {period: getattr(row, period.lower()) for period in Period} for row in rows
    }


def period_start(period: Period, at: datetime) -> date:
    """The first day of the calendar period in UTC that an instant lies in."""
    day = at.astimezone(UTC).date()
    match period:
        case Period.MONTH:
            month = day.month
        case Period.QUARTER:
            month = (day.month - 1) // 3 * 3 + 1
        case Period.YEAR:
            month = 1
    return day.replace(month=month, day=1)
