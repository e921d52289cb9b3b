"""Several worker processes begin the same work in the same moment: the provider is asked once for each thing."""

import asyncio
import multiprocessing
import os
import signal
from typing import Any

import pytest
from tests.crash.process import work_at_once
from tests.crash.stage import Stage
from tests.market.machine import Machine
from tests.market.market import Market

WORKERS = 4
THINGS = 6


@pytest.fixture
async def shop(machine: Machine) -> Market:
    """A seller with money, and no worker."""
    market = await machine.platform()
    await market.seller("A")
    return market


async def test_one_call_for_each_payout(stage: Stage, shop: Market) -> None:
    await shop.sale(shop.line("A", 90_000), card="pm_card_bypassPending")
    for _ in range(THINGS):
        await shop.payout("A", 1000)
    await all_at_once(shop, "execute_payouts")
    assert shop.machine.line.count("POST /v1/payouts") == THINGS
    await shop.machine.advance(days=7)
    await shop.prove()


async def test_one_call_for_each_transfer(stage: Stage, shop: Market) -> None:
    for number in range(THINGS):
        await shop.pay(shop.draft(shop.line("A", 5000 + number), card="pm_card_bypassPending"))
    await shop.machine.delivered()
    await all_at_once(shop, "handle_events")
    await all_at_once(shop, "execute_transfers")
    assert shop.machine.line.count("POST /v1/transfers") == THINGS
    assert [row.status for row in await shop.transfers()] == ["SENT"] * THINGS
    await shop.machine.quiet()
    await shop.prove()


async def all_at_once(shop: Market, job: str) -> None:
    """Runs a job in real processes that wait for each other before they begin."""
    context = multiprocessing.get_context("forkserver")
    ready = context.Barrier(WORKERS)
    settings = shop.machine.services.settings
    environment = {name: str(value) for name, value in revealed(settings).items()}
    processes = [
        context.Process(target=work_at_once, args=(job, shop.platform, environment, ready), daemon=True)
        for _ in range(WORKERS)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            await asyncio.to_thread(process.join, 60)
    finally:
        for process in processes:
            if process.exitcode is None and process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)
    assert [process.exitcode for process in processes] == [0] * WORKERS


def revealed(settings: Any) -> dict[str, Any]:
    return {
        "database_url": settings.database_url.get_secret_value(),
        "marketbill_secret_key": settings.marketbill_secret_key.get_secret_value(),
        "sandbox_url": settings.sandbox_url,
        "public_url": settings.public_url,
    }
