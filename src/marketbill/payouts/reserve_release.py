"""The end of a reserve: what was kept for long enough is payable again, pays debts, and the rest is transferred."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text

from marketbill.db import WriteScope
from marketbill.ids import PlatformId, SellerId, public_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payouts import again, netting
from marketbill.payouts.again import Again
from marketbill.payouts.model import TransferKind
from marketbill.payouts.netting import Due
from marketbill.services import Services

#: Reserves released in one transaction.
BATCH_MAX = 200
_ROUNDS_MAX = 200

_RELEASE = text(
    """
    with due as (
      select r.id from reserve r
      where r.platform_id = :platform and r.released_at is null and r.release_on <= :now
      order by r.release_on limit :limit for update skip locked
    )
    update reserve r set released_at = :now from due where r.platform_id = :platform and r.id = due.id
    returning r.id, r.payment_id, r.seller_id, r.currency, r.amount
    """
)


async def release_reserves(services: Services, platform: PlatformId) -> None:
    """Makes payable what was kept for long enough: debts first, the rest as transfers of their own. Safe in many
    workers at once."""
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            rows = await scope.rows(_RELEASE, {"platform": platform, "now": scope.now, "limit": BATCH_MAX})
            await _release(scope, rows)
        if len(rows) < BATCH_MAX:
            return


async def _release(scope: WriteScope, rows: Sequence[Row[Any]]) -> None:
    if not rows:
        return
    dues = [
        Due(row.seller_id, row.currency, row.amount, Source("payment", row.payment_id), public_id("reserve", row.id))
        for row in rows
    ]
    netted = await netting.net(scope, dues)
    await again.plan(
        scope,
        [
            Again(row.payment_id, row.seller_id, row.currency, rest, TransferKind.RESERVE)
            for row, rest in zip(rows, netted.rests, strict=True)
            if rest > 0
        ],
    )
    await journal.post_all(scope, [*(_released(scope, row) for row in rows), *netted.entries])


def _released(scope: WriteScope, row: Row[Any]) -> JournalEntry:
    owner, currency, id = SellerId(row.seller_id), row.currency, public_id("reserve", row.id)
    return JournalEntry(
        key=f"reserve-release:{id}",
        kind="reserve-release",
        source=Source("payment", row.payment_id),
        postings=(Posting(chart.seller_reserve(owner, currency), chart.seller_payable(owner, currency), row.amount),),
        effective_at=scope.now,
        description=f"Reserve {id} released",
        reason={"reserve": id},
    )
