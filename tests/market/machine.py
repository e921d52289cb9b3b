"""A whole machine in a test's event loop: services, the sandbox provider, the webhook endpoint, the workers' work."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import orjson
from sqlalchemy import text
from tests.market.endpoint import Endpoint
from tests.market.line import Line
from tests.market.market import Market
from tests.market.serving import address, free_socket, serving

from marketbill.actor import Actor, Role
from marketbill.config import Settings
from marketbill.events import outbox
from marketbill.events.outbox import Job
from marketbill.events.schedule import Slot
from marketbill.ids import PlatformId
from marketbill.platforms import keys
from marketbill.platforms import platform as platforms
from marketbill.platforms.fee_rule import FeeRuleDraft
from marketbill.platforms.platform import PlatformDraft
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope
from marketbill.rules.fees.schedule import FeeBase
from marketbill.sandbox.app import create_app
from marketbill.services import Services
from marketbill_workers.jobs import PLATFORM_JOBS
from marketbill_workers.schedule import sweep

BOOTSTRAP_KEY = "bootstrap-key-of-the-tests-0123"
BOOTSTRAP = Actor(Role.BOOTSTRAP, "bootstrap")
#: How long a test waits for something that happens on its own.
PATIENCE_SECONDS = 20.0
ROUNDS_MAX = 200

#: 10 % of gross, 0.30 an order, tax on top: the rule of the worked sale.
FEE_RULE = FeeRuleDraft(
    percent=Decimal(10),
    fixed={"EUR": 30, "USD": 30, "JPY": 30, "ISK": 40, "KWD": 100},
    fixed_scope=FixedScope.ORDER,
    base=FeeBase.GROSS,
    fee_tax_mode=FeeTaxMode.EXCLUSIVE,
)
NO_FEE = FeeRuleDraft(Decimal(0), {}, FixedScope.ORDER, FeeBase.GROSS, FeeTaxMode.EXCLUSIVE)


@dataclass(slots=True)
class Machine:
    """What all platforms share. `jobs` are the names of the jobs that ran, in their order."""

    services: Services
    line: Line
    endpoint: Endpoint
    sandbox_url: str
    http: aiohttp.ClientSession
    jobs: list[str] = field(default_factory=list)
    counter: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def platform(
        self,
        *,
        name: str = "Market",
        country: str = "NL",
        currency: str = "EUR",
        hold_from: str = "CAPTURE",
        hold_days: int = 0,
        fee_rule: FeeRuleDraft = FEE_RULE,
        connected: bool = True,
    ) -> Market:
        """A platform with its operator; `connected` to an account of its own at the sandbox."""
        draft = PlatformDraft(name, country, currency, Decimal(21), hold_from, hold_days, fee_rule)
        made = await platforms.create(self.services, BOOTSTRAP, idempotency_key=self.key(), draft=draft)
        operator = await keys.authenticate(self.services, made.operator_key)
        market = Market(self, PlatformId(made.platform.platform_id), operator, made.operator_key)
        if connected:
            await market.connect(country=country, currency=currency)
        return market

    def key(self) -> str:
        """A fresh idempotency key."""
        return f"key-{next(self.counter)}"

    async def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The sandbox's control plane; a POST when there is a body."""
        method = "GET" if body is None else "POST"
        async with self.http.request(method, f"{self.sandbox_url}/_sandbox/{path}", json=body) as response:
            answer = orjson.loads(await response.read())
            assert response.status == 200, answer
            return answer

    async def delivered(self) -> None:
        """Waits until the sandbox has delivered every event."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while (state := await self.control("state"))["deliveries"]["pending"]:
            assert asyncio.get_running_loop().time() < deadline, state
            await asyncio.sleep(0.002)

    async def work(self) -> int:
        """Runs the jobs that are in the outbox now, as relay and workers would; gives their number."""
        taken: list[Job] = []
        async with self.services.db.system() as scope:
            await outbox.relay(scope, taken.extend)
        for job in taken:
            self.jobs.append(job.actor)
            [platform] = job.arguments
            await PLATFORM_JOBS[job.actor](self.services, PlatformId(UUID(platform)))
        return len(taken)

    async def quiet(self) -> None:
        """Delivers and works until nothing is left that anybody owes."""
        for _ in range(ROUNDS_MAX):
            await self.delivered()
            if not await self.work():
                return
        raise AssertionError(f"the machine does not come to rest: {self.jobs[-20:]}")

    async def sweep(self) -> None:
        """What the schedule does once a minute, and all that follows from it."""
        async with self.services.db.system() as scope:
            await sweep(scope, Slot(scope.now, 0))
        await self.quiet()

    async def advance(self, *, days: float = 0, seconds: int = 0) -> None:
        """Moves both clocks, ours and the provider's, and lets happen what falls due."""
        seconds += round(days * 86_400)
        await self.quiet()
        await self.control("clock", {"advance_seconds": seconds})
        await self.shift(seconds)
        await self.quiet()
        await self.sweep()

    async def shift(self, seconds: int) -> None:
        """Moves our own clock only."""
        async with self.services.db.system() as scope:
            await scope.connection.execute(
                text(
                    "insert into test_clock values (1, :seconds) on conflict (id)"
                    " do update set shift_seconds = test_clock.shift_seconds + excluded.shift_seconds"
                ),
                {"seconds": seconds},
            )


@asynccontextmanager
async def running_machine(
    database_url: str, *, sandbox_state: Path | None = None, **settings: Any
) -> AsyncIterator[Machine]:
    """Starts it over a database, with the sandbox's state in memory or a file; ends everything it started."""
    sandbox_socket, api_socket = free_socket(), free_socket()
    endpoint = Endpoint()
    line = Line(create_app(sandbox_state, base_url=address(sandbox_socket)))
    services = Services.create(machine_settings(database_url, address(sandbox_socket), address(api_socket), **settings))
    endpoint.services = services
    async with (
        serving(endpoint.app(), api_socket),
        serving(line, sandbox_socket),
        aiohttp.ClientSession() as http,
    ):
        try:
            yield Machine(services, line, endpoint, address(sandbox_socket), http)
        finally:
            line.mend()
            await services.close()


def machine_settings(database_url: str, sandbox_url: str, public_url: str, **more: Any) -> Settings:
    return Settings.model_validate(
        {
            "database_url": database_url,
            "marketbill_secret_key": "a master key of the tests, 32 long",
            "marketbill_bootstrap_key": BOOTSTRAP_KEY,
            "sandbox_url": sandbox_url,
            "public_url": public_url,
        }
        | more
    )
