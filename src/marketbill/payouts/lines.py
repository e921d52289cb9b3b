"""Lines of payouts: which items a payout takes its money from, so that it is the sum of its lines, always.

An item (`items`) is one movement of what a seller may be paid out. A payout claims items, or parts of them, in the
transaction that creates it, and lets them go when it comes back for good; its lines stay and tell what it had.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Uuid, bindparam, select, text, update

from marketbill.db import Scope, WriteScope
from marketbill.payouts.model import Rail, payout_line
from marketbill.prepared import prepared

#: Lines of one payout; what a seller has beyond them waits for the next one.
LINES_MAX = 5_000


class Open(NamedTuple):
    """An item that no payout holds, or what is left of one; `amount` is below zero for what was taken back."""

    item: UUID
    amount: int


class Line(NamedTuple):
    """A part of an item that a payout is made of."""

    item: UUID
    amount: int


class Purse(NamedTuple):
    """Whose open items, of which currency, to be paid by which rail."""

    seller: UUID
    currency: str
    rail: Rail


# What was taken back comes first, then the oldest. The sellers are locked by whoever claims.
_OPEN = prepared(
    text(
        """
        select id, seller_id, currency, rail, open from (
          select id, seller_id, currency, rail, amount - claimed as open, row_number() over (
            partition by seller_id, currency, rail order by amount > 0, created_at, id) as place
          from payout_item
          where platform_id = :platform and seller_id = any(:sellers) and claimed <> amount
        ) i where place <= :most order by seller_id, currency, rail, place
        """
    ).bindparams(bindparam("sellers", type_=ARRAY(Uuid)))
)
_CLAIM = prepared(
    text(
        """
        with line as (
          select * from unnest(cast(:payouts as uuid[]), cast(:items as uuid[]), cast(:amounts as bigint[]))
            as l (payout_id, item_id, amount)
        ), claimed as (
          update payout_item i set claimed = i.claimed + c.amount
          from (select item_id, sum(amount) as amount from line group by item_id) c
          where i.platform_id = :platform and i.id = c.item_id
        )
        insert into payout_line (platform_id, payout_id, item_id, amount)
        select :platform, payout_id, item_id, amount from line
        on conflict (platform_id, payout_id, item_id) do update set amount = excluded.amount, replaced_at = null
        """
    ).bindparams(
        bindparam("payouts", type_=ARRAY(Uuid)),
        bindparam("items", type_=ARRAY(Uuid)),
        bindparam("amounts", type_=ARRAY(BigInteger)),
    )
)
_LET_GO = text(
    """
    update payout_item i set claimed = i.claimed - l.amount from payout_line l
    where i.platform_id = :platform and l.platform_id = :platform and l.payout_id = :payout and l.replaced_at is null
      and i.id = l.item_id
    """
)
_FREE = text(
    """
    select l.item_id, l.amount, i.amount - i.claimed as open from payout_line l
    join payout_item i on i.platform_id = l.platform_id and i.id = l.item_id
    where l.platform_id = :platform and l.payout_id = :payout and l.replaced_at is null
    order by l.item_id
    for update of i
    """
)


def allot(items: Iterable[Open], amount: int) -> list[Line] | None:
    """The lines of a payout of `amount` (above zero): all that was taken back, then the items in their order, the last
    of them perhaps in part. None when there is not so much."""
    lines: list[Line] = []
    left = amount
    for item in sorted(items, key=lambda item: item.amount > 0):
        if left == 0 and item.amount > 0:
            break
        part = min(item.amount, left)
        lines.append(Line(item.item, part))
        left -= part
    return None if left else lines


def total(items: Iterable[Open]) -> int:
    """What could be paid out of them; below zero where more was taken back than came."""
    return sum(item.amount for item in items)


async def open_items(scope: Scope, sellers: Collection[UUID]) -> dict[Purse, list[Open]]:
    """The open items of these sellers, `LINES_MAX` of each purse, as `allot` takes them. To claim them, lock the
    sellers first."""
    found: dict[Purse, list[Open]] = {}
    values = {"platform": scope.platform, "sellers": list(sellers), "most": LINES_MAX}
    for row in await scope.rows(_OPEN, values):
        purse = Purse(row.seller_id, row.currency, Rail(row.rail))
        found.setdefault(purse, []).append(Open(row.id, row.open))
    return found


async def claim(scope: WriteScope, lines: Mapping[UUID, Sequence[Line]]) -> None:
    """Writes the lines of new payouts, and claims what they take."""
    every = [(payout, line) for payout, those in lines.items() for line in those]
    if every:
        await scope.run(
            _CLAIM,
            {
                "platform": scope.platform,
                "payouts": [payout for payout, _ in every],
                "items": [line.item for _, line in every],
                "amounts": [line.amount for _, line in every],
            },
        )


async def let_go(scope: WriteScope, payout: UUID) -> None:
    """What a payout held, that came back for good, is open again."""
    await scope.run(_LET_GO, {"platform": scope.platform, "payout": payout})


async def again(scope: WriteScope, payout: UUID) -> list[Line] | None:
    """The lines of a payout that came back, for another one; None when something of them is held by now."""
    rows = await scope.rows(_FREE, {"platform": scope.platform, "payout": payout})
    if not rows or any(abs(row.open) < abs(row.amount) or (row.open > 0) != (row.amount > 0) for row in rows):
        return None
    return [Line(row.item_id, row.amount) for row in rows]


async def reclaim(scope: WriteScope, payout: UUID, purse: Purse, amount: int) -> bool:
    """New lines for a payout that was taken for refused, but was made; False when there is not so much any more."""
    lines = allot((await open_items(scope, [purse.seller])).get(purse, []), amount)
    if lines is None:
        return False
    await scope.run(update(payout_line).where(_of(scope, payout)).values(replaced_at=scope.now))
    await claim(scope, {payout: lines})
    return True


async def lines_of(scope: Scope, payout: UUID) -> list[Line]:
    """The lines of a payout."""
    statement = select(payout_line.c.item_id, payout_line.c.amount).where(_of(scope, payout))
    return [Line(row.item_id, row.amount) for row in await scope.rows(statement.order_by(payout_line.c.item_id))]


def _of(scope: Scope, payout: UUID) -> ColumnElement[bool]:
    mine = (payout_line.c.platform_id == scope.platform) & (payout_line.c.payout_id == payout)
    return mine & payout_line.c.replaced_at.is_(None)
