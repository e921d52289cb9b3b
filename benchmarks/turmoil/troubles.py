"""What goes wrong: faults of the provider at changing rates, processes killed, both clocks moved. All from one seed."""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import aiohttp

from marketbill.db import Database
from marketbill.demo.clock import advance_clock
from marketbill.demo.sandbox import SandboxControl, SandboxUnreachable
from marketbill.embedded.stack import Stack
from marketbill.errors import Unavailable
from turmoil.traders import Traders

#: The chance of each fault of a request or of an event, when it is light; a heavy spell has several times that.
REQUEST_FAULTS: dict[str, dict[str, Any]] = {
    "error_before": {"rate": 0.02},
    "error_after": {"rate": 0.02},
    "error_late": {"rate": 0.02},
    "cut_before": {"rate": 0.02},
    "cut_after": {"rate": 0.02},
    "slow": {"rate": 0.02, "seconds": 0.5},
    "malformed": {"rate": 0.01},
    "missing_fields": {"rate": 0.01},
    "in_flight": {"rate": 0.01},
    "rate_limit": {"rate": 0.02},
    "lock_timeout": {"rate": 0.01},
}
EVENT_FAULTS: dict[str, dict[str, Any]] = {
    "webhook_drop": {"rate": 0.05},
    "webhook_duplicate": {"rate": 0.08},
    "webhook_duplicate_new_id": {"rate": 0.05},
    "webhook_delay": {"rate": 0.08, "seconds": 4},
    "webhook_reorder": {"rate": 0.08},
    "webhook_old_secret": {"rate": 0.04},
}
FAULTS = REQUEST_FAULTS | EVENT_FAULTS
#: After how many seconds of the provider's clock a late execution comes: well within what we wait for one
#: (`provider.intent.ANSWER_STANDS`).
_LATE_SECONDS = (60, 4_000)
T = TypeVar("T")
KILLED = ("worker", "api", "relay", "sandbox", "postgres", "valkey")
#: The supervisor gives a process up that dies five times in a minute: nobody dies more often than this.
_BETWEEN_DEATHS_SECONDS = 13.0
_SPELL_SECONDS = (3.0, 7.0)
_STEP_SECONDS = (60, 1_800)
_LEAP = timedelta(days=2)
#: After so long an outage nobody repeats a request any more that was sent before it.
_REPETITIONS_OVER_SECONDS = 6.0
#: A key is remembered for 48 hours: time leaps only when no client waits for an answer.
_LEAP_PATIENCE_SECONDS = 12.0
#: What a client waits before it asks again, doubling: for a lease first, then for what may be completed late.
OPEN_LEASES = timedelta(seconds=100)
LONGEST_WAIT = timedelta(minutes=20)


@dataclass(slots=True)
class Troubles:
    """Makes trouble for `seconds`. `done` counts what was done, by what it was."""

    stack: Stack
    sandbox: SandboxControl
    db: Database
    traders: Traders
    seed: int
    seconds: float
    done: Counter[str] = field(default_factory=Counter)
    _faults_turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _random: random.Random = field(default_factory=random.Random)

    async def make(self) -> None:
        self._random.seed(self.seed)
        await self.control("POST", "faults/seed", {"seed": self.seed})
        async with asyncio.timeout(self.seconds * 4 + 120), asyncio.TaskGroup() as group:
            group.create_task(self._change_faults())
            group.create_task(self._kill())
            group.create_task(self._move_clocks())

    async def end(self) -> dict[str, int]:
        """Takes every fault away; gives how often each struck."""
        await self.control("DELETE", "faults", None)
        return await self.survived()

    async def survived(self) -> dict[str, int]:
        """How often each kind of fault has struck so far."""
        return (await self.control("GET", "faults", None))["survived"]

    async def control(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """Asks the sandbox's control plane until it answers: it may have been killed."""

        async def ask() -> Any:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
                http.request(method, f"{self.stack.sandbox_url}/_sandbox/{path}", json=body) as response,
            ):
                response.raise_for_status()
                return await response.json()

        return await insist(ask)

    async def _change_faults(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.seconds
        while loop.time() < until:
            async with self._faults_turn:
                await self.control("DELETE", "faults", None)
                heavy = self._random.choice((1, 1, 2, 4))
                struck = await self.survived()
                for kind in FAULTS:
                    # What had no luck in the first spell strikes the next that it can.
                    sure = bool(self.done["spell of faults"]) and kind not in struck
                    await self.control("POST", "faults", self._fault(kind, heavy, sure=sure))
            self.done["spell of faults"] += 1
            await asyncio.sleep(min(self._random.uniform(*_SPELL_SECONDS), self.seconds / 4))

    def _fault(self, kind: str, heavy: int, *, sure: bool) -> dict[str, Any]:
        fault = {"kind": kind, **FAULTS[kind]}
        rate = fault.pop("rate") * heavy
        fault |= {"next": 1} if sure else {"rate": rate}
        if kind == "error_late":
            fault["seconds"] = self._random.randint(*_LATE_SECONDS)
        return fault

    async def _kill(self) -> None:
        """Everybody in turn, in a new order each round."""
        loop = asyncio.get_running_loop()
        rounds = max(1, int(self.seconds // _BETWEEN_DEATHS_SECONDS))
        pause = self.seconds / rounds / len(KILLED)
        died: dict[str, float] = {}
        for _ in range(rounds):
            for name in self._random.sample(KILLED, len(KILLED)):
                await asyncio.sleep(pause * self._random.uniform(0.6, 1.3))
                self.stack.check()
                if loop.time() - died.get(name, -_BETWEEN_DEATHS_SECONDS) >= _BETWEEN_DEATHS_SECONDS and self.kill(
                    name
                ):
                    died[name] = loop.time()
                    self.done[f"kill {name}"] += 1

    def kill(self, name: str) -> bool:
        pid = self.stack.running.processes[name]
        with contextlib.suppress(ProcessLookupError):
            # The database's own children notice by themselves that their parent is gone.
            (os.kill if name == "postgres" else os.killpg)(pid, signal.SIGKILL)
            return True
        return False

    async def _move_clocks(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.seconds
        leap_every = max(10.0, self.seconds / 4)
        leap_at = loop.time() + leap_every
        while loop.time() < until:
            await asyncio.sleep(min(3.0, self.seconds / 4))
            if loop.time() < leap_at:
                await self.advance(timedelta(seconds=self._random.randint(*_STEP_SECONDS)))
                self.done["clock step"] += 1
                continue
            leap_at = loop.time() + leap_every
            if await self._nobody_waits():
                await self._leap()
            self.traders.gate.set()

    async def _leap(self) -> None:
        """Two days pass in which the provider cannot be reached.

        A leap in the midst of a request would be what no time does: its repetition, some seconds later, would come two
        days later, and under a key that the provider has forgotten.
        """
        async with self._faults_turn:
            await self.control("DELETE", "faults", None)
            await self.control("POST", "faults", {"kind": "error_before", "rate": 1.0})
            await asyncio.sleep(_REPETITIONS_OVER_SECONDS)
            await self.advance(_LEAP)
            await self.control("DELETE", "faults", None)
        self.done["clock leap"] += 1

    async def _nobody_waits(self) -> bool:
        """Holds new wishes back, and the faults, until every one has its answer; False when that takes too long."""
        self.traders.gate.clear()
        async with self._faults_turn:
            await self.control("DELETE", "faults", None)
            return await self._all_answered()

    async def _all_answered(self) -> bool:
        loop = asyncio.get_running_loop()
        until = loop.time() + _LEAP_PATIENCE_SECONDS
        wait = OPEN_LEASES
        while self.traders.under_way or self.traders.open:
            if loop.time() > until:
                return False
            if not self.traders.under_way:
                await self.advance(wait)
                wait = min(wait * 2, LONGEST_WAIT)
                await self.traders.ask_again()
            await asyncio.sleep(0.1)
        return True

    async def advance(self, by: timedelta) -> None:
        """Moves the provider's clock and ours, once: a move whose second half failed is completed, not repeated."""
        await move_clocks(self.db, self.sandbox, by)


async def move_clocks(db: Database, sandbox: SandboxControl, by: timedelta) -> None:
    async def target() -> int:
        return (await sandbox.time()).now + int(by.total_seconds())

    wanted = await insist(target)

    async def move() -> None:
        left = max(0, wanted - (await sandbox.time()).now)
        await advance_clock(db, sandbox, timedelta(seconds=left))

    await insist(move)


async def insist(ask: Callable[[], Awaitable[T]], *, seconds: float = 60.0) -> T:
    """The answer of something that may be away for a moment."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        try:
            return await ask()
        except (aiohttp.ClientError, TimeoutError, OSError, SandboxUnreachable, Unavailable):
            if loop.time() > until:
                raise
            await asyncio.sleep(0.2)
