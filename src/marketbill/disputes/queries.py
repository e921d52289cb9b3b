"""Reading disputes and fraud warnings. A seller sees the disputes of the payments that he has a share in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Table, Uuid, bindparam, exists, select

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.disputes.model import RecoveryStatus, dispute, dispute_movement, dispute_recovery, fraud_warning
from marketbill.errors import NotFound
from marketbill.ids import PaymentId, parse_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.payments import recording
from marketbill.payments.model import payment_share
from marketbill.prepared import prepared
from marketbill.recovery.model import clawback
from marketbill.rules.disputes import DisputeStatus

_IDS = bindparam("ids", type_=ARRAY(Uuid)).any_()
_MOVEMENTS = prepared(
    select(dispute_movement)
    .where(dispute_movement.c.platform_id == bindparam("platform"), dispute_movement.c.dispute_id == _IDS)
    .order_by(dispute_movement.c.moved_at, dispute_movement.c.balance_transaction)
)
_PARTS = (
    select(
        dispute_recovery.c.dispute_id,
        clawback.c.seller_id,
        clawback.c.currency,
        clawback.c.amount,
        clawback.c.booked_at,
    )
    .join(
        clawback,
        (clawback.c.platform_id == dispute_recovery.c.platform_id)
        & (clawback.c.cause_type == "dispute")
        & (clawback.c.cause_id == dispute_recovery.c.id),
    )
    .where(
        dispute_recovery.c.platform_id == bindparam("platform"),
        dispute_recovery.c.dispute_id == _IDS,
        dispute_recovery.c.status != RecoveryStatus.UNDONE.value,
    )
    .order_by(dispute_recovery.c.dispute_id, clawback.c.seller_id)
)


@dataclass(frozen=True, slots=True)
class DisputeFilter:
    """All given conditions hold; `due_before` is exclusive."""

    status: Sequence[DisputeStatus] | None = None
    payment: UUID | None = None
    seller: UUID | None = None
    due_before: datetime | None = None


async def page(scope: Scope, actor: Actor, filter: DisputeFilter, request: PageRequest) -> Page:
    """The disputes that the actor may see, newest first."""
    statement = _visible(scope, actor, dispute)
    if filter.status is not None:
        statement = statement.where(dispute.c.status.in_([one.value for one in filter.status]))
    if filter.payment is not None:
        statement = statement.where(dispute.c.payment_id == filter.payment)
    if filter.seller is not None:
        statement = statement.where(_has_share(dispute, filter.seller))
    if filter.due_before is not None:
        statement = statement.where(dispute.c.due_by < filter.due_before)
    return await newest_first(scope, statement, dispute.c.id, request)


async def by_id(
    scope: Scope, actor: Actor, id: str, *, path: tuple[str, ...] = ("id",), lock: bool = False
) -> Row[Any]:
    """One dispute; `lock` takes its payment's lock, which whoever changes a dispute holds. Raises NotFound."""
    found = parse_id("dispute", id, path=path)
    statement = _visible(scope, actor, dispute).where(dispute.c.id == found)
    row = await scope.first(statement)
    if row is None:
        raise NotFound("dispute", id, path=path)
    if lock:
        await recording.load(scope, PaymentId(row.payment_id), lock=True)
        row = await scope.one(statement.with_for_update(of=dispute))
    return row


async def movements_of(scope: Scope, disputes: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """What the provider moved for each dispute, the oldest first."""
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in disputes}
    for row in await scope.rows(_MOVEMENTS, {"platform": scope.platform, "ids": list(disputes)}):
        found[row.dispute_id].append(row)
    return found


async def parts_of(scope: Scope, actor: Actor, disputes: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """What each seller gives back for each dispute, as it stands: rounds that were undone are none. A seller sees his
    own part."""
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in disputes}
    statement = _PARTS if actor.seller is None else _PARTS.where(clawback.c.seller_id == actor.seller)
    for row in await scope.rows(statement, {"platform": scope.platform, "ids": list(disputes)}):
        found[row.dispute_id].append(row)
    return found


async def warnings(scope: Scope, actor: Actor, request: PageRequest, *, actionable: bool | None = None) -> Page:
    """Fraud warnings, newest first."""
    statement = _visible(scope, actor, fraud_warning)
    if actionable is not None:
        statement = statement.where(fraud_warning.c.actionable == actionable)
    return await newest_first(scope, statement, fraud_warning.c.id, request)


async def warning_by_id(scope: Scope, actor: Actor, id: str) -> Row[Any]:
    """One fraud warning. Raises NotFound."""
    statement = _visible(scope, actor, fraud_warning)
    row = await scope.first(statement.where(fraud_warning.c.id == parse_id("fraud warning", id, path=("id",))))
    if row is None:
        raise NotFound("fraud warning", id, path=("id",))
    return row


def _visible(scope: Scope, actor: Actor, table: Table) -> Select[Any]:
    statement = select(table).where(table.c.platform_id == scope.platform)
    return statement if actor.seller is None else statement.where(_has_share(table, actor.seller))


def _has_share(table: Table, seller: UUID) -> Any:
    return exists().where(
        payment_share.c.platform_id == table.c.platform_id,
        payment_share.c.payment_id == table.c.payment_id,
        payment_share.c.seller_id == seller,
    )
