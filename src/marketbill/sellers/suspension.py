"""Suspensions: why a seller's gate to sell is shut, who shut it, and who opened it again.

One for debts ends by itself when nothing is owed any more; one by an operator is an operator's to lift. The gate is
shut while any of them stands (`seller.suspended`).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, text, update
from sqlalchemy.dialects.postgresql import insert

from marketbill.db import Scope, WriteScope
from marketbill.ids import new_id
from marketbill.prepared import prepared
from marketbill.sellers.model import seller, seller_suspension


class SuspensionCause(StrEnum):
    """DEBT: by the ladder of debts. OPERATOR: by a person of the platform."""

    DEBT = "DEBT"
    OPERATOR = "OPERATOR"


#: Who places and lifts what no person did.
SYSTEM = "marketbill"
#: Suspensions of one seller that are told of, the newest first.
TOLD_MAX = 20
_PLACE = insert(seller_suspension).on_conflict_do_nothing(
    index_elements=["platform_id", "seller_id", "cause"], index_where=seller_suspension.c.lifted_at.is_(None)
)
_OPEN = (
    (seller_suspension.c.platform_id == bindparam("platform"))
    & (seller_suspension.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_())
    & seller_suspension.c.lifted_at.is_(None)
)
_LIFT = (
    update(seller_suspension)
    .where(_OPEN)
    .values(lifted_at=bindparam("now"), lifted_by=bindparam("by"), lift_reason=bindparam("why"))
)
_LIFT_DEBT = _LIFT.where(seller_suspension.c.cause == SuspensionCause.DEBT.value)
_WRITTEN_OFF = (
    update(seller_suspension)
    .where(_OPEN, seller_suspension.c.cause == SuspensionCause.DEBT.value)
    .values(written_off_at=bindparam("now"))
)
# Those whom another suspension keeps from selling stay suspended.
_RESUME = text(
    """
    update seller s set suspended = false, updated_at = :now, version = version + 1
    where s.platform_id = :platform and s.id = any(:sellers) and s.suspended and not exists (
      select from seller_suspension o
      where o.platform_id = s.platform_id and o.seller_id = s.id and o.lifted_at is null)
    """
).bindparams(bindparam("sellers", type_=ARRAY(Uuid)))
_TOLD = prepared(
    text(
        f"""
        select o.* from unnest(cast(:sellers as uuid[])) as of (seller_id), lateral (
          select * from seller_suspension s where s.platform_id = :platform and s.seller_id = of.seller_id
          order by s.placed_at desc, s.id desc limit {TOLD_MAX}) o
        """  # noqa: S608 (our own words alone)
    )
    .bindparams(bindparam("sellers", type_=ARRAY(Uuid)))
    .columns(*seller_suspension.c)
)


async def place(scope: WriteScope, seller_id: UUID, cause: SuspensionCause, *, by: str, reason: str) -> None:
    """Shuts a seller's gate to sell, within a transaction that holds his row. One that stands already is kept."""
    await record(scope, seller_id, cause, by=by, reason=reason)
    await scope.run(
        update(seller)
        .where(seller.c.platform_id == scope.platform, seller.c.id == seller_id)
        .values(suspended=True, updated_at=scope.now, version=seller.c.version + 1)
    )


async def record(scope: WriteScope, seller_id: UUID, cause: SuspensionCause, *, by: str, reason: str) -> None:
    """The same without the seller's row, which the caller changes."""
    await scope.run(
        _PLACE,
        {
            "platform_id": scope.platform,
            "id": new_id(),
            "seller_id": seller_id,
            "cause": cause,
            "reason": reason,
            "placed_at": scope.now,
            "placed_by": by,
        },
    )


async def lift(scope: WriteScope, seller_id: UUID, *, by: str, reason: str) -> None:
    """Ends every suspension of a seller; his row is changed by the caller, who holds it."""
    await scope.run(_LIFT, _values(scope, [seller_id], by=by, why=reason))


async def lift_paid(scope: WriteScope, sellers: Sequence[UUID], *, reason: str) -> None:
    """Ends the suspensions for debts of sellers who owe nothing any more, and opens the gates that nothing else keeps
    shut. The sellers are locked by the caller."""
    await scope.run(_LIFT_DEBT, _values(scope, sellers, by=SYSTEM, why=reason))
    await scope.run(_RESUME, {"platform": scope.platform, "sellers": list(sellers), "now": scope.now})


async def written_off(scope: WriteScope, seller_id: UUID) -> None:
    """A debt of the seller was given up: what he was suspended for is not paid, and an operator decides."""
    await scope.run(_WRITTEN_OFF, {"platform": scope.platform, "sellers": [seller_id], "now": scope.now})


async def of(scope: Scope, sellers: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The suspensions of each seller, the newest first, `TOLD_MAX` of each."""
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in sellers}
    for row in await scope.rows(_TOLD, {"platform": scope.platform, "sellers": list(sellers)}):
        found[row.seller_id].append(row)
    return found


def _values(scope: WriteScope, sellers: Sequence[UUID], *, by: str, why: str) -> dict[str, Any]:
    return {"platform": scope.platform, "sellers": list(sellers), "by": by, "why": why, "now": scope.now}
