"""Reading transfers and payouts. A seller sees his own."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Table, Uuid, bindparam, select

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import NotFound
from marketbill.ids import parse_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.payouts.model import PayoutStatus, TransferStatus, payout, transfer

_IDS = bindparam("ids", type_=ARRAY(Uuid)).any_()


async def transfers(
    scope: Scope,
    actor: Actor,
    request: PageRequest,
    *,
    seller: UUID | None = None,
    status: Sequence[TransferStatus] | None = None,
) -> Page:
    """Transfers, newest first."""
    statement = _visible(scope, actor, transfer)
    if seller is not None:
        statement = statement.where(transfer.c.seller_id == seller)
    if status is not None:
        statement = statement.where(transfer.c.status.in_([one.value for one in status]))
    return await newest_first(scope, statement, transfer.c.id, request)


async def payouts(
    scope: Scope,
    actor: Actor,
    request: PageRequest,
    *,
    seller: UUID | None = None,
    status: Sequence[PayoutStatus] | None = None,
) -> Page:
    """Payouts, newest first."""
    statement = _visible(scope, actor, payout)
    if seller is not None:
        statement = statement.where(payout.c.seller_id == seller)
    if status is not None:
        statement = statement.where(payout.c.status.in_([one.value for one in status]))
    return await newest_first(scope, statement, payout.c.id, request)


async def transfers_of(scope: Scope, actor: Actor, payments: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The transfers of each payment, in one statement."""
    statement = _visible(scope, actor, transfer).where(transfer.c.payment_id == _IDS).order_by(transfer.c.id)
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in payments}
    for row in await scope.rows(statement, {"ids": list(payments)}):
        found[row.payment_id].append(row)
    return found


async def transfer_by_id(scope: Scope, actor: Actor, id: str) -> Row[Any]:
    """One transfer. Raises NotFound."""
    return await _by_id(scope, actor, transfer, "transfer", id)


async def payout_by_id(scope: Scope, actor: Actor, id: str) -> Row[Any]:
    """One payout. Raises NotFound."""
    return await _by_id(scope, actor, payout, "payout", id)


def _visible(scope: Scope, actor: Actor, table: Table) -> Select[Any]:
    statement = select(table).where(table.c.platform_id == scope.platform)
    return statement if actor.seller is None else statement.where(table.c.seller_id == actor.seller)


async def _by_id(scope: Scope, actor: Actor, table: Table, kind: str, id: str) -> Row[Any]:
    row = await scope.first(_visible(scope, actor, table).where(table.c.id == parse_id(kind, id, path=("id",))))
    if row is None:
        raise NotFound(kind, id, path=("id",))
    return row
