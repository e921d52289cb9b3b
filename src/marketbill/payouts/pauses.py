"""Pauses: no run pays a seller whose bank sent a payout back, until his bank account changed."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, Uuid, bindparam, select, text, update

from marketbill.db import Scope, WriteScope
from marketbill.payouts.model import payout_pause

_PAUSE = text(
    """
    insert into payout_pause (platform_id, seller_id, payout_id, reason, since)
    values (:platform, :seller, :payout, :reason, :now)
    on conflict (platform_id, seller_id) do update set payout_id = excluded.payout_id, reason = excluded.reason,
      since = excluded.since, ended_at = null
    """
)
_CHANGED = text(
    """
    update payout_pause p set ended_at = :now from seller s
    where p.platform_id = :platform and p.ended_at is null and s.platform_id = p.platform_id and s.id = p.seller_id
      and s.provider_account = any(:accounts)
    """
).bindparams(bindparam("accounts", type_=ARRAY(Text)))
_OF = select(payout_pause).where(
    payout_pause.c.platform_id == bindparam("platform"),
    payout_pause.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_(),
    payout_pause.c.ended_at.is_(None),
)


async def pause(scope: WriteScope, payout: Row[Any], reason: str) -> None:
    """A bank sent this payout back, and says why."""
    values = {"platform": scope.platform, "seller": payout.seller_id, "payout": payout.id, "reason": reason[:500]}
    await scope.run(_PAUSE, {**values, "now": scope.now})


async def bank_changed(scope: WriteScope, accounts: Collection[str]) -> None:
    """These provider accounts have another bank account than before: the next run pays them again."""
    if accounts:
        await scope.run(_CHANGED, {"platform": scope.platform, "accounts": list(accounts), "now": scope.now})


async def end(scope: WriteScope, seller: UUID) -> None:
    """This seller has another bank account than before."""
    mine = (payout_pause.c.platform_id == scope.platform) & (payout_pause.c.seller_id == seller)
    await scope.run(update(payout_pause).where(mine, payout_pause.c.ended_at.is_(None)).values(ended_at=scope.now))


async def of(scope: Scope, sellers: Collection[UUID]) -> dict[UUID, Row[Any]]:
    """The pauses of these sellers."""
    rows = await scope.rows(_OF, {"platform": scope.platform, "sellers": list(sellers)})
    return {row.seller_id: row for row in rows}
