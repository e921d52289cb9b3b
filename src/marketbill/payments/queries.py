"""Reading payments. A seller sees those he has a share in, and only his own lines of them; a buyer sees his own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Uuid, bindparam, exists, select

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import NotFound
from marketbill.ids import parse_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.payments.model import PaymentStatus, payment, payment_line, payment_share

_IDS = bindparam("ids", type_=ARRAY(Uuid)).any_()
_LINES = (
    select(payment_line)
    .where(payment_line.c.platform_id == bindparam("platform"), payment_line.c.payment_id == _IDS)
    .order_by(payment_line.c.payment_id, payment_line.c.ordinal)
)
_SHARES = (
    select(payment_share)
    .where(payment_share.c.platform_id == bindparam("platform"), payment_share.c.payment_id == _IDS)
    .order_by(payment_share.c.payment_id, payment_share.c.seller_id)
)


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """All given conditions hold; `created_from` is inclusive, `created_until` exclusive."""

    status: Sequence[PaymentStatus] | None = None
    seller: UUID | None = None
    buyer: UUID | None = None
    reference: str | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None


async def page(scope: Scope, actor: Actor, filter: PaymentFilter, request: PageRequest) -> Page:
    """The payments that the actor may see, newest first."""
    statement = _visible(scope, actor)
    if filter.status is not None:
        statement = statement.where(payment.c.status.in_([status.value for status in filter.status]))
    if filter.seller is not None:
        statement = statement.where(_has_share(filter.seller))
    if filter.buyer is not None:
        statement = statement.where(payment.c.buyer_id == filter.buyer)
    if filter.reference is not None:
        statement = statement.where(payment.c.reference == filter.reference)
    if filter.created_from is not None:
        statement = statement.where(payment.c.created_at >= filter.created_from)
    if filter.created_until is not None:
        statement = statement.where(payment.c.created_at < filter.created_until)
    return await newest_first(scope, statement, payment.c.id, request)


async def by_id(scope: Scope, actor: Actor, id: str, *, path: tuple[str, ...] = ("id",)) -> Row[Any]:
    """One payment that the actor may see. Raises NotFound."""
    row = await scope.first(_visible(scope, actor).where(payment.c.id == parse_id("payment", id, path=path)))
    if row is None:
        raise NotFound("payment", id, path=path)
    return row


async def by_reference(scope: Scope, actor: Actor, reference: str) -> Row[Any] | None:
    """The newest payment with this reference that the actor may see."""
    statement = _visible(scope, actor).where(payment.c.reference == reference)
    return await scope.first(statement.order_by(payment.c.id.desc()).limit(1))


async def by_ids(scope: Scope, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Those of these payments that the actor may see, in one statement."""
    rows = await scope.rows(_visible(scope, actor).where(payment.c.id == _IDS), {"ids": list(ids)})
    return {row.id: row for row in rows}


async def lines_of(scope: Scope, actor: Actor, payments: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The lines of each payment in their order; a seller gets his own only."""
    return await _parts(scope, actor, _LINES, payment_line.c.seller_id, payments)


async def shares_of(scope: Scope, actor: Actor, payments: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """What each seller has in each payment; a seller gets his own only."""
    return await _parts(scope, actor, _SHARES, payment_share.c.seller_id, payments)


def _visible(scope: Scope, actor: Actor) -> Select[Any]:
    statement = select(payment).where(payment.c.platform_id == scope.platform)
    if actor.seller is not None:
        statement = statement.where(_has_share(actor.seller))
    if actor.buyer is not None:
        statement = statement.where(payment.c.buyer_id == actor.buyer)
    return statement


def _has_share(seller: UUID) -> Any:
    return exists().where(
        payment_share.c.platform_id == payment.c.platform_id,
        payment_share.c.payment_id == payment.c.id,
        payment_share.c.seller_id == seller,
    )


async def _parts(
    scope: Scope, actor: Actor, statement: Select[Any], seller: Any, payments: Sequence[UUID]
) -> dict[UUID, list[Row[Any]]]:
    if actor.seller is not None:
        statement = statement.where(seller == actor.seller)
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in payments}
    for row in await scope.rows(statement, {"platform": scope.platform, "ids": list(payments)}):
        found[row.payment_id].append(row)
    return found
