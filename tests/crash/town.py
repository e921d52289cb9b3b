"""A marketplace whose programs are real processes that die at named points and are started again."""

import asyncio
import multiprocessing
import shutil
import signal
import socket
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from tests.brokers.queues import Queue
from tests.crash import process
from tests.crash.process import ROLES, Order
from tests.market.endpoint import Endpoint
from tests.market.fingerprint import Fingerprint, fingerprint
from tests.market.line import Line
from tests.market.machine import BOOTSTRAP_KEY, Machine, machine_settings
from tests.market.market import Market
from tests.market.serving import address, free_socket, serving

from marketbill.events.schedule import Slot
from marketbill.platforms import keys
from marketbill.sandbox.app import create_app
from marketbill.services import Services
from marketbill_workers.schedule import sweep

_PATIENCE_SECONDS = 40.0
_POLL_SECONDS = 0.004
#: Longer than any lease: what a dead process held is free after it.
LEASES_OVER_SECONDS = 200
_TRIES_MAX = 12
_OWED = """
select exists (select from outbox_message)
    or exists (select from schedule where next_due_at
               <= now() + make_interval(secs => (select coalesce(sum(shift_seconds), 0) from test_clock)))
"""
_ERRORS = "errors { __typename ... on UserError { code message retryable } }"


@dataclass(frozen=True, slots=True)
class Base:
    """What a saga begins with: a database to copy, the sandbox's state to copy, and the operator's key."""

    database: str
    sandbox: Path
    operator_key: str
    secret_key: str
    provider_account: str


@dataclass(frozen=True, slots=True)
class Kill:
    """Who dies when: at the `turn`-th reaching of `point`."""

    point: str
    turn: int = 1


@dataclass(slots=True)
class Ward:
    """A running process and the end of the pipe that keeps it alive."""

    process: Any
    pipe: Any


@dataclass(slots=True)
class Town:
    """The town as a test drives it. `kills` are what still has to happen, one for each generation of processes."""

    market: Market
    api_socket: socket.socket
    database: asyncpg.Connection
    sandbox: sqlite3.Connection
    queue: Queue
    environment: dict[str, str]
    folder: Path
    kills: list[Kill] = field(default_factory=list)
    wards: dict[str, Ward] = field(default_factory=dict)
    deaths: int = 0
    _recovered_from: int = 0

    @property
    def machine(self) -> Machine:
        return self.market.machine

    def trace(self) -> list[str]:
        """Every point that was reached, in order."""
        return (self.folder / "trace").read_text().splitlines()

    def start(self, roles: Sequence[str] = ROLES) -> None:
        """Starts processes; those of one generation have one point to die at."""
        kill = self.kills[0] if self.kills else None
        if kill:
            (self.folder / "fuse").touch()
        for role in roles:
            ours, theirs = multiprocessing.Pipe()
            order = Order(
                role,
                self.environment,
                self.folder,
                self.queue.name,
                kill.point if kill else None,
                kill.turn if kill else 1,
            )
            context = multiprocessing.get_context("forkserver")
            started = context.Process(target=process.run, args=(order, self.api_socket, theirs), daemon=True)
            started.start()
            theirs.close()
            self.wards[role] = Ward(started, ours)

    def revive(self) -> None:
        """Starts again whoever was killed. A process that ended in any other way fails the test."""
        dead = [role for role, ward in self.wards.items() if ward.process.exitcode is not None]
        for role in dead:
            log = (self.folder / f"{role}.log").read_text()[-3000:]
            assert self.wards[role].process.exitcode == -signal.SIGKILL, f"{role}: {log}"
        if not dead:
            return
        self.deaths += len(dead)
        if self.kills:
            self.kills.pop(0)
        if self.kills:  # the next death may be anybody's, so all begin anew
            self.kill_all()
            dead = list(ROLES)
        self.start(dead)

    def kill_all(self) -> None:
        for ward in self.wards.values():
            ward.process.kill()
        for ward in self.wards.values():
            ward.process.join()
            ward.pipe.close()

    async def quiet(self) -> None:
        """Returns when nothing is on its way: no event to be delivered, no slot of the schedule due, no job owed,
        waiting or under way."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        still = 0
        while still < 3:
            self.revive()
            still = 0 if await self._moves() else still + 1
            assert asyncio.get_running_loop().time() < deadline, (self.trace()[-30:], self.logs())
            await asyncio.sleep(_POLL_SECONDS)

    async def _moves(self) -> bool:
        # In the order in which work goes on, so that what moves meanwhile is seen in its next place.
        if self.sandbox.execute("select exists (select * from deliveries where state = 'pending')").fetchone()[0]:
            return True
        if await self.database.fetchval(_OWED):
            return True
        return self.queue.busy(self.trace)

    async def advance(self, *, days: float = 0, seconds: int = 0) -> None:
        """Moves both clocks, and waits for all that follows."""
        seconds += round(days * 86_400)
        await self.quiet()
        moved = await self.machine.control("clock", {"advance_seconds": seconds})
        # The relay follows the provider's clock, unless it is dead just then.
        while await self._behind(moved["offset_seconds"]):
            self.revive()
            await asyncio.sleep(_POLL_SECONDS)
        async with self.machine.services.db.system() as scope:
            await sweep(scope, Slot(scope.now, 0))
        await self.quiet()

    async def _behind(self, offset: int) -> bool:
        return (await self.database.fetchval("select sum(shift_seconds) from test_clock") or 0) < offset

    async def rest(self) -> None:
        """All that follows by itself; when somebody died, all leases run out, and whoever takes over does his work."""
        await self.quiet()
        while self._recovered_from < self.deaths:
            self._recovered_from = self.deaths
            for _ in range(2):
                await self.advance(seconds=LEASES_OVER_SECONDS)

    async def do(self, name: str, fields: str, /, *, key: str, **input: Any) -> Any:
        """A mutation as a good client sends it: under one key, again until there is an answer."""
        type_ = name[0].upper() + name[1:]
        query = f"mutation($input: {type_}Input!) {{ {name}(input: $input) {{ {fields} {_ERRORS} }} }}"
        body = {"query": query, "variables": {"input": {"idempotencyKey": key, **input}}}
        headers = {"authorization": f"Bearer {self.market.operator_key}"}
        for _ in range(_TRIES_MAX):
            self.revive()
            try:
                asking = self.machine.http.post(f"{address(self.api_socket)}/graphql", json=body, headers=headers)
                answer = await self._alive(asking)
            except (aiohttp.ClientError, ConnectionError):
                continue
            assert "errors" not in answer, answer
            payload = answer["data"][name]
            if not payload["errors"]:
                return payload
            assert payload["errors"][0]["retryable"], payload
            await self.advance(seconds=LEASES_OVER_SECONDS)
        raise AssertionError(f"{name} got no answer: {self.logs()}")

    async def _alive(self, asking: Any) -> Any:
        """The answer of a request; processes that die meanwhile are started again, so that somebody gives one."""

        async def ask() -> Any:
            async with asking as response:
                return await response.json()

        task = asyncio.ensure_future(ask())
        while not task.done():
            self.revive()
            await asyncio.wait({task}, timeout=0.05)
        return await task

    async def fingerprint(self) -> Fingerprint:
        async with self.machine.services.db.read(self.market.platform) as scope:
            return await fingerprint(scope)

    def logs(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in self.folder.glob("*.log"))


@asynccontextmanager
async def town(
    base: Base,
    *,
    database_url: str,
    admin_url: str,
    api_socket: socket.socket,
    queue: Queue,
    folder: Path,
    kills: Sequence[Kill] = (),
) -> AsyncGenerator[Town]:
    """Opens a copy of a base: the sandbox here, the programs as processes; kills them all at the end."""
    sandbox_socket = free_socket()
    state = folder / "sandbox.db"
    if base.sandbox.exists():
        shutil.copy(base.sandbox, state)
    settings = machine_settings(database_url, address(sandbox_socket), address(api_socket))
    services = Services.create(settings)
    line = Line(create_app(state, base_url=address(sandbox_socket)))
    environment = {
        "DATABASE_URL": database_url,
        "BROKER_URL": queue.url,
        "MARKETBILL_SECRET_KEY": settings.marketbill_secret_key.get_secret_value(),
        "MARKETBILL_BOOTSTRAP_KEY": BOOTSTRAP_KEY,
        "SANDBOX_URL": address(sandbox_socket),
        "PUBLIC_URL": address(api_socket),
        "LOG_LEVEL": "WARNING",
    }
    (folder / "trace").touch()
    async with serving(line, sandbox_socket), aiohttp.ClientSession() as http:
        machine = Machine(services, line, Endpoint(), address(sandbox_socket), http)
        connection = await asyncpg.connect(admin_url.replace("+asyncpg", ""))
        opened = Town(
            await _market(machine, base),
            api_socket,
            connection,
            sqlite3.connect(state, isolation_level=None),
            queue,
            environment,
            folder,
            kills=list(kills),
        )
        try:
            opened.start()
            yield opened
        finally:
            opened.kill_all()
            opened.sandbox.close()
            await connection.close()
            await services.close()


async def _market(machine: Machine, base: Base) -> Market:
    if not base.operator_key:
        return await machine.platform(hold_days=9)
    operator = await keys.authenticate(machine.services, base.operator_key)
    assert operator.platform is not None
    return Market(machine, operator.platform, operator, base.operator_key, base.secret_key, base.provider_account)
