"""Cancellation: a payment that was not paid yet is given up, at the provider first."""

import random
from typing import Any

from sqlalchemy import Row

from marketbill.actor import Actor
from marketbill.db import WriteScope
from marketbill.errors import StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PaymentId, parse_id
from marketbill.payments.model import PaymentStatus
from marketbill.payments.recording import load, record_state, recording
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.keys import tenant
from marketbill.provider import claim as claims
from marketbill.provider import ending
from marketbill.provider import intent as intents
from marketbill.provider import saga as sagas
from marketbill.provider.intent import Intent
from marketbill.provider.kinds import CANCEL_PAYMENT
from marketbill.provider.model import IntentStatus
from marketbill.provider.objects import PaymentState
from marketbill.provider.port import Provider, Unknown
from marketbill.provider.saga import Done, Failed, Refusal, Saga, Setback
from marketbill.services import Services

_WAITS_FOR_BUYER = (PaymentStatus.REQUIRES_PAYMENT_METHOD, PaymentStatus.REQUIRES_ACTION, PaymentStatus.DECLINED)
_NOT_ENDED = (IntentStatus.OPEN, IntentStatus.UNKNOWN)


async def cancel(services: Services, actor: Actor, *, idempotency_key: str, id: str) -> Row[Any]:
    """Cancels a payment that waits for its buyer. Raises NotFound, StateConflict, Refused, Unknown.

    After Unknown it is canceled all the same, as soon as the provider answers, unless the buyer has paid meanwhile.
    """
    platform = tenant(actor)
    payment_id = PaymentId(parse_id("payment", id, path=("id",)))
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="paymentCancel", key=idempotency_key, body={"id": id}
        )
        row = await load(scope, payment_id, path=("id",), lock=True)
        if claim.replay is not None:
            return row
        if claim.taken_over and row.status == PaymentStatus.CANCELED:
            # The first try got as far as the provider, and its event or a sweeper has told us since.
            await idempotency.finish(scope, claim, {"id": id})
            return row
        if row.status not in _WAITS_FOR_BUYER or row.provider_payment is None:
            raise StateConflict(
                "Only a payment that waits for its buyer can be canceled.", current_state=row.status, path=("id",)
            )
        intent = await _intent(scope, row)
        provider = await provider_of(services, scope)
    outcome = await sagas.ask(services.db, platform, provider, cancellation(services), intent)
    async with services.db.write(platform) as scope:
        match outcome:
            case Done(intent, made):
                await ending.record_success(scope, intent, made.id)
                row = await record_state(scope, await load(scope, payment_id, lock=True), made, services)
                await idempotency.finish(scope, claim, {"id": id})
            case Failed(intent, Unknown() as unknown):
                await ending.record_failure(scope, intent, unknown, jitter=random.random())
                await idempotency.release(scope, claim)
            case Failed(intent, error):
                await ending.record_refusal(scope, intent, error)
                await idempotency.release(scope, claim)
    if isinstance(outcome, Failed):
        raise outcome.error
    return row


def cancellation(services: Services) -> Saga[PaymentState]:
    """The saga. A refusal ends it: the payment was paid, or is over otherwise, and its events tell so."""
    return Saga(
        kind=CANCEL_PAYMENT,
        look_up=_look_up,
        send=_send,
        provider_id=lambda made: made.id,
        succeeded=recording(services),
        failed=_failed,
        refusal=Refusal.ENDS,
    )


async def _intent(scope: WriteScope, row: Row[Any]) -> Intent:
    """The payment's open intent, or a new one. Raises Unknown while another request is at it."""
    for intent in await intents.for_subjects(scope, CANCEL_PAYMENT, [row.id]):
        if intent.status in _NOT_ENDED:
            return await claims.take(scope, intent.id)
    request = {"payment_id": row.provider_payment}
    return await intents.open_intent(scope, kind=CANCEL_PAYMENT, subject_id=row.id, request=request)


async def _look_up(provider: Provider, intent: Intent) -> PaymentState | None:
    state = await provider.retrieve_payment(intent.request["payment_id"])
    return state if state.status == "canceled" else None


async def _send(provider: Provider, intent: Intent) -> PaymentState:
    return await provider.cancel_payment(intent.request["payment_id"], key=intent.key)


async def _failed(scope: WriteScope, setback: Setback) -> None:
    """Nothing follows: the payment stands as it is."""
