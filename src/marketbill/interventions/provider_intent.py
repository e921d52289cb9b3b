"""An operator's decision about a request to the provider that failed: try it again, or abandon it with a reason.

`retry` and `abandon` are for the terminal's doctor, `retry_once` and `abandon_once` for GraphQL. Intents of a state are
listed by `provider.intent.page`, the attempts of one by `provider.intent.attempts_of`.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from marketbill.actor import Actor
from marketbill.db import WriteScope
from marketbill.disputes.answer import ACCEPTANCE, EVIDENCE
from marketbill.errors import StateConflict
from marketbill.events import outbox
from marketbill.idempotency import keys as idempotency
from marketbill.idempotency.keys import Claim
from marketbill.ids import PlatformId, parse_id
from marketbill.payments.cancellation import cancellation
from marketbill.payments.charging import charge
from marketbill.payments.tax_recording import TAX_TRANSACTION
from marketbill.payouts.payout import PAYOUT
from marketbill.payouts.reversal import REVERSAL
from marketbill.payouts.transfer import TRANSFER
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.keys import tenant
from marketbill.provider import ending, intervention
from marketbill.provider import intent as intents
from marketbill.provider import saga as sagas
from marketbill.provider.intent import Intent
from marketbill.provider.kinds import KINDS
from marketbill.provider.port import Unknown
from marketbill.provider.saga import Saga
from marketbill.sellers.onboarding import ACCOUNT
from marketbill.services import Services
from marketbill.text import checked_reason


def saga_of(services: Services, kind: str) -> Saga[Any]:
    """The saga of a kind of intent."""
    known: Mapping[str, Saga[Any]] = {
        one.kind: one
        for one in (
            ACCOUNT,
            charge(services),
            cancellation(services),
            TRANSFER,
            REVERSAL,
            PAYOUT,
            TAX_TRANSACTION,
            EVIDENCE,
            ACCEPTANCE,
        )
    }
    return known[kind]


async def retry(services: Services, platform: PlatformId, *, id: str, by: str) -> Intent:
    """Has it tried again at once, under a new key where it was refused for certain. `by` names the operator.

    Raises NotFound, and StateConflict when it has ended, somebody is at it, or what it was for is over.
    """
    async with services.db.write(platform) as scope:
        return await _retry(services, scope, id, by=by)


async def retry_once(services: Services, actor: Actor, *, idempotency_key: str, id: str) -> Row[Any]:
    """As `retry`, for a request with an idempotency key; gives the intent's row."""
    platform = tenant(actor)
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="providerIntentRetry", key=idempotency_key, body={"id": id}
        )
        if claim.replay is None:
            await _retry(services, scope, id, by=actor.id)
            await idempotency.finish(scope, claim, {"id": id})
        return await intents.row_by_id(scope, id)


async def abandon(
    services: Services, platform: PlatformId, *, id: str, reason: str, by: str, claim: Claim | None = None
) -> Intent:
    """Ends it for good, with the reason kept: a transfer's money stays payable, a payout's goes back to the seller.

    The provider is asked first: what it did make is recorded as made instead, and told by StateConflict. Raises
    InvalidInput, NotFound, StateConflict (as `retry` does, while the provider may still complete it, and when it made
    something else than was asked for), and Unknown when the provider does not answer; nothing is changed then. `claim`
    is finished with it.
    """
    intent_id = parse_id("provider intent", id, path=("id",))
    reason = checked_reason(reason)
    async with services.db.read(platform) as scope:
        intent = await intervention.load(scope, intent_id)
        intervention.check_abandonable(intent, scope.now)
        provider = await provider_of(services, scope)
    saga = saga_of(services, intent.kind)
    found = await ending.looked_up(saga.look_up(provider, intent)) if intent.unsure else None
    try:
        done = sagas.fitting(saga, intent, found) if found is not None else None
    except Unknown as mismatch:
        raise StateConflict(mismatch.failure.message, current_state=intent.status, path=("id",)) from mismatch
    async with services.db.write(platform) as scope:
        if done is None:
            await intervention.abandon(scope, intent, by=by, reason=reason)
            if claim is not None:
                await idempotency.finish(scope, claim, {"id": id})
            await saga.abandoned(scope, intent, reason)
        else:
            await sagas.settle(scope, saga, [done])
        intent = await intervention.load(scope, intent_id)
    if found is not None:
        raise StateConflict(
            f"The provider did it after all, as {saga.provider_id(found)}: that is recorded now.",
            current_state=intent.status,
            path=("id",),
        )
    return intent


async def abandon_once(services: Services, actor: Actor, *, idempotency_key: str, id: str, reason: str) -> Row[Any]:
    """As `abandon`, for a request with an idempotency key; gives the intent's row."""
    platform = tenant(actor)
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope,
            actor=actor.idempotency_scope,
            operation="providerIntentAbandon",
            key=idempotency_key,
            body={"id": id, "reason": reason},
        )
    if claim.replay is None:
        async with idempotency.attempt(services.db, claim, platform):
            await abandon(services, platform, id=id, reason=reason, by=actor.id, claim=claim)
    async with services.db.read(platform) as scope:
        return await intents.row_by_id(scope, id)


async def _retry(services: Services, scope: WriteScope, id: str, *, by: str) -> Intent:
    intent_id = parse_id("provider intent", id, path=("id",))
    intent = await intervention.load(scope, intent_id)
    await intervention.retry(scope, intent_id, by=by)
    await saga_of(services, intent.kind).retried(scope, intent)
    await outbox.enqueue(scope, KINDS[intent.kind].job, str(scope.platform))
    return await intervention.load(scope, intent_id)
