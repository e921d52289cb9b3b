from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from tests.market.fixtures import WORKED_LINES, machine, market, worked_sellers
from tests.market.market import Market

__all__ = ["machine", "market"]

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
async def paid_out(market: Market) -> Market:
    """The worked sale, settled, released and transferred; B was paid out."""
    await worked_sellers(market)
    await market.sale(*(market.line(name, price) for name, price in WORKED_LINES))
    await market.machine.advance(days=8)
    await market.payout("B")
    await market.machine.quiet()
    await market.machine.advance(days=5)
    return market
