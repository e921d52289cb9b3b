"""Refunds of what an issuer warned of, where the policy says so."""

from typing import Any

import structlog
from sqlalchemy import Row, bindparam, select

from marketbill.actor import Actor, Role
from marketbill.defects import Defects
from marketbill.disputes import holding, warnings
from marketbill.disputes.model import WarningAction, fraud_warning
from marketbill.errors import PreviewStale, Refusal
from marketbill.ids import PaymentId, PlatformId, public_id
from marketbill.payments import recording
from marketbill.payments.holds import SYSTEM
from marketbill.prepared import prepared
from marketbill.refunds import refund as refunds
from marketbill.refunds.draft import RefundDraft
from marketbill.refunds.model import RefundKind, refund
from marketbill.rules.return_policy import Cause
from marketbill.services import Services

#: Warnings acted on in one run.
ACT_MAX = 100
_DUE = prepared(
    select(fraud_warning)
    .where(fraud_warning.c.platform_id == bindparam("platform"), fraud_warning.c.act_since.is_not(None))
    .order_by(fraud_warning.c.act_since)
    .limit(ACT_MAX)
)
_MADE = prepared(
    select(refund.c.id).where(
        refund.c.platform_id == bindparam("platform"),
        refund.c.payment_id == bindparam("payment"),
        refund.c.reference == bindparam("named"),
    )
)
log = structlog.get_logger("marketbill.disputes")


async def act_due(services: Services, platform: PlatformId, defects: Defects) -> None:
    """Refunds what waits for it; safe in many workers at once. A refund that is refused leaves a hold in its place."""
    async with services.db.read(platform) as scope:
        rows = await scope.rows(_DUE, {"platform": platform})
    for row in rows:
        with defects.of(public_id("fraud warning", row.id)):
            await _act(services, platform, row)


async def _act(services: Services, platform: PlatformId, row: Row[Any]) -> None:
    try:
        await _refund(services, platform, row)
    except PreviewStale:
        return  # something else happened to the sale just now: the next run looks at it anew
    except Refusal as refusal:
        if refusal.retryable:
            return
        log.warning("a warned charge is not refunded", warning=public_id("fraud warning", row.id))
        await _held_instead(services, platform, row, refusal)


async def _refund(services: Services, platform: PlatformId, row: Row[Any]) -> None:
    """The refund is known by the warning's id, so one that was made before is found again."""
    reference = public_id("fraud warning", row.id)
    async with services.db.read(platform) as scope:
        payment = await recording.load(scope, PaymentId(row.payment_id))
        made = await scope.first(_MADE, {"platform": platform, "payment": row.payment_id, "named": reference})
    if payment.settled_at is None:
        return
    if made is None:
        actor = Actor(Role.SERVICE, SYSTEM, platform)
        draft = RefundDraft(
            payment_id=public_id("payment", row.payment_id),
            kind=RefundKind.FULL,
            cause=Cause.FRAUD,
            reason=f"The issuer warned of fraud: {row.fraud_type}.",
            reference=reference,
        )
        plan = await refunds.preview(services, actor, draft)
        made = await refunds.create(services, actor, idempotency_key=reference, token=plan.token, draft=draft)
    async with services.db.write(platform) as scope:
        await warnings.change(scope, row.id, refund_id=made.id, act_since=None)


async def _held_instead(services: Services, platform: PlatformId, row: Row[Any], refusal: Refusal) -> None:
    async with services.db.write(platform) as scope:
        payment = await holding.locked_payment(scope, row.payment_id)
        await warnings.hold(scope, payment, row)
        await warnings.change(
            scope, row.id, action=WarningAction.HOLD.value, explanation=refusal.message[:500], act_since=None
        )
