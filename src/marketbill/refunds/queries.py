"""Reading refunds. A seller sees those that take something from him, and his own part alone."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Uuid, bindparam, exists, select

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import NotFound
from marketbill.ids import parse_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.refunds.model import RefundStatus, refund, refund_share

_IDS = bindparam("ids", type_=ARRAY(Uuid)).any_()


async def refunds(
    scope: Scope,
    actor: Actor,
    request: PageRequest,
    *,
    seller: UUID | None = None,
    payment: UUID | None = None,
    status: Sequence[RefundStatus] | None = None,
) -> Page:
    """Refunds, newest first."""
    statement = _visible(scope, actor)
    if seller is not None:
        statement = statement.where(_touches(seller))
    if payment is not None:
        statement = statement.where(refund.c.payment_id == payment)
    if status is not None:
        statement = statement.where(refund.c.status.in_([one.value for one in status]))
    return await newest_first(scope, statement, refund.c.id, request)


async def refund_by_id(scope: Scope, actor: Actor, id: str) -> Row[Any]:
    """One refund. Raises NotFound."""
    row = await scope.first(_visible(scope, actor).where(refund.c.id == parse_id("refund", id, path=("id",))))
    if row is None:
        raise NotFound("refund", id, path=("id",))
    return row


async def refunds_of(scope: Scope, actor: Actor, payments: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The refunds of each payment, in one statement."""
    statement = _visible(scope, actor).where(refund.c.payment_id == _IDS).order_by(refund.c.id)
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in payments}
    for row in await scope.rows(statement, {"ids": list(payments)}):
        found[row.payment_id].append(row)
    return found


async def shares_of(scope: Scope, actor: Actor, refunds: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """What each seller gives back for each refund, in one statement."""
    statement = select(refund_share).where(
        refund_share.c.platform_id == scope.platform, refund_share.c.refund_id == _IDS
    )
    if actor.seller is not None:
        statement = statement.where(refund_share.c.seller_id == actor.seller)
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in refunds}
    for row in await scope.rows(statement.order_by(refund_share.c.seller_id), {"ids": list(refunds)}):
        found[row.refund_id].append(row)
    return found


def _visible(scope: Scope, actor: Actor) -> Select[Any]:
    statement = select(refund).where(refund.c.platform_id == scope.platform)
    return statement if actor.seller is None else statement.where(_touches(actor.seller))


def _touches(seller: UUID) -> Any:
    return exists().where(
        refund_share.c.platform_id == refund.c.platform_id,
        refund_share.c.refund_id == refund.c.id,
        refund_share.c.seller_id == seller,
    )
