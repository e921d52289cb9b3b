"""Reconciling a market with its provider: a clean run finds nothing, and every fault is found by its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select
from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.market import Market

from marketbill.reconciliation.model import drift, reconcile_cursor
from marketbill.reconciliation.reconcile import reconcile

Tamper = Callable[[str], Awaitable[None]]


@pytest.fixture
async def tamper(admin_url: str) -> Tamper:
    """Changes rows behind the back of the books, as their owner."""

    async def change(statement: str) -> None:
        connection = await asyncpg.connect(admin_url)
        try:
            async with connection.transaction():
                await connection.execute("set local session_replication_role = replica")
                done = await connection.execute(statement)
            assert not done.endswith(" 0"), done
        finally:
            await connection.close()

    return change


@pytest.fixture
async def sold(market: Market) -> Market:
    """The worked sale, settled, released and transferred; B was paid out."""
    await worked_sellers(market)
    await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    await market.machine.advance(days=8)
    await market.payout("B")
    await market.machine.quiet()
    await market.machine.advance(days=5)
    return market


async def found(market: Market) -> list[tuple[Any, ...]]:
    """A cycle, and the drifts that are open after it."""
    await reconcile(market.machine.services, market.platform)
    async with market.machine.services.db.read(market.platform) as scope:
        cursor = await scope.one(select(reconcile_cursor))
        assert (cursor.error, cursor.leased_until) == (None, None)
        rows = await scope.rows(select(drift).where(drift.c.closed_at.is_(None)).order_by(drift.c.thing, drift.c.kind))
    return [(row.kind, row.thing, row.about, row.expected, row.found) for row in rows]


async def test_a_clean_run_finds_nothing_and_comes_to_its_end(sold: Market) -> None:
    assert await found(sold) == []
    await sold.machine.advance(days=1)
    assert await found(sold) == []
    async with sold.machine.services.db.read(sold.platform) as scope:
        cursor = await scope.one(select(reconcile_cursor))
    assert cursor.ran_at is not None
    assert (cursor.ran_at - cursor.fresh_until).total_seconds() < 1_000


async def test_a_transfer_that_somebody_reversed_at_the_provider_is_missing_in_the_books(sold: Market) -> None:
    transfer = next(one for one in await sold.transfers() if one.seller_id == sold.sellers["A"])
    await sold.stripe(f"transfers/{transfer.provider_transfer}/reversals", form={"amount": 1758})
    await sold.machine.advance(seconds=1_000)
    assert await found(sold) == [("MISSING", "REVERSAL", "books", 1758, 0)]
