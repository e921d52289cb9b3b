"""Cancellation: a payment that was not paid yet is given up, at the provider first."""

import hashlib
from typing import Any

from sqlalchemy import Row

from marketbill.actor import Actor
from marketbill.errors import StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PaymentId, parse_id
from marketbill.payments.checkout import load, record_state
from marketbill.payments.model import PaymentStatus
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.keys import tenant
from marketbill.services import Services

_OPEN = (PaymentStatus.REQUIRES_PAYMENT_METHOD, PaymentStatus.REQUIRES_ACTION, PaymentStatus.DECLINED)


async def cancel(services: Services, actor: Actor, *, idempotency_key: str, id: str) -> Row[Any]:
    """Cancels a payment that waits for its buyer. Raises NotFound, StateConflict, Refused, Unknown."""
    platform = tenant(actor)
    payment_id = PaymentId(parse_id("payment", id, path=("id",)))
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="paymentCancel", key=idempotency_key, body={"id": id}
        )
        row = await load(scope, payment_id, path=("id",))
        if claim.replay is not None:
            return row
        if claim.taken_over and row.status == PaymentStatus.CANCELED:
            # The first try got as far as the provider, whose event told us before it could finish.
            await idempotency.finish(scope, claim, {"id": id})
            return row
        if row.status not in _OPEN or row.provider_payment is None:
            raise StateConflict(
                "Only a payment that waits for its buyer can be canceled.", current_state=row.status, path=("id",)
            )
        provider = await provider_of(services, scope)
    key = hashlib.sha256(f"{actor.idempotency_scope}:{idempotency_key}".encode()).hexdigest()
    async with idempotency.attempt(services.db, claim, platform):
        state = await provider.cancel_payment(row.provider_payment, key=f"{id}:cancel:{key}")
    async with services.db.write(platform) as scope:
        row = await record_state(scope, await load(scope, payment_id, lock=True), state, services)
        await idempotency.finish(scope, claim, {"id": id})
        return row
