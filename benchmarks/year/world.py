"""The world of the year: a database of its own, the sandbox, and all of marketbill's work in this process."""

import asyncio
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from marketbill import migrate
from marketbill.embedded.postgres import EmbeddedPostgres
from marketbill.embedded.provision import LOGIN_ROLE, provision

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.market.machine import Machine, running_machine
from tests.market.market import Market

__all__ = ["Machine", "Market", "gather", "open_shops", "set_faults", "world"]

T = TypeVar("T")
#: Requests of clients under way at once.
CALLERS = 8
_SHOPS_AT_ONCE = 50
_PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.01

#: Light, all the year: each request and each event may meet one of them.
FAULTS = {
    "error_before": 0.004,
    "error_after": 0.004,
    "cut_before": 0.004,
    "cut_after": 0.004,
    "rate_limit": 0.004,
    "webhook_drop": 0.01,
    "webhook_duplicate": 0.02,
    "webhook_reorder": 0.02,
    "webhook_delay": 0.02,
}


class YearMachine(Machine):
    """Faults keep some events back until the provider's clock has gone on: those are not waited for."""

    async def delivered(self) -> None:
        """Waits until the sandbox has delivered every event whose time has come."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while await self._undelivered():
            assert asyncio.get_running_loop().time() < deadline, "events are not delivered"
            await asyncio.sleep(_POLL_SECONDS)

    async def _undelivered(self) -> bool:
        now = (await self.control("clock"))["now"]
        waiting = (await self.control("deliveries?state=pending&limit=100"))["deliveries"]
        return any((one["next_at"] or 0) <= now for one in waiting)


@asynccontextmanager
async def world() -> AsyncIterator[Machine]:
    """An empty one; everything is gone at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="marketbill-year-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres", durable=False) as server,
    ):
        await provision(server_url=server.url(driver="postgresql"), database="year")
        await migrate.upgrade(server.url(database="year", driver="postgresql"))
        url = server.url(database="year", user=LOGIN_ROLE, driver="postgresql")
        async with running_machine(url) as machine:
            yield YearMachine(**{name: getattr(machine, name) for name in machine.__slots__})


async def open_shops(market: Market, names: Sequence[str], told: Callable[[int], None]) -> None:
    """Sellers that may sell, receive and be paid out."""
    for first in range(0, len(names), _SHOPS_AT_ONCE):
        some = names[first : first + _SHOPS_AT_ONCE]
        await gather([market.seller(name, onboard=None) for name in some])
        await market.onboard(*some)
        told(first + len(some))


async def set_faults(machine: Machine, chance: random.Random, *, on: bool) -> None:
    """What goes wrong on the line to the provider, from now on; nothing any more when `on` is False."""
    async with machine.http.delete(f"{machine.sandbox_url}/_sandbox/faults") as response:
        response.raise_for_status()
    if on:
        await machine.control("faults/seed", {"seed": chance.randrange(2**31)})
        for kind, rate in FAULTS.items():
            await machine.control("faults", {"kind": kind, "rate": rate})


async def gather(work: Sequence[Awaitable[T]]) -> list[T]:
    """All of it, a few at once, in order."""
    gate = asyncio.Semaphore(CALLERS)

    async def one(thing: Awaitable[T]) -> T:
        async with gate:
            return await thing

    return list(await asyncio.gather(*(one(thing) for thing in work)))
