"""Delivery: the platform says that an order has reached its buyer, which starts the hold where the rule says so."""

from typing import Any

from sqlalchemy import Row, update

from marketbill.actor import Actor
from marketbill.errors import StateConflict
from marketbill.events import outbox
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PaymentId, parse_id
from marketbill.payments.model import PaymentStatus, payment
from marketbill.payments.recording import load
from marketbill.payments.settle import release_on
from marketbill.platforms.keys import tenant
from marketbill.services import Services

_ENDED = (PaymentStatus.DECLINED, PaymentStatus.CANCELED, PaymentStatus.FAILED)


async def deliver(services: Services, actor: Actor, *, idempotency_key: str, id: str) -> Row[Any]:
    """Marks a payment's order as delivered; a second time changes nothing. Raises NotFound, StateConflict."""
    platform = tenant(actor)
    payment_id = PaymentId(parse_id("payment", id, path=("id",)))
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="paymentDeliver", key=idempotency_key, body={"id": id}
        )
        row = await load(scope, payment_id, path=("id",), lock=True)
        if claim.replay is not None:
            return row
        if row.status in _ENDED:
            raise StateConflict("This payment never became a sale.", current_state=row.status, path=("id",))
        if row.delivered_at is None:
            due = release_on(row.hold_from, row.hold_days, succeeded_at=row.succeeded_at, delivered_at=scope.now)
            await scope.run(
                update(payment)
                .where(payment.c.platform_id == platform, payment.c.id == payment_id)
                .values(delivered_at=scope.now, release_on=due, updated_at=scope.now)
            )
            await outbox.enqueue(scope, "release_payments", str(platform))
        await idempotency.finish(scope, claim, {"id": id})
        return await load(scope, payment_id)
