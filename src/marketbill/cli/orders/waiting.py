"""Waiting for the workers: they settle, release and transfer what was paid; here it is only looked at."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, ScalarSelect, Uuid, bindparam, exists, func, or_, select

from marketbill.cli.orders.file import FileOrder
from marketbill.cli.orders.outcome import Outcome
from marketbill.cli.orders.patience import CHUNK, patiently
from marketbill.cli.orders.progress import Steps
from marketbill.ids import PlatformId
from marketbill.payments.model import PaymentStatus, payment, payment_share
from marketbill.payouts.model import TransferStatus, transfer
from marketbill.sellers.model import seller
from marketbill.services import Services

#: States in which nobody has paid: the order is paid with another payment.
ENDED = (PaymentStatus.DECLINED, PaymentStatus.FAILED, PaymentStatus.CANCELED)
_WATCH_PAUSE_S = 0.5

_OF_PAYMENT = (transfer.c.platform_id == payment.c.platform_id) & (transfer.c.payment_id == payment.c.id)


def _first_of(what: ColumnElement[Any], *conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
    joined = (seller.c.platform_id == transfer.c.platform_id) & (seller.c.id == transfer.c.seller_id)
    return select(func.min(what)).where(_OF_PAYMENT, joined, *conditions).correlate(payment).scalar_subquery()


_WATCHED = select(
    payment,
    exists().where(_OF_PAYMENT, transfer.c.status != TransferStatus.SENT.value).label("unsent"),
    exists()
    .where(
        payment_share.c.platform_id == payment.c.platform_id,
        payment_share.c.payment_id == payment.c.id,
        payment_share.c.transfers_planned_at.is_(None),
    )
    .label("unplanned"),
    _first_of(
        func.coalesce(seller.c.external_ref, seller.c.name),
        transfer.c.status == TransferStatus.HELD.value,
        or_(seller.c.provider_account.is_(None), seller.c.transfers != "ACTIVE"),
    ).label("held_seller"),
    _first_of(
        func.coalesce(transfer.c.reason, "no reason given"), transfer.c.status == TransferStatus.REFUSED.value
    ).label("refusal"),
).where(payment.c.platform_id == bindparam("platform"), payment.c.id == bindparam("ids", type_=ARRAY(Uuid)).any_())


class Waiting:
    """The payments of a run, watched until each is where it can be now.

    `sellers_wait`: nobody here can complete a seller, so what is held for one is not waited for.
    """

    def __init__(
        self,
        services: Services,
        platform: PlatformId,
        outcome: Outcome,
        *,
        progress: Steps,
        patience_s: float,
        sellers_wait: bool,
    ) -> None:
        self._services = services
        self._platform = platform
        self._outcome = outcome
        self._progress = progress
        self._patience_s = patience_s
        self._sellers_wait = sellers_wait
        self._orders: dict[UUID, FileOrder] = {}
        self._sold: set[UUID] = set()
        #: Where each payment was last seen, and whether the workers should move it.
        self._stages: dict[UUID, tuple[str, bool]] = {}

    @property
    def orders(self) -> set[str]:
        """The ids of the orders whose payments are watched."""
        return {order.id for order in self._orders.values()}

    def watch(self, payment: UUID, order: FileOrder) -> None:
        self._orders[payment] = order

    async def run(self) -> None:
        """Looks at the payments in turn; gives up when nothing moves any more."""
        waiting = deque(self._orders)
        self._progress.start("transferred", len(waiting))
        moved_at = time.monotonic()
        while waiting:
            ids = [waiting.popleft() for _ in range(min(CHUNK, len(waiting)))]
            rows, now = await patiently(lambda ids=ids: self._look(ids))
            for row in rows:
                stage, is_over, by_workers = self._stage(row, now)
                if self._stages.get(row.id, ("", False))[0] != stage:
                    self._stages[row.id] = (stage, by_workers)
                    moved_at = time.monotonic()
                if is_over:
                    self._progress.step("transferred")
                else:
                    waiting.append(row.id)
            if waiting and time.monotonic() - moved_at > self._patience_s:
                self._give_up(waiting)
                return
            if waiting:
                await asyncio.sleep(_WATCH_PAUSE_S)

    async def _look(self, ids: Sequence[UUID]) -> tuple[Sequence[Any], datetime]:
        async with self._services.db.read(self._platform) as scope:
            return await scope.rows(_WATCHED, {"platform": self._platform, "ids": ids}), scope.now

    def _give_up(self, waiting: "deque[UUID]") -> None:
        for id in waiting:
            if id in self._stages:
                stage, by_workers = self._stages[id]
                self._outcome.stuck[stage] += 1
                self._outcome.workers_idle |= by_workers

    def _stage(self, row: Any, now: datetime) -> tuple[str, bool, bool]:
        """Where a payment is, whether there is nothing more to wait for now, and whether workers should move it."""
        if row.status in ENDED:
            self._outcome.refused.append((self._orders[row.id], why_not_paid(row)))
            return row.status, True, False
        if row.status == PaymentStatus.SUCCEEDED and row.id not in self._sold:
            self._sold.add(row.id)
            self._outcome.sold[row.currency] += row.gross
        if row.status != PaymentStatus.SUCCEEDED or row.settled_at is None:
            return f"not settled ({row.status.lower()})", False, True
        if row.available_at is None:
            return self._later("funds not available yet", row.available_on, now)
        if row.released_at is None:
            return self._later("on hold", row.release_on, now)
        if row.held_seller is not None:
            stage = f"held: seller {row.held_seller} cannot receive transfers yet"
            if self._sellers_wait:
                self._outcome.waiting[stage] += 1
            return stage, self._sellers_wait, False
        if row.refusal is not None:
            stage = f"transfer refused: {row.refusal}"
            self._outcome.stuck[stage] += 1
            return stage, True, False
        if row.unplanned or row.unsent:
            return "released, not transferred", False, True
        self._outcome.transferred += 1
        return "transferred", True, False

    def _later(self, stage: str, due: datetime | None, now: datetime) -> tuple[str, bool, bool]:
        if due is not None and due <= now:
            return stage, False, True
        self._outcome.waiting[stage] += 1
        if due is not None:
            self._outcome.waiting_until[stage] = max(due, self._outcome.waiting_until.get(stage, due))
        return stage, True, False


def why_not_paid(row: Any) -> str:
    """What the provider or the bank said of a payment that has ended without money."""
    said = (row.decline or {}).get("message")
    return f"the payment was {row.status.lower()}{f': {said}' if said else ''}"
