"""Debts of sellers: what they must give back and did not have. New money pays them first, the oldest first."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, insert, select, text

from marketbill.db import WriteScope
from marketbill.events import outbox
from marketbill.ids import SellerId, new_id
from marketbill.ledger import chart
from marketbill.ledger.journal import Posting, Source
from marketbill.payouts.model import debt
from marketbill.prepared import prepared

#: The first step of the ladder: new sales pay the debt.
NETTING = "NETTING"
_INSERT = insert(debt)
_OPEN = prepared(
    select(debt)
    .where(
        debt.c.platform_id == bindparam("platform"),
        debt.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_(),
        debt.c.remaining > 0,
    )
    .order_by(debt.c.seller_id, debt.c.currency, debt.c.created_at, debt.c.id)
    .with_for_update()
)
_PAY = text(
    """
    update debt set remaining = remaining - :paid,
      closed_at = case when remaining = :paid then cast(:now as timestamptz) end,
      next_step_at = case when remaining = :paid then null else next_step_at end
    where platform_id = :platform and id = :debt
    """
)


class Owed(NamedTuple):
    """A debt that begins, in minor units."""

    seller_id: UUID
    currency: str
    payment_id: UUID | None
    cause: Source
    amount: int


@dataclass(slots=True)
class OpenDebts:
    """The open debts of some sellers, locked; `pay` notes what is paid of them, `record` writes it."""

    rows: Sequence[Row[Any]]
    paid: dict[UUID, int] = field(default_factory=dict)

    def pay(self, seller_id: UUID, currency: str, amount: int, *, of: Source | None = None) -> int:
        """Pays the seller's debts, the oldest first, as far as `amount` goes, and tells how far that is; with `of` the
        debt of that cause alone."""
        left = amount
        for row in self.rows:
            if (row.seller_id, row.currency) != (seller_id, currency) or left <= 0:
                continue
            if of is not None and (row.cause_type, row.cause_id) != (of.type, of.id):
                continue
            part = min(left, row.remaining - self.paid.get(row.id, 0))
            if part > 0:
                self.paid[row.id] = self.paid.get(row.id, 0) + part
                left -= part
        return amount - left

    def pay_one(self, debt_id: UUID, amount: int) -> int:
        """The same for one debt."""
        [row] = [row for row in self.rows if row.id == debt_id] or [None]
        part = 0 if row is None else min(amount, row.remaining - self.paid.get(debt_id, 0))
        if part > 0:
            self.paid[debt_id] = self.paid.get(debt_id, 0) + part
        return part

    async def record(self, scope: WriteScope) -> None:
        """To be called once, before the entries that pay the debts are posted."""
        if self.paid:
            await scope.run(
                _PAY,
                [
                    {"platform": scope.platform, "debt": id, "paid": amount, "now": scope.now}
                    for id, amount in sorted(self.paid.items())
                ],
            )
        if any(row.remaining == self.paid.get(row.id) for row in self.rows):
            # Whoever was suspended for it, and owes nothing else, may sell again.
            await outbox.enqueue(scope, "keep_up_debts", str(scope.platform))


async def lock_open(scope: WriteScope, sellers: Collection[UUID]) -> OpenDebts:
    """The open debts of these sellers, locked until the transaction ends."""
    if not sellers:
        return OpenDebts(())
    return OpenDebts(await scope.rows(_OPEN, {"platform": scope.platform, "sellers": sorted(set(sellers))}))


async def incur(scope: WriteScope, owed: Sequence[Owed]) -> None:
    """Writes debts down; the entry that books them (kind `debt`) is the caller's. The ladder dates them later."""
    if owed:
        await scope.run(
            _INSERT,
            [
                {
                    "platform_id": scope.platform,
                    "id": new_id(),
                    "seller_id": one.seller_id,
                    "currency": one.currency,
                    "payment_id": one.payment_id,
                    "cause_type": one.cause.type,
                    "cause_id": one.cause.id,
                    "amount": one.amount,
                    "remaining": one.amount,
                    "step": NETTING,
                    "next_step_at": scope.now,
                    "created_at": scope.now,
                }
                for one in owed
            ],
        )


def incurred(seller_id: UUID, currency: str, amount: int) -> Posting:
    """What lacks in what is payable becomes a debt (D5)."""
    seller = SellerId(seller_id)
    return Posting(chart.seller_receivable(seller, currency), chart.seller_payable(seller, currency), amount)


def set_off(seller_id: UUID, currency: str, amount: int) -> Posting:
    """What is payable pays a debt."""
    seller = SellerId(seller_id)
    return Posting(chart.seller_payable(seller, currency), chart.seller_receivable(seller, currency), amount)
