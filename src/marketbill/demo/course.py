"""The course of things: what happens by itself is waited for, and time is moved along."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.text import Text

from marketbill.demo.api import Api
from marketbill.demo.clock import advance_clock
from marketbill.demo.patience import until
from marketbill.demo.sandbox import SandboxControl
from marketbill.services import Services


class DayWentWrong(Exception):
    """Something came out otherwise than it must; the text says what."""


class Course:
    """Reads through `reader`, an API with a key that may read everything. Its waits raise NeverHappened."""

    def __init__(self, services: Services, sandbox: SandboxControl, reader: Api, console: Console) -> None:
        self._services = services
        self._sandbox = sandbox
        self._reader = reader
        self._console = console

    async def advance_to(self, at: datetime) -> None:
        """Moves both clocks to a little after `at`."""
        now = (await self._sandbox.time()).now
        seconds = max(0, int(at.timestamp()) - now) + 60
        await advance_clock(self._services.db, self._sandbox, timedelta(seconds=seconds))

    async def payment(self, id: str, field: str, what: str) -> Any:
        """The field of a payment, once it is set."""

        async def ask() -> Any:
            return (await self._reader.ask("payment", by={"id": id}))[field]

        return await until(f"{id}: {what}", ask)

    async def payments(self, ids: Sequence[str], field: str, what: str) -> None:
        """Waits until the field of each of these payments is set."""
        await asyncio.gather(*(self.payment(id, field, what) for id in ids))

    async def transfers_sent(self, *payments: str) -> None:
        """Waits until every seller's part of these payments is at his account."""
        await asyncio.gather(*(self._transfers_sent(id) for id in payments))

    async def _transfers_sent(self, payment: str) -> None:
        async def ask() -> bool:
            transfers = (await self._reader.ask("payment", by={"id": payment}))["transfers"]
            return bool(transfers) and all(transfer["status"] == "SENT" for transfer in transfers)

        await until(f"{payment}: its transfers are sent", ask)

    async def payout(self, id: str, field: str, what: str) -> Any:
        """The field of a payout, once it is set. Raises DayWentWrong when the payout failed."""

        async def ask() -> Any:
            found = await self._reader.ask("payout", id=id)
            if found["status"] in ("FAILED", "REFUSED", "CANCELED"):
                raise DayWentWrong(f"payout {id} is {found['status']}: {found['reason']}")
            return found[field]

        return await until(f"{id}: {what}", ask)

    async def paid_out(self, payouts: list[str]) -> None:
        """Moves time to where the payouts have arrived at their banks."""
        arrivals = [await self.payout(id, "arrivalOn", "the provider took the payout") for id in payouts]
        await self.advance_to(max(map(moment, arrivals)))
        for id in payouts:
            await self.payout(id, "paidAt", "the payout is paid")

    @asynccontextmanager
    async def step(self, what: str) -> AsyncGenerator[None]:
        """Tells that something is under way, and what it took."""
        started = time.monotonic()
        with self._console.status(Text(what)):
            yield
        self._console.print(Text.assemble(("done ", "green"), what, (f"  {time.monotonic() - started:.1f} s", "dim")))


def moment(text: str) -> datetime:
    """An instant as the API writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
