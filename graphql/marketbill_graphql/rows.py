"""The rows behind lists and relations: keyset pages of a table, and the rows of many parents in one statement.

Ids are UUIDv7, so newest first by id is newest first by time, and the primary key is the index.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Row, Table, Uuid, bindparam, select

from marketbill.db import Scope
from marketbill.payments.model import payment, payment_line, payment_share
from marketbill.payouts.model import transfer
from marketbill_graphql.connections import Position, Window

#: Rows of one relation fetched together: a page of payments with the most lines a basket may have stays within it.
RELATED_MAX = 25_000

_IDS = bindparam("ids", type_=ARRAY(Uuid))


async def newest(scope: Scope, table: Table, asked: Window, *conditions: ColumnElement[bool]) -> Sequence[Row[Any]]:
    """A page of a table, newest first (oldest first when the window is counted from the end)."""
    statement = select(table).where(table.c.platform_id == scope.platform, *conditions)
    if asked.after is not None:
        statement = statement.where(table.c.id < asked.after.id)
    if asked.before is not None:
        statement = statement.where(table.c.id > asked.before.id)
    order = table.c.id.asc() if asked.backward else table.c.id.desc()
    return await scope.rows(statement.order_by(order).limit(asked.rows_wanted))


def by_id(row: Row[Any]) -> Position:
    """The position of a row in a list that is sorted by id."""
    return Position((), row.id)


async def one(scope: Scope, table: Table, *conditions: ColumnElement[bool]) -> Row[Any] | None:
    """The row that the conditions single out; the newest of several."""
    statement = select(table).where(table.c.platform_id == scope.platform, *conditions)
    return await scope.first(statement.order_by(table.c.id.desc()).limit(1))


async def payments_by_id(scope: Scope, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """The payments with these ids."""
    return {row.id: row for row in await scope.rows(_PAYMENTS, {"platform": scope.platform, "ids": list(ids)})}


async def lines_of(scope: Scope, payments: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The lines of each payment, in the order of the basket."""
    return await _grouped(scope, _LINES, payments, "payment_id")


async def shares_of(scope: Scope, payments: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """What each seller has in each payment."""
    return await _grouped(scope, _SHARES, payments, "payment_id")


async def transfers_of(scope: Scope, payments: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The transfers of each payment, oldest first."""
    return await _grouped(scope, _TRANSFERS, payments, "payment_id")


async def _grouped(scope: Scope, statement: Any, parents: Sequence[UUID], column: str) -> dict[UUID, list[Row[Any]]]:
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in parents}
    for row in await scope.rows(statement, {"platform": scope.platform, "ids": list(parents)}):
        found[getattr(row, column)].append(row)
    return found


def _of(table: Table, column: str) -> Any:
    return (
        select(table)
        .where(table.c.platform_id == bindparam("platform"), table.c[column] == _IDS.any_())
        .limit(RELATED_MAX)
    )


_PAYMENTS = _of(payment, "id")
_LINES = _of(payment_line, "payment_id").order_by(payment_line.c.payment_id, payment_line.c.ordinal)
_SHARES = _of(payment_share, "payment_id").order_by(payment_share.c.payment_id, payment_share.c.seller_id)
_TRANSFERS = _of(transfer, "payment_id").order_by(transfer.c.payment_id, transfer.c.id)
