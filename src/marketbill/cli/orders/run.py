"""The run: sellers are made, orders are paid, and the workers are waited for.

There is no state of its own. A payment whose reference is the order's id exists already; idempotency keys and the
sellers' external references decide the rest, so a run that was interrupted is simply started again.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, exists, select

from marketbill.actor import Actor, Role
from marketbill.cli.failure import CommandRefused
from marketbill.cli.orders.file import FileOrder
from marketbill.errors import IdempotencyConflict, ProviderUnavailable, Refusal, Unavailable
from marketbill.ids import PlatformId, public_id
from marketbill.payments import checkout, delivery
from marketbill.payments.checkout import PaymentDraft
from marketbill.payments.model import PaymentStatus, payment
from marketbill.payments.order import OrderLine
from marketbill.payments.resolve import NEVER_RECEIVED
from marketbill.payouts.model import TransferStatus, transfer
from marketbill.platforms import platform as platforms
from marketbill.platforms.model import provider_credential
from marketbill.sellers import seller as sellers
from marketbill.sellers.model import seller
from marketbill.sellers.seller import SellerDraft
from marketbill.services import Services

#: A card of the sandbox and of Stripe's test mode whose funds are available at once.
TEST_CARD = "pm_card_bypassPending"
#: References looked up, or payments watched, with one query.
CHUNK = 1_000
SELLERS_AT_ONCE = 8
_TRIES = 6
_FIRST_PAUSE_S = 0.25
_WATCH_PAUSE_S = 0.5
#: So long an interrupted run waits for the payments that are under way.
_GRACE_S = 15.0

Item = TypeVar("Item")

_EXISTING = select(
    payment.c.id,
    payment.c.reference,
    payment.c.status,
    payment.c.delivered_at,
    payment.c.hold_from,
    payment.c.decline,
).where(
    payment.c.platform_id == bindparam("platform"), payment.c.reference == bindparam("names", type_=ARRAY(Text)).any_()
)
_SELLERS = select(seller.c.id, seller.c.external_ref, seller.c.provider_account, seller.c.payouts_enabled).where(
    seller.c.platform_id == bindparam("platform"), seller.c.external_ref == bindparam("names", type_=ARRAY(Text)).any_()
)
_WATCHED = select(
    payment.c.id,
    payment.c.reference,
    payment.c.status,
    payment.c.settled_at,
    payment.c.available_on,
    payment.c.available_at,
    payment.c.delivered_at,
    payment.c.release_on,
    payment.c.released_at,
    payment.c.transfers_planned_at,
    exists()
    .where(
        transfer.c.platform_id == payment.c.platform_id,
        transfer.c.payment_id == payment.c.id,
        transfer.c.status != TransferStatus.SENT.value,
    )
    .label("unsent"),
).where(payment.c.platform_id == bindparam("platform"), payment.c.id == bindparam("ids", type_=ARRAY(Uuid)).any_())
_ENDED = (PaymentStatus.DECLINED, PaymentStatus.FAILED, PaymentStatus.CANCELED)


class Progress(Protocol):
    """Three bars; the total of each is told first."""

    def start(self, bar: str, total: int) -> None: ...

    def step(self, bar: str, by: int = 1) -> None: ...


class Onboarding(Protocol):
    """Completes a seller's onboarding where that can be done without him: in the sandbox."""

    async def complete(self, account: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """How the orders of a file are sold. `tax_rate` is a percentage, included in the prices."""

    tax_rate: Decimal
    seller_country: str | None
    at_once: int
    patience_s: float


@dataclass(slots=True)
class Outcome:
    """What became of the orders of a file. `refused` holds the reason by order."""

    created: int = 0
    existed: int = 0
    sellers_created: int = 0
    left_to_workers: int = 0
    transferred: int = 0
    waiting: Counter[str] = field(default_factory=Counter)
    stuck: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[FileOrder, str]] = field(default_factory=list)
    waiting_until: datetime | None = None


class OrderRun:
    """One run of a file's good orders on one platform."""

    def __init__(
        self,
        services: Services,
        platform: PlatformId,
        terms: Terms,
        *,
        progress: Progress,
        onboarding: Onboarding | None,
    ) -> None:
        self._services = services
        self._platform = platform
        self._terms = terms
        self._progress = progress
        self._onboarding = onboarding
        self._actor = Actor(Role.SERVICE, "import", platform)
        self._outcome = Outcome()
        self._sellers: dict[str, str] = {}
        #: By order, payments that never reached the provider: the order is paid with another.
        self._tries: Counter[str] = Counter()
        self._watch: dict[UUID, FileOrder] = {}
        self._delivered_counts = False
        self._orders: Sequence[FileOrder] = ()

    async def run(self, orders: Sequence[FileOrder]) -> Outcome:
        """Pays the orders that were not paid yet, and waits until the workers have brought all money to the sellers."""
        self._orders = orders
        country = await self._prepare()
        known = await self._existing(orders)
        fresh = [order for order in orders if order.id not in known]
        self._outcome.existed = len(orders) - len(fresh)
        await self._make_sellers({item.seller for order in fresh for item in order.items}, country)
        self._progress.start("orders", len(orders))
        self._progress.step("orders", len(known))
        for order in orders:
            if row := known.get(order.id):
                self._watch[row.id] = order
        await _each(known.values(), self._deliver_if_due, self._terms.at_once)
        await _each(fresh, self._pay, self._terms.at_once)
        await self._await_workers()
        return self._outcome

    async def _prepare(self) -> str:
        async with self._services.db.read(self._platform) as scope:
            row = await platforms.load(scope)
            connected = await scope.scalar(
                select(provider_credential.c.platform_id).where(provider_credential.c.platform_id == scope.platform)
            )
        if connected is None:
            raise CommandRefused(f"platform {row.name!r} has no payment provider yet: connect one with providerConnect")
        self._delivered_counts = row.hold_from == "DELIVERY"
        return self._terms.seller_country or row.country

    async def _existing(self, orders: Sequence[FileOrder]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for names in _chunks([order.id for order in orders]):
            async with self._services.db.read(self._platform) as scope:
                for row in await scope.rows(_EXISTING, {"platform": self._platform, "names": names}):
                    if row.status == PaymentStatus.FAILED and row.decline["code"] == NEVER_RECEIVED:
                        self._tries[row.reference] += 1
                    else:
                        found[row.reference] = row
        return found

    async def _make_sellers(self, wanted: set[str], country: str) -> None:
        incomplete: list[tuple[str, str | None]] = []
        for names in _chunks(sorted(wanted)):
            async with self._services.db.read(self._platform) as scope:
                for row in await scope.rows(_SELLERS, {"platform": self._platform, "names": names}):
                    self._sellers[row.external_ref] = public_id("seller", row.id)
                    if not row.payouts_enabled:
                        incomplete.append((row.external_ref, row.provider_account))
        missing = sorted(wanted - self._sellers.keys())
        self._progress.start("sellers", len(missing))

        async def make(name: str) -> None:
            draft = SellerDraft(
                name=f"Seller {name}"[: sellers.NAME_LENGTH_MAX],
                email=f"{_mailbox(name)}@sellers.example",
                country=country,
                external_ref=name,
            )
            key = f"import:{public_id('platform', self._platform)}:seller:{name}"
            row = await _patiently(
                lambda: sellers.create(self._services, self._actor, idempotency_key=key, draft=draft)
            )
            self._sellers[name] = public_id("seller", row.id)
            self._outcome.sellers_created += 1
            await self._onboard(row.provider_account)
            self._progress.step("sellers")

        await _each(missing, make, SELLERS_AT_ONCE)
        await _each([account for _, account in incomplete], self._onboard, SELLERS_AT_ONCE)

    async def _onboard(self, account: str | None) -> None:
        if self._onboarding is not None and account is not None:
            await self._onboarding.complete(account)

    async def _pay(self, order: FileOrder) -> None:
        tries = self._tries[order.id]
        key = f"import:{public_id('platform', self._platform)}:{order.id}{f':{tries + 1}' if tries else ''}"
        draft = PaymentDraft(
            currency=order.currency,
            lines=list(self._lines(order)),
            payment_method_token=TEST_CARD,
            reference=order.id,
            off_session=False,
        )
        try:
            made = await _patiently(
                lambda: checkout.create(self._services, self._actor, idempotency_key=key, draft=draft)
            )
        except (ProviderUnavailable, IdempotencyConflict) as refusal:
            if not refusal.retryable:
                self._outcome.refused.append((order, refusal.message))
            else:
                self._outcome.left_to_workers += 1
                await asyncio.sleep(_FIRST_PAUSE_S)
        except Unavailable:
            raise
        except Refusal as refusal:
            self._outcome.refused.append((order, refusal.message))
        else:
            self._watch[made.payment.id] = order
            self._outcome.created += 1
            await self._deliver_if_due(made.payment)
        self._progress.step("orders")

    def _lines(self, order: FileOrder) -> Iterable[OrderLine]:
        for item in order.items:
            refs = {"order": order.id, "item": item.item, "product": item.product}
            kinds = (("goods", f"Product {item.product}", item.price), ("shipping", "Shipping", item.freight))
            for category, description, price in kinds:
                if price:
                    yield OrderLine(
                        seller_id=self._sellers[item.seller],
                        description=description,
                        category=category,
                        quantity=1,
                        unit_price=price,
                        currency=order.currency,
                        tax_rate=self._terms.tax_rate,
                        tax_inclusive=True,
                        external_refs=refs,
                    )

    async def _deliver_if_due(self, row: Any) -> None:
        """Orders of a file have reached their buyers: where delivery starts the hold, it has started."""
        if not self._delivered_counts or row.hold_from != "DELIVERY" or row.delivered_at is not None:
            return
        if row.status in _ENDED:
            return
        id = public_id("payment", row.id)
        await _patiently(
            lambda: delivery.deliver(self._services, self._actor, idempotency_key=f"import:delivered:{id}", id=id)
        )

    async def _await_workers(self) -> None:
        """Looks at the payments in turn until each is where it can be now; gives up when nothing moves any more."""
        await self._find_left()
        waiting = deque(self._watch)
        self._progress.start("transferred", len(waiting))
        moved_at = time.monotonic()
        stages: dict[UUID, str] = {}
        while waiting:
            ids = [waiting.popleft() for _ in range(min(CHUNK, len(waiting)))]
            async with self._services.db.read(self._platform) as scope:
                rows = await scope.rows(_WATCHED, {"platform": self._platform, "ids": ids})
                now = scope.now
            for row in rows:
                stage, is_over = self._stage(row, now)
                if stages.get(row.id) != stage:
                    stages[row.id] = stage
                    moved_at = time.monotonic()
                if is_over:
                    self._progress.step("transferred")
                else:
                    waiting.append(row.id)
            if waiting and time.monotonic() - moved_at > self._terms.patience_s:
                self._outcome.stuck.update(stages[id] for id in waiting if id in stages)
                return
            if waiting:
                await asyncio.sleep(_WATCH_PAUSE_S)

    async def _find_left(self) -> None:
        """The payments that were left to the workers exist too, by their references."""
        if not self._outcome.left_to_workers:
            return
        watched = {order.id for order in self._watch.values()}
        refused = {order.id for order, _ in self._outcome.refused}
        left = [order for order in self._orders if order.id not in watched | refused]
        by_id = {order.id: order for order in left}
        for name, row in (await self._existing(left)).items():
            self._watch[row.id] = by_id[name]

    def _stage(self, row: Any, now: datetime) -> tuple[str, bool]:
        """Where a payment is, and whether there is nothing more to wait for now."""
        order = self._watch[row.id]
        if row.status in _ENDED:
            self._outcome.refused.append((order, f"the payment was {row.status.lower()}"))
            return row.status, True
        if row.status != PaymentStatus.SUCCEEDED or row.settled_at is None:
            return f"not settled ({row.status.lower()})", False
        if row.available_at is None:
            return self._later("funds not available yet", row.available_on, now)
        if row.released_at is None:
            return self._later("on hold", row.release_on, now)
        if row.transfers_planned_at is None or row.unsent:
            return "released, not transferred", False
        self._outcome.transferred += 1
        return "transferred", True

    def _later(self, stage: str, due: datetime | None, now: datetime) -> tuple[str, bool]:
        if due is not None and due <= now:
            return stage, False
        self._outcome.waiting[stage] += 1
        if due is not None:
            self._outcome.waiting_until = max(due, self._outcome.waiting_until or due)
        return stage, True


Answer = TypeVar("Answer")


async def _patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Asks again while the database is away, for some fifteen seconds; `ask` must be idempotent."""
    pause = _FIRST_PAUSE_S
    for left in range(_TRIES, 0, -1):
        try:
            return await ask()
        except Unavailable:
            if left == 1:
                raise
        await asyncio.sleep(pause)
        pause *= 2
    raise AssertionError


async def _each(items: Iterable[Item], work: Callable[[Item], Awaitable[None]], at_once: int) -> None:
    """Does `work` for every item, so many at once. After a failure or an interruption no new one is begun, and those
    under way may end: a payment that was asked for should learn its answer.
    """
    left = iter(items)
    stopped = asyncio.Event()

    async def lane() -> None:
        for item in left:
            if stopped.is_set():
                return
            await work(item)

    lanes = [asyncio.ensure_future(lane()) for _ in range(at_once)]
    try:
        await asyncio.wait(lanes, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        stopped.set()
        await asyncio.wait(lanes, timeout=_GRACE_S)
        for one in lanes:
            one.cancel()
        ends = await asyncio.gather(*lanes, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end


def _chunks(names: Sequence[str]) -> Iterable[list[str]]:
    for start in range(0, len(names), CHUNK):
        yield list(names[start : start + CHUNK])


def _mailbox(name: str) -> str:
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    return letters.strip("-")[:60] or "seller"
