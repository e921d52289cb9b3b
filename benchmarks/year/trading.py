"""Who trades: buyers who buy, return and dispute, sellers who are paid out. Everything follows from one seed."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from marketbill.errors import Refusal
from marketbill.ids import public_id
from marketbill.refunds import refund
from marketbill.refunds.draft import RefundDraft
from marketbill.refunds.model import RefundKind
from marketbill.rules.return_policy import Cause
from year.world import Market, gather

_LINES_MAX = 3
_PRICES = (500, 30_000)
#: Of a hundred sales: paid with a card whose holder disputes it at once.
_DISPUTED_PERCENT = 1
#: Of ten thousand of the last sales: returned in whole or part, each day.
_RETURNED_DAILY = 40
_RETURNED_WITHIN = 400
_DECIDED_AFTER = timedelta(days=3)
#: Of a thousand sellers: those that ask for a payout on a day.
_PAID_OUT_DAILY = 15
_OPEN_DISPUTES = text(
    "select provider_dispute from dispute where platform_id = :platform and status = 'NEEDS_RESPONSE'"
    " and opened_at < :before limit 50"
)
_CARDS = ("pm_card_bypassPending",) * 2 + ("pm_card_visa",)


@dataclass(slots=True)
class Trading:
    """`done` counts what happened, `refused` what was answered with a refusal, by its class."""

    market: Market
    names: list[str]
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    sold: list[UUID] = field(default_factory=list)

    async def set_up(self) -> None:
        """Before the first day."""

    async def day(self, sales: int) -> None:
        """One day's sales, and what comes back of earlier ones."""
        await gather([self._sell() for _ in range(sales)])
        returned = [sold for sold in self.sold[-_RETURNED_WITHIN:] if self.chance.randrange(10_000) < _RETURNED_DAILY]
        await gather([self._return(sold) for sold in returned])
        await self._banks_decide()
        await gather([self._pay_out(name) for name in self._who_is_paid_out()])

    async def _sell(self) -> None:
        lines = [
            self.market.line(self.chance.choice(self.names), self.chance.randint(*_PRICES))
            for _ in range(self.chance.randint(1, _LINES_MAX))
        ]
        disputed = self.chance.randrange(100) < _DISPUTED_PERCENT
        card = "pm_card_createDispute" if disputed else self.chance.choice(_CARDS)
        try:
            paid = await self.market.pay(self.market.draft(*lines, card=card))
        except Refusal as refusal:
            self.refused[f"sale: {type(refusal).__name__}"] += 1
            return
        self.done["sales"] += 1
        self.sold.append(paid.payment.id)

    async def _return(self, sold: UUID) -> None:
        """All of a sale, or an amount of it."""
        whole = self.chance.random() < 0.4
        draft = RefundDraft(
            payment_id=public_id("payment", sold),
            kind=RefundKind.FULL if whole else RefundKind.AMOUNT,
            cause=self.chance.choice((Cause.SELLER_FAULT, Cause.REMORSE, Cause.GOODWILL)),
            reason="The buyer sent it back.",
            amount=None if whole else self.chance.randint(100, 3_000),
        )
        services, actor = self.market.machine.services, self.market.operator
        key = self.market.machine.key()
        try:
            shown = await refund.preview(services, actor, draft)
            await refund.create(services, actor, idempotency_key=key, token=shown.token, draft=draft)
        except Refusal as refusal:
            self.refused[f"refund: {type(refusal).__name__}"] += 1
            return
        self.done["refunds"] += 1

    async def _banks_decide(self) -> None:
        """Disputes of a while ago, which nobody has answered."""
        async with self.market.machine.services.db.read(self.market.platform) as scope:
            values = {"platform": scope.platform, "before": scope.now - _DECIDED_AFTER}
            waiting = [row.provider_dispute for row in await scope.rows(_OPEN_DISPUTES, values)]
        for dispute in waiting:
            outcome = self.chance.choice(("won", "lost"))
            await self.market.machine.control(f"disputes/{dispute}/decide", {"outcome": outcome})
            self.done[f"disputes {outcome}"] += 1

    def _who_is_paid_out(self) -> list[str]:
        return [name for name in self.names if self.chance.randrange(1_000) < _PAID_OUT_DAILY]

    async def _pay_out(self, name: str) -> None:
        try:
            await self.market.payout(name)
        except Refusal as refusal:
            self.refused[f"payout: {type(refusal).__name__}"] += 1
            return
        self.done["payouts"] += 1
