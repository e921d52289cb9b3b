"""What is held while a dispute is open, and by a fraud warning: releases of the sellers, by the platform's policy."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select

from marketbill.db import Scope, WriteScope
from marketbill.disputes import policy
from marketbill.disputes.model import DisputeHold
from marketbill.ids import PaymentId, public_id
from marketbill.ledger.journal import Source
from marketbill.payments import holds, recording
from marketbill.payments.holds import SYSTEM, HoldKind
from marketbill.payments.model import payment_share
from marketbill.prepared import prepared
from marketbill.rules.disputes import OVER, DisputeStatus

_SELLERS = prepared(
    select(payment_share.c.seller_id)
    .where(payment_share.c.platform_id == bindparam("platform"), payment_share.c.payment_id == bindparam("payment"))
    .order_by(payment_share.c.seller_id)
)


async def follow(scope: WriteScope, payment: Row[Any], row: Row[Any], status: DisputeStatus) -> None:
    """Holds while the dispute is open. One that is over is let go of: at once, or where sellers still have to give
    their parts, when they have (`let_go`)."""
    if status not in OVER:
        await _place(scope, payment, row)
    elif status is not DisputeStatus.LOST or not row.withdrawn:
        await let_go(scope, row, f"The dispute is over: {status}.")


async def let_go(scope: WriteScope, row: Row[Any], why: str) -> None:
    """Ends what the dispute held."""
    await holds.lift(scope, Source("dispute", row.id), SYSTEM, why)


async def warned(scope: WriteScope, payment: Row[Any], warning_id: UUID, why: str) -> None:
    """Holds the payment of a fraud warning."""
    for seller in await sellers_of(scope, payment.id):
        await holds.place(
            scope, seller, payment.id, HoldKind.RISK, why, None, SYSTEM, Source("fraud warning", warning_id)
        )


async def sellers_of(scope: Scope, payment_id: UUID) -> list[UUID]:
    """Who has a share in a payment, by id."""
    found = await scope.rows(_SELLERS, {"platform": scope.platform, "payment": payment_id})
    return [one.seller_id for one in found]


async def locked_payment(scope: WriteScope, payment_id: UUID) -> Row[Any]:
    """A disputed payment, locked: whoever changes a dispute holds that lock."""
    return await recording.load(scope, PaymentId(payment_id), lock=True)


async def _place(scope: WriteScope, payment: Row[Any], row: Row[Any]) -> None:
    kept = (await policy.at_version(scope, row.policy_version)).hold
    if kept is DisputeHold.NOTHING:
        return
    why = f"The buyer disputes {payment.reference or public_id('payment', payment.id)} ({row.reason})."
    of = payment.id if kept is DisputeHold.PAYMENT else None
    for seller in await sellers_of(scope, payment.id):
        await holds.place(scope, seller, of, HoldKind.DISPUTE, why, None, SYSTEM, Source("dispute", row.id))
