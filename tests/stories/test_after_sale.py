"""Any course of things after a sale: refunds, disputes, payouts and their failures, in any order, as time passes.

After every step the books balance, prove themselves and are those of the provider to the cent; at the end of every
course each check of `verify` holds, and each seller's statement closes by its own lines.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test
from tests.disputes import court
from tests.market.machine import Machine, running_machine
from tests.market.market import Market

from marketbill.disputes.model import Answer
from marketbill.errors import Refusal
from marketbill.ids import SellerId, public_id
from marketbill.payouts.model import PayoutStatus
from marketbill.reconciliation.check import Verdict
from marketbill.reconciliation.verify import verify
from marketbill.refunds import refund
from marketbill.refunds.draft import RefundDraft
from marketbill.refunds.model import RefundKind
from marketbill.rules.return_policy import Cause
from marketbill.statements.statement import statement

T = TypeVar("T")
SELLERS = ("A", "B")
#: A longer look: MARKETBILL_COURSES=200 pytest tests/stories/test_after_sale.py
COURSES = int(os.environ.get("MARKETBILL_COURSES", "5"))
STEPS = 15


class Town:
    """One machine for all courses, in an event loop of its own: hypothesis knows no coroutines."""

    def __init__(self, database_url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        self.machine: Machine = self.run(self._stack.enter_async_context(running_machine(database_url)))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=120)

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def town(database_url: str) -> Iterator[Town]:
    made = Town(database_url)
    yield made
    made.close()


class AfterSale(RuleBasedStateMachine):
    """`town` is given by the test."""

    town: Town
    sales: Bundle[UUID] = Bundle("sales")
    disputes: Bundle[Any] = Bundle("disputes")
    payouts: Bundle[UUID] = Bundle("payouts")

    def __init__(self) -> None:
        super().__init__()
        self.market: Market

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.town.run(work)

    @initialize(hold_days=st.sampled_from((0, 3)))
    def open(self, hold_days: int) -> None:
        self.market = self.run(self.town.machine.platform(hold_days=hold_days))
        for name in SELLERS:
            self.run(self.market.seller(name, onboard=None))
        self.run(self.market.onboard(*SELLERS))

    @rule(
        target=sales,
        lines=st.lists(st.tuples(st.sampled_from(SELLERS), st.integers(100, 20_000)), min_size=1, max_size=3),
        quick=st.booleans(),
    )
    def sell(self, lines: list[tuple[str, int]], quick: bool) -> UUID:
        card = "pm_card_bypassPending" if quick else "pm_card_visa"
        basket = (self.market.line(name, price) for name, price in lines)
        sold = self.run(self.market.sale(*basket, card=card))
        self.prove()
        return sold

    @rule(days=st.sampled_from((1, 3, 8)))
    def pass_time(self, days: int) -> None:
        self.run(self.market.machine.advance(days=days))
        self.prove()

    @rule(sale=sales, kind=st.sampled_from((RefundKind.FULL, RefundKind.AMOUNT)), amount=st.integers(1, 6_000))
    def refund(self, sale: UUID, kind: RefundKind, amount: int) -> None:
        draft = RefundDraft(
            payment_id=public_id("payment", sale),
            kind=kind,
            cause=Cause.SELLER_FAULT,
            reason="It broke.",
            amount=amount if kind is RefundKind.AMOUNT else None,
        )
        services, actor = self.market.machine.services, self.market.operator
        try:
            plan = self.run(refund.preview(services, actor, draft))
            key = self.market.machine.key()
            self.run(refund.create(services, actor, idempotency_key=key, token=plan.token, draft=draft))
        except Refusal:  # nothing is left of it, it is disputed, or not settled yet: then nothing has happened
            pass
        self.run(self.market.machine.quiet())
        self.prove()

    @rule(target=disputes, sale=sales)
    def dispute(self, sale: UUID) -> Any:
        paid = self.run(self.market.payment(sale))
        if self.run(court.disputes_of(self.market, sale)) or not self._is_disputable(paid.provider_charge):
            return multiple()
        return self.run(court.disputed(self.market, sale))

    @rule(row=disputes)
    def contest(self, row: Any) -> None:
        if self.run(court.now(self.market, row)).status != "NEEDS_RESPONSE":
            return
        self.run(court.contest(self.market, row))
        self.prove()

    @rule(row=disputes)
    def accept(self, row: Any) -> None:
        now = self.run(court.now(self.market, row))
        if now.status != "NEEDS_RESPONSE" or now.answer == Answer.CONTESTED:
            return
        self.run(court.accept(self.market, row))
        self.prove()

    @rule(row=disputes, outcome=st.sampled_from(("won", "lost")))
    def decide(self, row: Any, outcome: str) -> None:
        if self.run(court.now(self.market, row)).status != "UNDER_REVIEW":
            return
        self.run(court.decide(self.market, row, outcome))
        self.prove()

    @rule(target=payouts, seller=st.sampled_from(SELLERS), amount=st.none() | st.integers(1, 5_000))
    def pay_out(self, seller: str, amount: int | None) -> Any:
        try:
            row = self.run(self.market.payout(seller, amount))
        except Refusal:
            return multiple()
        self.run(self.market.machine.quiet())
        self.prove()
        return row.id

    @rule(payout=payouts)
    def fail_payout(self, payout: UUID) -> None:
        row = self.run(self.market.payout_row(payout))
        if row.status not in (PayoutStatus.IN_TRANSIT, PayoutStatus.PAID):
            return
        self.run(self.market.machine.control(f"payouts/{row.provider_payout}/fail", {}))
        self.run(self.market.machine.quiet())
        self.prove()

    def prove(self) -> None:
        self.run(self.market.prove())

    def teardown(self) -> None:
        if not hasattr(self, "market"):
            return
        self.run(self.market.machine.advance(days=15))
        checks = self.run(verify(self.market.machine.services, self.market.platform))
        assert [check for check in checks if check.verdict is Verdict.BROKEN] == []
        for name in SELLERS:
            assert self.run(self._statement_agrees(name))

    async def _statement_agrees(self, name: str) -> bool:
        async with self.market.machine.services.db.read(self.market.platform) as scope:
            drawn = await statement(
                scope,
                seller=SellerId(self.market.sellers[name]),
                currency="EUR",
                start=scope.now - timedelta(days=4000),
                end=scope.now + timedelta(days=1),
            )
        return drawn.agrees

    def _is_disputable(self, charge: str | None) -> bool:
        if charge is None:
            return False
        found = self.run(self.market.stripe(f"charges/{charge}"))
        return not found["refunded"] and not found["disputed"]


def test_any_course_of_things_after_a_sale(town: Town) -> None:
    AfterSale.town = town
    run_state_machine_as_test(
        AfterSale,
        settings=settings(
            max_examples=COURSES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
