"""Transfers that were not sent: their money is payable still, so what must go back is taken from them first."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, select, text

from marketbill.db import WriteScope
from marketbill.payouts import again
from marketbill.payouts.again import Again
from marketbill.payouts.model import TransferKind, TransferStatus, transfer
from marketbill.prepared import prepared
from marketbill.provider import claim as claims

#: What was planned and certainly did not leave the platform's balance.
NOT_SENT = (TransferStatus.HELD, TransferStatus.REFUSED)
_LOCKED = prepared(
    select(transfer)
    .where(transfer.c.platform_id == bindparam("platform"), transfer.c.id == bindparam("ids", type_=ARRAY(Uuid)).any_())
    .order_by(transfer.c.id)
    .with_for_update()
)
_LOWER = text(
    """
    update transfer set amount = amount - :less, updated_at = :now where platform_id = :platform and id = :transfer
    """
)
_CANCEL = text(
    """
    update transfer set status = 'CANCELED', reason = :reason, updated_at = :now
    where platform_id = :platform and id = :transfer
    """
)


class Less(NamedTuple):
    """What is taken of a transfer, in minor units."""

    transfer_id: UUID
    amount: int


async def lower(scope: WriteScope, wanted: Sequence[Less], *, reason: str) -> set[UUID]:
    """Lowers transfers that were not sent, or cancels them where nothing is left; tells which of them it was done to.

    One that is queued is withdrawn and its rest goes with another; one that may be with the provider stays as it is.
    """
    rows = {row.id: row for row in await lock(scope, [one.transfer_id for one in wanted])}
    queued = [row.intent_id for row in rows.values() if row.status == TransferStatus.PENDING]
    withdrawn = await claims.withdraw(scope, queued, reason=reason)
    done: set[UUID] = set()
    rests: list[Again] = []
    for one in wanted:
        row = rows[one.transfer_id]
        if row.status not in NOT_SENT and row.intent_id not in withdrawn:
            continue
        if row.status == TransferStatus.SENT or one.amount > row.amount:
            continue
        done.add(row.id)
        values = {"platform": scope.platform, "transfer": row.id, "now": scope.now}
        if row.status == TransferStatus.HELD and one.amount < row.amount:
            await scope.run(_LOWER, {**values, "less": one.amount})
            continue
        await scope.run(_CANCEL, {**values, "reason": reason})
        if row.amount > one.amount:
            rests.append(_rest(row, row.amount - one.amount))
    await again.plan(scope, rests)
    return done


async def lock(scope: WriteScope, ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """These transfers, locked in the order of their ids."""
    return await scope.rows(_LOCKED, {"platform": scope.platform, "ids": list(ids)})


def _rest(row: Row[Any], amount: int) -> Again:
    """What was refused waits as it did."""
    held = row.reason if row.status == TransferStatus.REFUSED else None
    return Again(row.payment_id, row.seller_id, row.currency, amount, TransferKind(row.kind), row.source_charge, held)
