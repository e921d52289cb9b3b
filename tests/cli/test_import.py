"""A file of orders becomes payments, once: interrupted, repeated, refused, and in the end transferred."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.market.machine import PATIENCE_SECONDS, Machine
from tests.market.market import Market

from marketbill.cli.failure import CommandRefused
from marketbill.cli.orders.file import Columns, OrderFile, read_orders
from marketbill.cli.orders.outcome import Outcome
from marketbill.cli.orders.run import OrderRun, Terms
from marketbill.db import ReadScope
from marketbill.demo.sandbox import SandboxControl
from marketbill.errors import Unavailable
from marketbill.ids import PlatformId
from marketbill.payments.model import payment, payment_line
from marketbill.reconciliation.check import Verdict
from marketbill.reconciliation.verify import verify
from marketbill.services import Services

COLUMNS = Columns("order_id", "order_item_id", "product_id", "seller_id", "price", "freight", "currency")
HEADER = "order_id,order_item_id,product_id,seller_id,price,freight,currency\n"
TERMS = Terms(tax_rate=Decimal(0), seller_country=None, at_once=4, patience_s=20.0)


@dataclass(slots=True)
class Steps:
    """Progress that is only counted."""

    totals: dict[str, int] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def start(self, bar: str, total: int) -> None:
        self.totals[bar] = total

    def step(self, bar: str, by: int = 1) -> None:
        self.done[bar] += by


def orders(folder: Path, *rows: str) -> OrderFile:
    file = folder / "orders.csv"
    file.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return read_orders(file, COLUMNS)


async def imported(market: Market, read: OrderFile, terms: Terms = TERMS, steps: Steps | None = None) -> Outcome:
    """Runs the import while the workers work."""

    over = asyncio.Event()

    async def work() -> None:
        while not over.is_set():
            await market.machine.quiet()
            await asyncio.sleep(0.01)

    async with SandboxControl(market.machine.sandbox_url) as sandbox, asyncio.TaskGroup() as group:
        workers = group.create_task(work())
        run = OrderRun(market.machine.services, market.platform, terms, progress=steps or Steps(), onboarding=sandbox)
        try:
            return await run.run(read.orders)
        finally:
            # A worker that is killed in the middle is another story: what it held waits for the next sweep.
            over.set()
            await workers


async def prove(market: Market) -> None:
    """The books hold, against themselves and against the provider.

    The provider tells of available funds up to a second later, and an event that came this moment is a warning: it is
    waited for. What is broken is not.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    async with SandboxControl(market.machine.sandbox_url) as sandbox:
        while True:
            await market.machine.quiet()
            checks = await verify(market.machine.services, market.platform, reader=sandbox.holdings)
            wrong = [check for check in checks if check.verdict is not Verdict.HOLDS]
            if not wrong:
                return
            assert all(check.verdict is Verdict.WARNING for check in wrong), wrong
            assert time.monotonic() < deadline, wrong


ACCOUNT_CREATE = "POST /v2/core/accounts"
ROWS = (
    "o1,1,lamp,anna,58.90,13.29,EUR",
    "o1,2,rug,ben,10.00,0,EUR",
    "o2,1,vase,anna,20.00,5.00,EUR",
    "o3,1,bowl,carla,1005,0,JPY",
)


async def test_every_order_is_paid_split_and_transferred_and_a_second_run_changes_nothing(
    market: Market, tmp_path: Path
) -> None:
    read = orders(tmp_path, *ROWS)
    steps = Steps()
    outcome = await imported(market, read, steps=steps)
    assert (outcome.created, outcome.existed, outcome.transferred, outcome.sellers_created) == (3, 0, 3, 3)
    assert not outcome.refused
    assert not outcome.stuck
    assert steps.totals == {"sellers": 3, "orders": 3, "transferred": 3} == dict(steps.done)
    # o1: fees of 5.89 + 1.33 + 1.00 and 0.21 + 0.05 + 0.04 of the fixed 0.30, taxed at 21 %; anna gets 72.19 less 9.05,
    # ben 10.00 less 1.26. o2: 2.00 + 0.50 + 0.30 of fee and 0.59 of tax on it.
    assert [one.amount for one in await market.transfers() if one.currency == "EUR"] == [6314, 2161, 874]
    await prove(market)
    charges = len(await market.charges())
    journal = await market.journal()

    again = await imported(market, read)
    assert (again.created, again.existed, again.transferred, again.sellers_created) == (0, 3, 3, 0)
    assert len(await market.charges()) == charges == 3
    assert await market.journal() == journal


async def test_item_and_freight_are_two_lines_with_the_files_own_ids(market: Market, tmp_path: Path) -> None:
    await imported(market, orders(tmp_path, ROWS[0]))
    async with market.machine.services.db.read(market.platform) as scope:
        [row] = await scope.rows(select(payment).where(payment.c.platform_id == market.platform))
        lines = await scope.rows(
            select(payment_line).where(payment_line.c.platform_id == market.platform).order_by(payment_line.c.ordinal)
        )
    assert (row.reference, row.gross, row.currency) == ("o1", 7219, "EUR")
    assert [(line.category, line.gross, line.tax) for line in lines] == [("goods", 5890, 0), ("shipping", 1329, 0)]
    assert lines[0].external_refs == {"order": "o1", "item": "1", "product": "lamp"}


async def test_a_run_that_was_interrupted_goes_on_where_it_was(market: Market, tmp_path: Path) -> None:
    read = orders(tmp_path, *(f"o{number},1,p,s{number % 3},{number + 1}.00,0,EUR" for number in range(12)))

    class Interrupted(Exception):
        pass

    class Tripwire(Steps):
        def step(self, bar: str, by: int = 1) -> None:
            Steps.step(self, bar, by)
            if bar == "orders" and self.done[bar] == 5:
                raise Interrupted

    with pytest.raises(ExceptionGroup) as stopped:
        await imported(market, read, steps=Tripwire())
    assert stopped.group_contains(Interrupted)
    outcome = await imported(market, read)
    assert outcome.created + outcome.existed == 12
    assert outcome.existed >= 5
    assert outcome.transferred == 12
    assert len(await market.charges()) == 12
    await prove(market)


@pytest.mark.parametrize(("away_s", "paid_anew"), [(120, 0), (7 * 3600, 1)])
async def test_while_the_provider_is_away_orders_are_left_to_the_workers(
    market: Market, tmp_path: Path, away_s: int, paid_anew: int
) -> None:
    await imported(market, orders(tmp_path, "o0,1,p,s,5.00,0,EUR"))
    read = orders(tmp_path, "o0,1,p,s,5.00,0,EUR", "o1,1,p,s,12.00,0,EUR")
    market.machine.line.refuse("POST /v1/payment_intents", status=500)
    outcome = await imported(market, read, replace(TERMS, patience_s=0.3))
    assert (outcome.left_to_workers, outcome.transferred) == (1, 1)
    assert outcome.stuck == {"not settled (created)": 1}
    market.machine.line.mend()
    await market.machine.advance(seconds=away_s)

    again = await imported(market, read)
    assert (again.created, again.existed, again.transferred) == (paid_anew, 2 - paid_anew, 2)
    assert len(await market.charges()) == 2
    await prove(market)


async def test_an_order_that_is_refused_is_told_with_its_reason_and_the_rest_goes_on(
    market: Market, tmp_path: Path
) -> None:
    read = orders(tmp_path, "small,1,p,s,0.10,0,EUR", "good,1,p,s,9.00,0,EUR")
    outcome = await imported(market, read)
    [(order, reason)] = outcome.refused
    assert order.id == "small"
    assert "at least" in reason
    assert outcome.transferred == 1
    await prove(market)


async def test_an_order_that_was_refused_is_paid_once_it_is_corrected(market: Market, tmp_path: Path) -> None:
    for amount in ("0.10", "0.20"):
        outcome = await imported(market, orders(tmp_path, f"o1,1,p,s,{amount},0,EUR"))
        [(_, reason)] = outcome.refused
        assert reason.startswith("the payment was failed: ")
        assert "at least" in reason
        assert (outcome.created, outcome.sold) == (0, {})
    outcome = await imported(market, orders(tmp_path, "o1,1,p,s,10.00,0,EUR"))
    assert (outcome.created, outcome.transferred, outcome.refused) == (1, 1, [])
    assert outcome.sold == {"EUR": 1000}
    assert len(await market.charges()) == 1
    await prove(market)


async def test_a_row_that_was_changed_after_it_was_paid_is_told(market: Market, tmp_path: Path) -> None:
    await imported(market, orders(tmp_path, "o1,1,p,s,16.50,0,EUR", "o2,1,p,s,1.50,0,EUR", "o3,1,p,s,7.00,0,EUR"))
    changed = orders(tmp_path, "o1,1,p,s,78.00,0,EUR", "o2,1,p,s,150,0,JPY", "o3,1,p,s,7.00,0,EUR")
    outcome = await imported(market, changed)
    assert [reason for _, reason in outcome.refused] == [
        "o1 was paid with 16.50 EUR; the file says 78.00 EUR",
        "o2 was paid with 1.50 EUR; the file says 150 JPY",
    ]
    assert (outcome.created, outcome.existed, outcome.transferred) == (0, 1, 1)
    assert outcome.sold == {"EUR": 1650 + 150 + 700}
    assert len(await market.charges()) == 3
    await prove(market)


async def test_a_seller_whose_account_was_never_made_gets_it_with_the_next_run(market: Market, tmp_path: Path) -> None:
    read = orders(tmp_path, "o1,1,p,anna,9.00,0,EUR")
    market.machine.line.refuse(ACCOUNT_CREATE, status=500)
    outcome = await imported(market, read, replace(TERMS, patience_s=2.0))
    assert outcome.stuck == {"held: seller anna cannot receive transfers yet": 1}
    assert not outcome.workers_idle
    market.machine.line.mend()

    again = await imported(market, read)
    assert (again.existed, again.transferred, again.stuck) == (1, 1, {})
    await prove(market)


async def test_a_seller_whom_nobody_onboards_is_not_waited_for(market: Market, tmp_path: Path) -> None:
    read = orders(tmp_path, "o1,1,p,anna,9.00,0,EUR")
    over = asyncio.Event()

    async def work() -> None:
        while not over.is_set():
            await market.machine.quiet()
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        try:
            run = OrderRun(market.machine.services, market.platform, TERMS, progress=Steps(), onboarding=None)
            outcome = await run.run(read.orders)
        finally:
            over.set()
    assert outcome.waiting == {"held: seller anna cannot receive transfers yet": 1}
    assert not outcome.stuck

    again = await imported(market, read)  # with the sandbox's control plane, which completes him
    assert again.transferred == 1
    await prove(market)


async def test_a_database_that_goes_away_for_moments_does_not_end_a_run(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = orders(tmp_path, "o1,1,p,s,9.00,0,EUR")
    await imported(market, read)
    services = Services.create(market.machine.services.settings)
    opened, calls = services.db.read, itertools.count()

    @asynccontextmanager
    async def flickering(platform: PlatformId) -> AsyncIterator[ReadScope]:
        if next(calls) % 2 == 0:
            raise Unavailable("The database cannot be reached just now.")
        async with opened(platform) as scope:
            yield scope

    monkeypatch.setattr(services.db, "read", flickering)
    try:
        run = OrderRun(services, market.platform, TERMS, progress=Steps(), onboarding=None)
        outcome = await run.run(read.orders)
    finally:
        await services.close()
    assert (outcome.existed, outcome.transferred) == (1, 1)
    assert next(calls) >= 8  # platform, payments, sellers, and the look at what was transferred: each asked twice


async def test_where_delivery_starts_the_hold_imported_orders_count_as_delivered(
    machine: Machine, tmp_path: Path
) -> None:
    market = await machine.platform(hold_from="DELIVERY")
    outcome = await imported(market, orders(tmp_path, "o1,1,p,s,9.00,0,EUR"))
    assert outcome.transferred == 1
    await prove(market)


async def test_a_hold_that_is_not_over_is_said_and_not_waited_for(machine: Machine, tmp_path: Path) -> None:
    market = await machine.platform(hold_days=7)
    outcome = await imported(market, orders(tmp_path, "o1,1,p,s,9.00,0,EUR"))
    assert outcome.waiting == {"on hold": 1}
    assert set(outcome.waiting_until) == {"on hold"}
    assert not outcome.stuck


async def test_without_workers_it_says_what_is_stuck(market: Market, tmp_path: Path) -> None:
    terms = Terms(Decimal(0), None, 4, patience_s=0.2)
    async with SandboxControl(market.machine.sandbox_url) as sandbox:
        run = OrderRun(market.machine.services, market.platform, terms, progress=Steps(), onboarding=sandbox)
        outcome = await run.run(orders(tmp_path, "o1,1,p,s,9.00,0,EUR").orders)
    assert sum(outcome.stuck.values()) == 1
    assert outcome.transferred == 0


async def test_a_platform_without_a_provider(machine: Machine, tmp_path: Path) -> None:
    market = await machine.platform(connected=False)
    run = OrderRun(machine.services, market.platform, TERMS, progress=Steps(), onboarding=None)
    with pytest.raises(CommandRefused, match="providerConnect"):
        await run.run(orders(tmp_path, "o1,1,p,s,9.00,0,EUR").orders)
