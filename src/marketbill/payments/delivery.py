"""The events that start a hold which the provider does not tell: the platform says that an order has reached its buyer,
or that a share may go, of a whole order or of one seller's part of it."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, bindparam, text, update

from marketbill.actor import Actor
from marketbill.db import WriteScope
from marketbill.errors import NotFound, StateConflict
from marketbill.events import outbox
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PaymentId, parse_id, public_id
from marketbill.payments.holds import RESCHEDULE
from marketbill.payments.model import PaymentStatus, payment
from marketbill.payments.recording import load
from marketbill.platforms.keys import tenant
from marketbill.services import Services

_ENDED = (PaymentStatus.DECLINED, PaymentStatus.CANCELED, PaymentStatus.FAILED)
_WAITING = "s.platform_id = :platform and s.payment_id = :payment and s.hold_from = :event and s.release_on is null"
_OF_SELLER = "(cast(:seller as uuid) is null or s.seller_id = :seller)"
_BEGIN = text(
    f"""
    update payment_share s set release_on = cast(:now as timestamptz) + make_interval(days => s.hold_days)
    where {_WAITING} and {_OF_SELLER}
    """  # noqa: S608 (our own words alone)
).bindparams(bindparam("seller", type_=Uuid))
_SHARES = text(
    f"""
    select count(*) filter (where s.seller_id = coalesce(cast(:seller as uuid), s.seller_id)) as of_seller,
           count(*) filter (where {_WAITING}) as waiting
    from payment_share s where s.platform_id = :platform and s.payment_id = :payment
    """  # noqa: S608 (our own words alone)
).bindparams(bindparam("seller", type_=Uuid))


async def deliver(
    services: Services, actor: Actor, *, idempotency_key: str, id: str, seller_id: str | None = None
) -> Row[Any]:
    """Marks a payment's order, or one seller's part of it, as delivered; a second time changes nothing.

    Raises NotFound, StateConflict.
    """
    return await _event(services, actor, "DELIVERY", idempotency_key=idempotency_key, id=id, seller_id=seller_id)


async def approve(
    services: Services, actor: Actor, *, idempotency_key: str, id: str, seller_id: str | None = None
) -> Row[Any]:
    """Approves the release of a payment's shares, or of one seller's, where the rule asks for that; a second time
    changes nothing. Raises NotFound, StateConflict."""
    return await _event(services, actor, "APPROVAL", idempotency_key=idempotency_key, id=id, seller_id=seller_id)


async def _event(
    services: Services, actor: Actor, event: str, *, idempotency_key: str, id: str, seller_id: str | None
) -> Row[Any]:
    platform = tenant(actor)
    payment_id = PaymentId(parse_id("payment", id, path=("id",)))
    seller = parse_id("seller", seller_id, path=("sellerId",)) if seller_id else None
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation="paymentDeliver" if event == "DELIVERY" else "paymentApprove",
            key=idempotency_key,
            body={"id": id} | ({"seller_id": seller_id} if seller_id else {}),
        )
        row = await load(scope, payment_id, path=("id",), lock=True)
        if claim.replay is not None:
            return row
        if row.status in _ENDED:
            raise StateConflict("This payment never became a sale.", current_state=row.status, path=("id",))
        if await _begin(scope, payment_id, event, seller):
            await outbox.enqueue(scope, "release_payments", str(platform))
        await idempotency.finish(scope, claim, {"id": id})
        return await load(scope, payment_id)


async def _begin(scope: WriteScope, id: PaymentId, event: str, seller: UUID | None) -> bool:
    """Begins the holds that wait for the event; the order is delivered when nothing of it is awaited any more."""
    values = {"platform": scope.platform, "payment": id, "event": event, "seller": seller}
    if not (await scope.one(_SHARES, values)).of_seller:
        raise NotFound("seller", public_id("seller", seller) if seller else "", path=("sellerId",))
    begun = await scope.run(_BEGIN, {**values, "now": scope.now})
    delivered = event == "DELIVERY" and not (await scope.one(_SHARES, values)).waiting
    if delivered and (seller is None or begun):
        await scope.run(
            update(payment)
            .where(payment.c.platform_id == scope.platform, payment.c.id == id, payment.c.delivered_at.is_(None))
            .values(delivered_at=scope.now, updated_at=scope.now)
        )
    if begun:
        await scope.run(RESCHEDULE, {"platform": scope.platform, "payments": [id]})
    return bool(begun)
