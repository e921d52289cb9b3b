"""Recording: what the provider says of a payment, written into its row. The books follow its events (`settle`)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from sqlalchemy import Row, bindparam, select, update

from marketbill.db import Scope, WriteScope
from marketbill.errors import NotFound
from marketbill.ids import PaymentId, public_id
from marketbill.payments import state as states
from marketbill.payments.model import PaymentStatus, payment
from marketbill.prepared import prepared
from marketbill.provider.objects import PaymentState
from marketbill.provider.port import Declined, Failure, ProviderError
from marketbill.provider.saga import Done
from marketbill.services import Services

#: The code of a payment that stays CREATED because the provider may still take it.
AWAITED = "answer_awaited"
_ONE = (payment.c.platform_id == bindparam("platform")) & (payment.c.id == bindparam("payment"))
_LOAD = prepared(select(payment).where(_ONE))
_LOCK = prepared(select(payment).where(_ONE).with_for_update())
_RECORDED = (
    update(payment)
    .where(_ONE)
    .values(
        status=bindparam("new_status"),
        provider_payment=bindparam("new_provider_payment"),
        next_action=bindparam("new_next_action"),
        decline=bindparam("new_decline"),
        client_secret=bindparam("new_client_secret"),
        succeeded_at=bindparam("new_succeeded_at"),
        updated_at=bindparam("now"),
    )
    .returning(payment)
)
log = structlog.get_logger("marketbill.payments")
_RECORD = prepared(_RECORDED)
_RECORD_FIRST = prepared(_RECORDED.where(payment.c.status == PaymentStatus.CREATED.value))


async def load(scope: Scope, id: PaymentId, *, path: tuple[str, ...] = (), lock: bool = False) -> Row[Any]:
    """One payment. Raises NotFound."""
    row = await scope.first(_LOCK if lock else _LOAD, {"platform": scope.platform, "payment": id})
    if row is None:
        raise NotFound("payment", public_id("payment", id), path=path)
    return row


async def record_state(scope: WriteScope, row: Row[Any], state: PaymentState, services: Services) -> Row[Any]:
    """Writes what the provider says of a payment that the caller has locked; gives the new row."""
    return await scope.one(_RECORD, _recorded(scope, row, state, services))


def recording(services: Services) -> Callable[[WriteScope, Sequence[Done[PaymentState]]], Awaitable[None]]:
    """What follows from a request of a payment that the provider has done, whichever it was (`Saga.succeeded`)."""

    async def succeeded(scope: WriteScope, done: Sequence[Done[PaymentState]]) -> None:
        for one in done:
            row = await load(scope, PaymentId(one.intent.subject_id), lock=True)
            await record_state(scope, row, one.made, services)

    return succeeded


async def record_first(scope: WriteScope, row: Row[Any], state: PaymentState, services: Services) -> Row[Any]:
    """The same for the provider's first answer, without a lock: an event that was quicker has changed the state."""
    new = await scope.first(_RECORD_FIRST, _recorded(scope, row, state, services))
    if new is None:
        new = await record_state(scope, await load(scope, PaymentId(row.id), lock=True), state, services)
    return new


def _recorded(scope: WriteScope, row: Row[Any], state: PaymentState, services: Services) -> dict[str, Any]:
    columns = states.columns(PaymentStatus(row.status), state)
    succeeded = columns["status"] is PaymentStatus.SUCCEEDED
    if succeeded:
        tell_if_revived(row, state.id)
    secret = row.client_secret or (_seal(services, row, state.client_secret) if state.client_secret else None)
    return {
        "platform": scope.platform,
        "payment": row.id,
        "now": scope.now,
        "new_client_secret": None if succeeded else secret,
        "new_succeeded_at": (row.succeeded_at or scope.now) if succeeded else None,
        **{f"new_{name}": value for name, value in columns.items()},
    }


async def record_no(scope: WriteScope, row: Row[Any], error: ProviderError) -> Row[Any]:
    """The bank declined or the provider refused; a success that an event has told meanwhile stands."""
    if row.status != PaymentStatus.CREATED:
        return row
    if isinstance(error, Declined):
        return await _record_end(
            scope,
            row,
            status=PaymentStatus.DECLINED,
            provider_payment=error.payment_id,
            decline={"code": error.decline_code, "advice": error.advice, "message": error.message},
        )
    return await record_never(scope, row, error.failure)


async def record_awaited(scope: WriteScope, row: Row[Any]) -> None:
    """The provider may still take the payment, which the caller has locked, though nobody sends it any more."""
    if row.status == PaymentStatus.CREATED and row.decline is None:
        message = "The provider gave no definite answer and may still charge this payment: do not let it be paid again."
        await _record_end(scope, row, decline={"code": AWAITED, "advice": None, "message": message})


async def record_never(scope: WriteScope, row: Row[Any], why: Failure) -> Row[Any]:
    """The provider never took the payment, which the caller has locked."""
    if row.status != PaymentStatus.CREATED:
        return row
    decline = {"code": why.code, "advice": None, "message": why.message}
    return await _record_end(scope, row, status=PaymentStatus.FAILED, decline=decline)


async def _record_end(scope: WriteScope, row: Row[Any], **values: Any) -> Row[Any]:
    return await scope.one(
        update(payment)
        .where(payment.c.platform_id == scope.platform, payment.c.id == row.id)
        .values(**values, updated_at=scope.now)
        .returning(payment)
    )


def tell_if_revived(row: Row[Any], provider_payment: str) -> None:
    """An alarm when a payment that was told as failed has succeeded: its buyer may have paid again with another."""
    if row.status == PaymentStatus.FAILED:
        log.error(
            "payment succeeded after it was told as failed",
            platform=str(row.platform_id),
            payment=public_id("payment", row.id),
            provider_payment=provider_payment,
            to_do="ask the buyer whether he paid again; refund one of the two",
        )


def _seal(services: Services, row: Row[Any], secret: str) -> str:
    return services.vault.encrypt(secret, context=f"{row.platform_id}:payment:{row.id}")
