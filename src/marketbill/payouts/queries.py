"""Reading transfers and payouts. A seller sees his own."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Table, Uuid, bindparam, func, select

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import NotFound, Path
from marketbill.ids import parse_id
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.payouts.model import (
    PayoutStatus,
    RunOutcome,
    TransferStatus,
    payout,
    payout_item,
    payout_line,
    payout_run,
    payout_run_result,
    transfer,
)

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
    return await _by_id(scope, actor, transfer, "transfer", id, ("id",))


async def payout_by_id(scope: Scope, actor: Actor, id: str, *, path: Path = ("id",)) -> Row[Any]:
    """One payout. Raises NotFound."""
    return await _by_id(scope, actor, payout, "payout", id, path)


async def lines(scope: Scope, actor: Actor, id: str, request: PageRequest) -> Page:
    """What a payout is made of, newest item first: rows of items, with `taken`, the part that the payout has, and of a
    transfer its `payment_id`. Raises NotFound."""
    row = await payout_by_id(scope, actor, id, path=("payoutId",))
    statement = (
        select(payout_item, payout_line.c.amount.label("taken"), transfer.c.payment_id)
        .join(
            payout_line,
            (payout_line.c.platform_id == payout_item.c.platform_id) & (payout_line.c.item_id == payout_item.c.id),
        )
        .outerjoin(
            transfer,
            (transfer.c.platform_id == payout_item.c.platform_id)
            & (payout_item.c.source_type == "transfer")
            & (transfer.c.id == payout_item.c.source_id),
        )
        .where(
            payout_item.c.platform_id == scope.platform,
            payout_line.c.payout_id == row.id,
            payout_line.c.replaced_at.is_(None),
        )
    )
    return await newest_first(scope, statement, payout_item.c.id, request)


async def runs(scope: Scope, request: PageRequest) -> Page:
    """Payout runs, newest first."""
    statement = select(payout_run).where(payout_run.c.platform_id == scope.platform)
    return await newest_first(scope, statement, payout_run.c.id, request)


async def run_by_id(scope: Scope, id: str) -> Row[Any]:
    """One payout run. Raises NotFound."""
    mine = (payout_run.c.platform_id == scope.platform) & (payout_run.c.id == parse_id("payout run", id, path=("id",)))
    row = await scope.first(select(payout_run).where(mine))
    if row is None:
        raise NotFound("payout run", id, path=("id",))
    return row


async def run_summary(scope: Scope, run: UUID) -> Sequence[Row[Any]]:
    """Of a run by currency, rail and outcome: how many sellers, what they had, and what of it was carried on."""
    result = payout_run_result.c
    statement = (
        select(
            result.currency,
            result.rail,
            result.outcome,
            func.count().label("sellers"),
            func.sum(result.amount).label("amount"),
            func.sum(result.carried).label("carried"),
        )
        .where(result.platform_id == scope.platform, result.run_id == run)
        .group_by(result.currency, result.rail, result.outcome)
        .order_by(result.currency, result.rail, result.outcome)
    )
    return await scope.rows(statement)


async def run_results(
    scope: Scope,
    actor: Actor,
    request: PageRequest,
    *,
    run: UUID | None = None,
    seller: UUID | None = None,
    outcome: Sequence[RunOutcome] | None = None,
) -> Page:
    """What runs did with each seller's money, newest first."""
    statement = _visible(scope, actor, payout_run_result)
    if run is not None:
        statement = statement.where(payout_run_result.c.run_id == run)
    if seller is not None:
        statement = statement.where(payout_run_result.c.seller_id == seller)
    if outcome is not None:
        statement = statement.where(payout_run_result.c.outcome.in_([one.value for one in outcome]))
    return await newest_first(scope, statement, payout_run_result.c.id, request)


def _visible(scope: Scope, actor: Actor, table: Table) -> Select[Any]:
    statement = select(table).where(table.c.platform_id == scope.platform)
    return statement if actor.seller is None else statement.where(table.c.seller_id == actor.seller)


async def _by_id(scope: Scope, actor: Actor, table: Table, kind: str, id: str, path: Path) -> Row[Any]:
    row = await scope.first(_visible(scope, actor, table).where(table.c.id == parse_id(kind, id, path=path)))
    if row is None:
        raise NotFound(kind, id, path=path)
    return row
