"""Resolving: payments whose charge got no definite answer, and charges whose events never came."""

import random
from datetime import timedelta

from sqlalchemy import bindparam, select

from marketbill.ids import PaymentId, PlatformId
from marketbill.payments import settle
from marketbill.payments.checkout import CREATE_PAYMENT, ask, find, load, record_no, record_state
from marketbill.payments.model import payment
from marketbill.payments.settle import ChargeFact
from marketbill.platforms.credentials import provider_of
from marketbill.provider import intent as intents
from marketbill.provider.intent import Intent
from marketbill.provider.port import Declined, Failure, Provider, Refused, Unknown
from marketbill.services import Services

BATCH_MAX = 50
#: A charge whose fee is not known this long after it succeeded is asked for (the provider takes up to an hour).
SETTLES_WITHIN = timedelta(minutes=2)
#: A buyer who is gone is not charged: after this the provider is only asked whether it charged.
BUYER_WAITS = timedelta(minutes=10)
#: The code of a payment that failed because the provider, asked later, had never heard of it.
NEVER_RECEIVED = "never_received"

_UNSETTLED = (
    select(payment)
    .where(
        payment.c.platform_id == bindparam("platform"),
        payment.c.succeeded_at < bindparam("before"),
        payment.c.settled_at.is_(None),
    )
    .order_by(payment.c.succeeded_at)
    .limit(BATCH_MAX)
)


async def resolve_payments(services: Services, platform: PlatformId) -> None:
    """One sweep over a platform's payments; safe to run in many workers at once."""
    async with services.db.write(platform) as scope:
        claimed = await intents.claim_due(scope, [CREATE_PAYMENT], BATCH_MAX)
        unsettled = await scope.rows(_UNSETTLED, {"platform": platform, "before": scope.now - SETTLES_WITHIN})
        provider = await provider_of(services, scope) if claimed or unsettled else None
    if provider is None:
        return
    for intent in claimed:
        await _resolve(services, platform, provider, intent)
    for row in unsettled:
        await _settle(services, platform, provider, PaymentId(row.id), row.provider_payment)


async def _resolve(services: Services, platform: PlatformId, provider: Provider, intent: Intent) -> None:
    async with services.db.read(platform) as scope:
        row = await load(scope, PaymentId(intent.subject_id))
        waits = scope.now - row.created_at < BUYER_WAITS
    try:
        state = await find(provider, intent)
        if state is None and waits:
            state = await ask(provider, intent, row)
    except Unknown as unknown:
        async with services.db.write(platform) as scope:
            await intents.record_failure(scope, intent, unknown, jitter=random.random())
        return
    except (Declined, Refused) as error:
        async with services.db.write(platform) as scope:
            await intents.record_refusal(scope, intent, error)
            await record_no(scope, await load(scope, PaymentId(row.id), lock=True), error)
        return
    async with services.db.write(platform) as scope:
        locked = await load(scope, PaymentId(row.id), lock=True)
        if state is None:
            never = Refused(Failure(None, NEVER_RECEIVED, "The provider never received this payment."))
            await intents.record_refusal(scope, intent, never)
            await record_no(scope, locked, never)
        else:
            await intents.record_success(scope, intent, state.id)
            await record_state(scope, locked, state, services)


async def _settle(
    services: Services, platform: PlatformId, provider: Provider, id: PaymentId, provider_payment: str
) -> None:
    try:
        state = await provider.retrieve_payment(provider_payment)
        charge = await provider.retrieve_charge(state.charge_id) if state.charge_id else None
    except (Declined, Refused, Unknown):
        return  # the next sweep asks again
    if charge is None or charge.status != "succeeded":
        return
    async with services.db.write(platform) as scope:
        fact = ChargeFact(
            payment=id,
            provider_payment=state.id,
            charge=charge.id,
            amount=charge.amount,
            currency=charge.currency,
            occurred_at=scope.now,
            transaction=charge.balance_transaction,
        )
        await settle.settle(scope, [fact])
