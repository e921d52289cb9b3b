"""The job of disputes: answers are sent, sellers' parts settled, and fraud warnings acted on."""

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import bindparam, select

from marketbill.defects import Defects
from marketbill.disputes import fraud_refund, holding, settle
from marketbill.disputes.answer import ACCEPTANCE, EVIDENCE
from marketbill.disputes.apply import apply
from marketbill.disputes.model import dispute
from marketbill.ids import PlatformId
from marketbill.platforms.credentials import provider_of
from marketbill.prepared import prepared
from marketbill.provider import claim as claims
from marketbill.provider import saga as sagas
from marketbill.provider.intent import Intent
from marketbill.provider.port import PROVIDER_ERRORS, Provider
from marketbill.provider.saga import Saga
from marketbill.services import Services

_ROUNDS_MAX = 200
_ANSWERED = prepared(
    select(dispute.c.payment_id).where(
        dispute.c.platform_id == bindparam("platform"), dispute.c.id == bindparam("dispute")
    )
)
log = structlog.get_logger("marketbill.disputes")


async def execute_disputes(services: Services, platform: PlatformId) -> None:
    """Does all that is due for disputes now; safe in many workers at once."""
    for saga in (EVIDENCE, ACCEPTANCE):
        await _send(services, platform, saga)
    defects = Defects()
    await settle.settle_due(services, platform, defects)
    await fraud_refund.act_due(services, platform, defects)
    defects.end()


async def _send(services: Services, platform: PlatformId, saga: Saga[Any]) -> None:
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            claimed = await claims.claim_due(scope, [saga.kind], sagas.BATCH_MAX)
            provider = await provider_of(services, scope) if claimed else None
        if provider is not None:
            await sagas.run(services.db, platform, provider, saga, claimed)
            await _hear(services, platform, provider, claimed)
        if len(claimed) < sagas.BATCH_MAX:
            return


async def _hear(services: Services, platform: PlatformId, provider: Provider, answered: Sequence[Intent]) -> None:
    """What came of the answers, at once; where the provider does not tell now, its events will."""
    for intent in answered:
        try:
            told = await provider.retrieve_dispute(intent.request["dispute_id"])
        except PROVIDER_ERRORS as error:
            log.info("a dispute that was answered is not read now", intent=intent.public_id, error=str(error))
            continue
        async with services.db.write(platform) as scope:
            found = await scope.one(_ANSWERED, {"platform": platform, "dispute": intent.subject_id})
            await apply(scope, await holding.locked_payment(scope, found.payment_id), told)
