"""Resolving: payments whose charge got no definite answer, and payments and charges whose events never came."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, TextClause, text

from marketbill.errors import Unavailable, told
from marketbill.ids import PaymentId, PlatformId, public_id
from marketbill.payments import settle
from marketbill.payments.checkout import CREATE_PAYMENT, ask, find, load, record_no, record_state
from marketbill.payments.settle import ChargeFact
from marketbill.platforms.credentials import provider_of
from marketbill.provider import asking
from marketbill.provider import claim as claims
from marketbill.provider import intent as intents
from marketbill.provider.intent import Intent
from marketbill.provider.port import Charge, Declined, Failure, PaymentState, Provider, Refused, Unknown
from marketbill.services import Services

BATCH_MAX = 50
CALLS_MAX = 8
#: A charge whose fee is not known this long after it succeeded is asked for (the provider takes up to an hour).
SETTLES_WITHIN = timedelta(minutes=2)
#: A buyer who is gone is not charged: after this the provider is only asked whether it charged.
BUYER_WAITS = timedelta(minutes=10)
#: The code of a payment that failed because the provider, asked later, had never heard of it.
NEVER_RECEIVED = "never_received"

#: SQL: a payment that may have been paid, or have failed, without our knowing. A later card may pay a declined one.
NEWS_DUE = f"""
  y.provider_payment is not null
  and y.status in ('REQUIRES_PAYMENT_METHOD', 'REQUIRES_ACTION', 'PROCESSING', 'DECLINED') and {asking.is_due("y")}
"""


def _claim(condition: str) -> TextClause:
    """Takes the payments that were touched longest ago: one whose asking fails goes to the end of the line."""
    return text(
        f"""
        with due as (
          select y.id from payment y where y.platform_id = :platform and {condition}
          order by y.updated_at limit :limit for update skip locked
        )
        update payment y set updated_at = :now from due where y.platform_id = :platform and y.id = due.id
        returning y.id, y.provider_payment
        """  # noqa: S608 (our own words alone)
    )


_UNSETTLED = _claim("y.succeeded_at < :before and y.settled_at is null")
_WITHOUT_NEWS = _claim(NEWS_DUE)
log = structlog.get_logger()


async def resolve_payments(services: Services, platform: PlatformId) -> None:
    """One sweep over a platform's payments; safe to run in many workers at once."""
    async with services.db.write(platform) as scope:
        values = {"platform": platform, "now": scope.now, "limit": BATCH_MAX}
        claimed = await claims.claim_due(scope, [CREATE_PAYMENT], BATCH_MAX)
        asked = [
            *await scope.rows(_UNSETTLED, {**values, "before": scope.now - SETTLES_WITHIN}),
            *await scope.rows(_WITHOUT_NEWS, values),
        ]
        provider = await provider_of(services, scope) if claimed or asked else None
    if provider is None:
        return
    for intent in claimed:
        await _resolve(services, platform, provider, intent)
    gate = asyncio.Semaphore(CALLS_MAX)
    await asyncio.gather(*(_catch_up(services, platform, provider, row, gate) for row in asked))


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


async def _catch_up(
    services: Services, platform: PlatformId, provider: Provider, row: Row[Any], gate: asyncio.Semaphore
) -> None:
    """Reads a payment from the provider and does what its events would have done. A bad one fails alone."""
    async with gate:
        try:
            state = await provider.retrieve_payment(row.provider_payment)
            paid = state.status == "succeeded" and state.charge_id
            charge = await provider.retrieve_charge(paid) if paid else None
            await _record(services, platform, PaymentId(row.id), state, charge)
        except Unavailable:
            raise
        except Exception as error:  # whatever is wrong with this payment is not wrong with the others
            # It was touched when it was claimed, so the others have their turn before it is asked about again.
            log.error("payment not brought up to date", payment=public_id("payment", row.id), error=told(error))


async def _record(
    services: Services, platform: PlatformId, id: PaymentId, state: PaymentState, charge: Charge | None
) -> None:
    async with services.db.write(platform) as scope:
        await record_state(scope, await load(scope, id, lock=True), state, services)
        if charge is not None and charge.status == "succeeded":
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
