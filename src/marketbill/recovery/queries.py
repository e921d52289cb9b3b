"""Reading debts, reversals and write-offs. A seller sees his own."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Table, Uuid, bindparam, select

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import NotFound
from marketbill.ids import parse_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.payouts.model import debt, reversal
from marketbill.recovery.model import WriteOffStatus, debt_payment, debt_step, write_off

_IDS = bindparam("ids", type_=ARRAY(Uuid)).any_()


async def debts(
    scope: Scope, actor: Actor, request: PageRequest, *, seller: UUID | None = None, is_open: bool | None = None
) -> Page:
    """Debts, newest first."""
    statement = _of_seller(_visible(scope, actor, debt), debt, seller)
    if is_open is not None:
        statement = statement.where(debt.c.remaining > 0 if is_open else debt.c.remaining == 0)
    return await newest_first(scope, statement, debt.c.id, request)


async def debt_by_id(scope: Scope, actor: Actor, id: str) -> Row[Any]:
    """One debt. Raises NotFound."""
    found = parse_id("debt", id, path=("id",))
    row = await scope.first(_visible(scope, actor, debt).where(debt.c.id == found))
    if row is None:
        raise NotFound("debt", id, path=("id",))
    return row


async def debts_by_ids(scope: Scope, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """These debts, in one statement."""
    rows = await scope.rows(_visible(scope, actor, debt).where(debt.c.id == _IDS), {"ids": list(ids)})
    return {row.id: row for row in rows}


async def steps_of(scope: Scope, actor: Actor, debts: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The steps that were taken for these debts, in their order; a seller's debts are his own already."""
    statement = select(debt_step).where(debt_step.c.platform_id == scope.platform, debt_step.c.debt_id == _IDS)
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in debts}
    for row in await scope.rows(statement.order_by(debt_step.c.due_at), {"ids": list(debts)}):
        found[row.debt_id].append(row)
    return found


async def debt_payment_by_id(scope: Scope, actor: Actor, id: str) -> Row[Any]:
    """One payment of debts. Raises NotFound."""
    found = parse_id("topup", id, path=("id",))
    row = await scope.first(_visible(scope, actor, debt_payment).where(debt_payment.c.id == found))
    if row is None:
        raise NotFound("topup", id, path=("id",))
    return row


async def debt_payments(scope: Scope, actor: Actor, request: PageRequest, *, seller: UUID | None = None) -> Page:
    """What sellers paid of their debts by themselves, newest first."""
    statement = _of_seller(_visible(scope, actor, debt_payment), debt_payment, seller)
    return await newest_first(scope, statement, debt_payment.c.id, request)


async def write_offs(
    scope: Scope,
    request: PageRequest,
    *,
    seller: UUID | None = None,
    status: Sequence[WriteOffStatus] | None = None,
) -> Page:
    """Write-offs, newest first."""
    statement = _of_seller(select(write_off).where(write_off.c.platform_id == scope.platform), write_off, seller)
    if status is not None:
        statement = statement.where(write_off.c.status.in_([one.value for one in status]))
    return await newest_first(scope, statement, write_off.c.id, request)


async def reversals_of(scope: Scope, actor: Actor, transfers: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The reversals of each transfer, oldest first, in one statement."""
    statement = _visible(scope, actor, reversal).where(reversal.c.transfer_id == _IDS).order_by(reversal.c.id)
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in transfers}
    for row in await scope.rows(statement, {"ids": list(transfers)}):
        found[row.transfer_id].append(row)
    return found


def _visible(scope: Scope, actor: Actor, table: Table) -> Select[Any]:
    statement = select(table).where(table.c.platform_id == scope.platform)
    return statement if actor.seller is None else statement.where(table.c.seller_id == actor.seller)


def _of_seller(statement: Select[Any], table: Table, seller: UUID | None) -> Select[Any]:
    return statement if seller is None else statement.where(table.c.seller_id == seller)
