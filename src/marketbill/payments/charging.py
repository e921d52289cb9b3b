"""Charging: the saga that makes a payment at the provider, once, whoever asks for it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from marketbill.db import WriteScope
from marketbill.errors import StateConflict
from marketbill.ids import PaymentId, PlatformId, public_id
from marketbill.payments.model import PaymentStatus
from marketbill.payments.recording import load, record_awaited, record_never, record_no, recording
from marketbill.provider import ending
from marketbill.provider.intent import CALLER_LEASE, Intent
from marketbill.provider.kinds import CREATE_PAYMENT
from marketbill.provider.objects import PaymentState
from marketbill.provider.port import INTENT_METADATA, Failure, Provider, Refused
from marketbill.provider.retry import ANSWER_AWAITED
from marketbill.provider.saga import Refusal, Saga, Setback
from marketbill.services import Services

#: A buyer who is gone is not charged: after this the provider is only asked whether it charged. Where it met a server
#: error, that is asked until the error is waited out (decision record 0008), before the payment is told as failed.
BUYER_WAITS = timedelta(minutes=10)
#: The code of a payment that failed because the provider, asked later, had never heard of it.
NEVER_RECEIVED = "never_received"


def charge(services: Services) -> Saga[PaymentState]:
    """The saga. Whoever waits for it is told of a refusal at once, so it is never tried again after one."""
    return Saga(
        kind=CREATE_PAYMENT,
        look_up=_look_up,
        send=_send,
        provider_id=lambda made: made.id,
        mismatch=_mismatch,
        succeeded=recording(services),
        failed=_failed,
        refusal=Refusal.ENDS,
        too_late=_too_late,
        retried=_retried,
        abandoned=_abandoned,
    )


def unanswered(
    rows: Mapping[PaymentId, Row[Any]], told: Mapping[PaymentId, str], now: datetime
) -> list[tuple[PaymentId, str]]:
    """Of payments that events tell of, with the provider's ids, those whose own answer must have been lost."""
    return [
        (id, provider_payment)
        for id, provider_payment in told.items()
        if id in rows and rows[id].provider_payment is None and now - rows[id].created_at > CALLER_LEASE
    ]


async def record_taken(services: Services, platform: PlatformId, taken: Sequence[tuple[PaymentId, str]]) -> None:
    """These payments the provider has taken: they are not asked for any more, also when that was given up.

    In a transaction of its own, because intents are locked before payments.
    """
    if taken:
        async with services.db.write(platform) as scope:
            await ending.record_news(scope, CREATE_PAYMENT, taken)


async def _look_up(provider: Provider, intent: Intent) -> PaymentState | None:
    found = await provider.find_payments(
        transfer_group=public_id("payment", intent.subject_id),
        created_from=intent.created_at - timedelta(minutes=5),
        created_until=intent.look_up_until,
        customer_id=intent.request["customer_id"],
    )
    return found[0] if found else None


async def _send(provider: Provider, intent: Intent) -> PaymentState:
    id = public_id("payment", intent.subject_id)
    return await provider.create_payment(
        key=intent.key,
        transfer_group=id,
        metadata={"marketbill_payment": id, INTENT_METADATA: intent.public_id},
        **intent.request,
    )


def _mismatch(intent: Intent, made: PaymentState) -> str | None:
    asked, told = (intent.request["amount"], intent.request["currency"]), (made.amount, made.currency)
    return None if told == asked else f"{intent.public_id} asked for {asked}, but the provider's {made.id} is {told}."


def _too_late(intent: Intent) -> Refused | None:
    if intent.touched_at - intent.created_at < BUYER_WAITS:
        return None
    return Refused(Failure(None, NEVER_RECEIVED, "The provider never received this payment."))


async def _failed(scope: WriteScope, setback: Setback) -> None:
    row = await load(scope, PaymentId(setback.intent.subject_id), lock=True)
    if setback.refused:
        await record_no(scope, row, setback.error)
    elif setback.error.failure.code == ANSWER_AWAITED:
        await record_awaited(scope, row)


async def _abandoned(scope: WriteScope, intent: Intent, reason: str) -> None:
    row = await load(scope, PaymentId(intent.subject_id), lock=True)
    await record_never(scope, row, Failure(None, "abandoned", f"Abandoned by an operator: {reason}"))


async def _retried(scope: WriteScope, intent: Intent) -> None:
    row = await load(scope, PaymentId(intent.subject_id))
    if row.status != PaymentStatus.CREATED:
        raise StateConflict(
            "This payment was told to its buyer as ended: he pays with a new one.",
            current_state=row.status,
            path=("id",),
        )
