"""Resolving: payments whose charge got no definite answer, and payments and charges whose events never came."""

import asyncio
from typing import Any

import structlog
from sqlalchemy import Row, TextClause, text

from marketbill.errors import Unavailable, told
from marketbill.ids import PaymentId, PlatformId, public_id
from marketbill.payments import settle
from marketbill.payments.cancellation import cancellation
from marketbill.payments.charging import charge
from marketbill.payments.recording import load, record_state
from marketbill.payments.settle import ChargeFact
from marketbill.payments.tax_recording import TAX_TRANSACTION
from marketbill.platforms.credentials import provider_of
from marketbill.provider import asking
from marketbill.provider import claim as claims
from marketbill.provider import saga as sagas
from marketbill.provider.kinds import kinds_of
from marketbill.provider.objects import Charge, PaymentState
from marketbill.provider.port import Provider
from marketbill.provider.saga import Saga
from marketbill.services import Services

BATCH_MAX = 50
CALLS_MAX = 8
#: The intents that `resolve_payments` takes care of.
_KINDS = kinds_of("resolve_payments")

#: SQL: a charge whose fee is not known yet though it succeeded a while ago (the provider takes up to an hour).
UNSETTLED_DUE = f"""
  y.succeeded_at < cast(:now as timestamptz) - interval '2 minutes' and y.settled_at is null
  and {asking.is_time("y", since="y.succeeded_at", first="interval '2 minutes'")}
"""
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


_UNSETTLED = _claim(UNSETTLED_DUE)
_WITHOUT_NEWS = _claim(NEWS_DUE)
log = structlog.get_logger()


async def resolve_payments(services: Services, platform: PlatformId) -> None:
    """One sweep over a platform's payments; safe to run in many workers at once."""
    async with services.db.write(platform) as scope:
        values = {"platform": platform, "now": scope.now, "limit": BATCH_MAX}
        claimed = await claims.claim_due(scope, _KINDS, sagas.BATCH_MAX)
        asked = [*await scope.rows(_UNSETTLED, values), *await scope.rows(_WITHOUT_NEWS, values)]
        provider = await provider_of(services, scope) if claimed or asked else None
    if provider is None:
        return
    for saga in _sagas(services):
        mine = [intent for intent in claimed if intent.kind == saga.kind]
        await sagas.run(services.db, platform, provider, saga, mine)
    gate = asyncio.Semaphore(CALLS_MAX)
    await asyncio.gather(*(_catch_up(services, platform, provider, row, gate) for row in asked))


def _sagas(services: Services) -> tuple[Saga[Any], ...]:
    return charge(services), cancellation(services), TAX_TRANSACTION


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
