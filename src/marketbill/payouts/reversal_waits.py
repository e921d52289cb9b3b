"""Reversals that wait for their transfer to be sent: whoever ends a transfer tells them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, select

from marketbill.db import WriteScope
from marketbill.events import outbox
from marketbill.payouts.model import ReversalStatus, reversal
from marketbill.prepared import prepared

_WAITING = prepared(
    select(reversal.c.id)
    .where(
        reversal.c.platform_id == bindparam("platform"),
        reversal.c.status == ReversalStatus.WAITING.value,
        reversal.c.transfer_id == bindparam("transfers", type_=ARRAY(Uuid)).any_(),
    )
    .limit(1)
)


async def tell(scope: WriteScope, transfers: Sequence[UUID]) -> None:
    """Owes the job that goes on with the reversals of these transfers, where there are some."""
    if await scope.first(_WAITING, {"platform": scope.platform, "transfers": list(transfers)}) is not None:
        await outbox.enqueue(scope, "execute_reversals", str(scope.platform))
