"""Reconciling a market with its provider: a clean run finds nothing, and every fault is found by its name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from tests.market.market import Market

from marketbill.reconciliation.model import drift, reconcile_cursor
from marketbill.reconciliation.reconcile import reconcile


async def found(market: Market) -> list[tuple[Any, ...]]:
    """A cycle, and the drifts that are open after it."""
    await reconcile(market.machine.services, market.platform)
    async with market.machine.services.db.read(market.platform) as scope:
        cursor = await scope.one(select(reconcile_cursor))
        assert (cursor.error, cursor.leased_until) == (None, None)
        rows = await scope.rows(select(drift).where(drift.c.closed_at.is_(None)).order_by(drift.c.thing, drift.c.kind))
    return [(row.kind, row.thing, row.about, row.expected, row.found) for row in rows]


async def test_a_clean_run_finds_nothing_and_comes_to_its_end(paid_out: Market) -> None:
    assert await found(paid_out) == []
    await paid_out.machine.advance(days=1)
    assert await found(paid_out) == []
    async with paid_out.machine.services.db.read(paid_out.platform) as scope:
        cursor = await scope.one(select(reconcile_cursor))
    assert cursor.ran_at is not None
    assert (cursor.ran_at - cursor.fresh_until).total_seconds() < 1_000


async def test_a_transfer_that_somebody_reversed_at_the_provider_is_missing_in_the_books(paid_out: Market) -> None:
    transfer = next(one for one in await paid_out.transfers() if one.seller_id == paid_out.sellers["A"])
    await paid_out.stripe(f"transfers/{transfer.provider_transfer}/reversals", form={"amount": 1758})
    await paid_out.machine.advance(seconds=1_000)
    assert await found(paid_out) == [("MISSING", "REVERSAL", "books", 1758, 0)]
