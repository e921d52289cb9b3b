"""The run: sellers are made, orders are paid, and the workers are waited for.

There is no state of its own. A payment whose reference is the order's id exists already; idempotency keys and the
sellers' external references decide the rest, so a run that was interrupted is simply started again.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, Text, bindparam, select

from marketbill.actor import Actor, Role
from marketbill.cli.failure import CommandRefused
from marketbill.cli.orders.file import FileOrder
from marketbill.cli.orders.outcome import Outcome
from marketbill.cli.orders.patience import FIRST_PAUSE_S, chunks, each, patiently
from marketbill.cli.orders.progress import Steps
from marketbill.cli.orders.sellers import FileSellers, Onboarding
from marketbill.cli.orders.waiting import ENDED, Waiting, why_not_paid
from marketbill.errors import IdempotencyConflict, ProviderUnavailable, Refusal, Unavailable
from marketbill.ids import PlatformId, public_id
from marketbill.money import decimal_text
from marketbill.payments import checkout, delivery
from marketbill.payments.checkout import PaymentDraft
from marketbill.payments.model import PaymentStatus, payment
from marketbill.payments.order import Order, OrderLine
from marketbill.platforms import platform as platforms
from marketbill.platforms.model import provider_credential
from marketbill.services import Services

#: A card of the sandbox and of Stripe's test mode whose funds are available at once.
TEST_CARD = "pm_card_bypassPending"

_EXISTING = (
    select(
        payment.c.id,
        payment.c.reference,
        payment.c.status,
        payment.c.currency,
        payment.c.gross,
        payment.c.delivered_at,
        payment.c.hold_from,
        payment.c.decline,
    )
    .where(
        payment.c.platform_id == bindparam("platform"),
        payment.c.reference == bindparam("names", type_=ARRAY(Text)).any_(),
    )
    .order_by(payment.c.id)
)


@dataclass(frozen=True, slots=True)
class Terms:
    """How the orders of a file are sold. `tax_rate` is a percentage, included in the prices."""

    tax_rate: Decimal
    seller_country: str | None
    at_once: int
    patience_s: float


class OrderRun:
    """One run of a file's good orders on one platform."""

    def __init__(
        self,
        services: Services,
        platform: PlatformId,
        terms: Terms,
        *,
        progress: Steps,
        onboarding: Onboarding | None,
    ) -> None:
        self._services = services
        self._platform = platform
        self._terms = terms
        self._progress = progress
        self._onboarding = onboarding
        self._actor = Actor(Role.SERVICE, "import", platform)
        self._outcome = Outcome()
        self._waiting = Waiting(
            services,
            platform,
            self._outcome,
            progress=progress,
            patience_s=terms.patience_s,
            sellers_wait=onboarding is None,
        )
        self._sellers: dict[str, str] = {}
        #: By order, payments that ended without money: the order is paid with another.
        self._tries: Counter[str] = Counter()
        self._delivered_counts = False

    async def run(self, orders: Sequence[FileOrder]) -> Outcome:
        """Pays the orders that were not paid yet, and waits until the workers have brought all money to the sellers."""
        country = await patiently(self._prepare)
        known, ended = await self._existing(orders)
        self._tries.update({name: len(rows) for name, rows in ended.items()})
        fresh = [order for order in orders if order.id not in known]
        sellers = FileSellers(
            self._services,
            self._actor,
            self._platform,
            self._outcome,
            country=country,
            progress=self._progress,
            onboarding=self._onboarding,
        )
        await sellers.make({item.seller for order in orders for item in order.items})
        self._sellers = sellers.ids
        self._progress.start("orders", len(orders))
        self._progress.step("orders", len(known))
        same = [known[order.id] for order in orders if order.id in known and self._is_same(order, known[order.id])]
        await each(same, self._deliver_if_due, self._terms.at_once)
        await each(fresh, self._pay, self._terms.at_once)
        await sellers.complete()
        await self._find_left(orders)
        await self._waiting.run()
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

    async def _existing(self, orders: Sequence[FileOrder]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
        """By order, the payment that stands, and those that ended without money."""
        standing: dict[str, Any] = {}
        ended: dict[str, list[Any]] = {}
        for names in chunks([order.id for order in orders]):
            for row in await patiently(lambda names=names: self._look_up(names)):
                if row.status in ENDED:
                    ended.setdefault(row.reference, []).append(row)
                else:
                    standing[row.reference] = row
        return standing, ended

    async def _look_up(self, names: list[str]) -> Sequence[Any]:
        async with self._services.db.read(self._platform) as scope:
            return await scope.rows(_EXISTING, {"platform": self._platform, "names": names})

    def _is_same(self, order: FileOrder, row: Any) -> bool:
        """Whether an order's payment is what the file says; one that is not is told, for its money has moved."""
        if (row.gross, row.currency) == (order.total, order.currency):
            self._outcome.existed += 1
            self._waiting.watch(row.id, order)
            return True
        is_paid = row.status == PaymentStatus.SUCCEEDED
        if is_paid:
            self._outcome.sold[row.currency] += row.gross
        paid = f"{order.id} {'was' if is_paid else 'is being'} paid with {_amount(row.gross, row.currency)}"
        self._outcome.refused.append((order, f"{paid}; the file says {_amount(order.total, order.currency)}"))
        return False

    async def _pay(self, order: FileOrder) -> None:
        tries = self._tries[order.id]
        key = f"import:{public_id('platform', self._platform)}:{order.id}{f':{tries + 1}' if tries else ''}"
        draft = PaymentDraft(
            Order(order.currency, tuple(self._lines(order))),
            payment_method_token=TEST_CARD,
            reference=order.id,
            ordered_at=order.ordered_at,
            off_session=False,
        )
        try:
            made = await patiently(
                lambda: checkout.create(self._services, self._actor, idempotency_key=key, draft=draft)
            )
        except (ProviderUnavailable, IdempotencyConflict) as refusal:
            if not refusal.retryable:
                self._outcome.refused.append((order, refusal.message))
            else:
                self._outcome.left_to_workers += 1
                await asyncio.sleep(FIRST_PAUSE_S)
        except Unavailable:
            raise
        except Refusal as refusal:
            self._outcome.refused.append((order, refusal.message))
        else:
            await self._paid(order, made.payment)
        self._progress.step("orders")

    async def _paid(self, order: FileOrder, row: Any) -> None:
        if row.status in ENDED:
            self._outcome.refused.append((order, why_not_paid(row)))
            return
        self._waiting.watch(row.id, order)
        self._outcome.created += 1
        await self._deliver_if_due(row)

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
                        product=item.product,
                    )

    async def _deliver_if_due(self, row: Any) -> None:
        """Orders of a file have reached their buyers: where delivery starts the hold, it has started."""
        if not self._delivered_counts or row.hold_from != "DELIVERY" or row.delivered_at is not None:
            return
        id = public_id("payment", row.id)
        await patiently(
            lambda: delivery.deliver(self._services, self._actor, idempotency_key=f"import:delivered:{id}", id=id)
        )

    async def _find_left(self, orders: Sequence[FileOrder]) -> None:
        """The payments that were left to the workers exist too, by their references."""
        if not self._outcome.left_to_workers:
            return
        done = self._waiting.orders | {order.id for order, _ in self._outcome.refused}
        left = [order for order in orders if order.id not in done]
        standing, ended = await self._existing(left)
        for order in left:
            if row := standing.get(order.id):
                self._waiting.watch(row.id, order)
            elif len(ended.get(order.id, ())) > self._tries[order.id]:
                self._outcome.refused.append((order, why_not_paid(ended[order.id][-1])))


def _amount(amount: int, currency: str) -> str:
    return f"{decimal_text(amount, currency)} {currency}"
