"""Early fraud warnings: an issuer reports a charge before or without a dispute, and the policy says what is done."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from marketbill.db import WriteScope
from marketbill.disputes import holding, policy
from marketbill.disputes.apply import EXECUTE
from marketbill.disputes.model import OnFraudWarning, WarningAction, fraud_warning
from marketbill.disputes.policy import DisputePolicy
from marketbill.events import outbox
from marketbill.ids import new_id
from marketbill.ledger.journal import Source
from marketbill.payments import holds
from marketbill.payments.holds import SYSTEM
from marketbill.prepared import prepared
from marketbill.provider.objects import FraudWarning

_LOCK = prepared(
    select(fraud_warning)
    .where(fraud_warning.c.platform_id == bindparam("platform"), fraud_warning.c.provider_warning == bindparam("named"))
    .with_for_update()
)


async def apply(scope: WriteScope, payment: Row[Any], told: FraudWarning) -> None:
    """What the provider says of a warning about this payment, whose row the caller has locked. The policy of the day on
    which it is first heard of decides what is done, once."""
    named = {"platform": scope.platform, "named": told.id}
    row = await scope.first(_LOCK, named)
    if row is None:
        holds_now = await policy.current(scope)
        action = _action(holds_now, payment, told)
        await scope.run(insert(fraud_warning).values(**_new(scope, payment, told, holds_now, action)))
        row = await scope.one(_LOCK, named)
        if action is WarningAction.REFUND:
            await outbox.enqueue(scope, EXECUTE, str(scope.platform))
        elif action is WarningAction.HOLD:
            await hold(scope, payment, row)
        return
    if row.actionable and not told.actionable:
        await holds.lift(scope, Source("fraud warning", row.id), SYSTEM, "The charge was disputed or refunded.")
        await change(scope, row.id, actionable=False, act_since=None)


async def hold(scope: WriteScope, payment: Row[Any], row: Row[Any]) -> None:
    """Holds the payment, which the caller has locked."""
    await holding.warned(scope, payment, row.id, f"The issuer warned of fraud: {row.fraud_type}.")


def _action(holds_now: DisputePolicy, payment: Row[Any], told: FraudWarning) -> WarningAction:
    if not told.actionable or holds_now.on_fraud_warning is OnFraudWarning.NOTHING:
        return WarningAction.NOTHING
    below = holds_now.refund_below.get(payment.currency)
    refunds_it = holds_now.on_fraud_warning is OnFraudWarning.REFUND_BELOW
    return WarningAction.REFUND if refunds_it and below is not None and payment.gross <= below else WarningAction.HOLD


def _new(
    scope: WriteScope, payment: Row[Any], told: FraudWarning, holds_now: DisputePolicy, action: WarningAction
) -> dict[str, Any]:
    return {
        "platform_id": scope.platform,
        "id": new_id(),
        "payment_id": payment.id,
        "provider_warning": told.id,
        "charge": told.charge_id,
        "fraud_type": told.fraud_type,
        "actionable": told.actionable,
        "policy_version": holds_now.version,
        "action": action.value,
        "warned_at": told.created,
        "act_since": scope.now if action is WarningAction.REFUND else None,
        "created_at": scope.now,
        "updated_at": scope.now,
    }


async def change(scope: WriteScope, id: UUID, **values: Any) -> None:
    """Writes what became of a warning."""
    await scope.run(
        update(fraud_warning)
        .where(fraud_warning.c.platform_id == scope.platform, fraud_warning.c.id == id)
        .values(**values, updated_at=scope.now)
    )
