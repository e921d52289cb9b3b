"""A whole marketplace for a test: the API over HTTP on its own database, a sandbox provider, and workers on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
import urllib.request
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import uvicorn
from pydantic import SecretStr
from sqlalchemy import event

from marketbill.config import Settings
from marketbill.ids import PlatformId, parse_id
from marketbill.payments import release, settle
from marketbill.payouts import payout, reversal, transfer
from marketbill.refunds import outcome
from marketbill.sandbox.app import create_app as create_sandbox
from marketbill.services import Services
from marketbill.webhooks.handle import handle_events
from marketbill_graphql.app import create_app

BOOTSTRAP_KEY = "bootstrap-key-of-the-tests-0123456789"
SECRET_KEY = "a master key of the tests, 32 characters or more"
PATIENCE_SECONDS = 30.0

ERRORS = "errors { __typename ... on UserError { code message path retryable } }"


class Refused(AssertionError):
    """A mutation that a story expects to work answered with errors."""


@dataclass(frozen=True)
class Sandbox:
    """The running sandbox; `call` speaks to its control plane."""

    url: str

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_sandbox/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


@contextlib.contextmanager
def running_sandbox() -> Iterator[Sandbox]:
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        create_sandbox(None, base_url=url), log_level="warning", ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    yield Sandbox(url)
    server.should_exit = True
    thread.join(timeout=10)


@dataclass
class Caller:
    """One credential's view of the API."""

    http: httpx2.AsyncClient
    key: str

    async def post(self, query: str, **variables: Any) -> httpx2.Response:
        return await self.http.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"authorization": f"Bearer {self.key}"},
            timeout=30,
        )

    async def answer(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer, errors and all."""
        return (await self.post(query, **variables)).json()

    async def ask(self, query: str, **variables: Any) -> Any:
        """The data of a query that is expected to work."""
        answer = await self.answer(query, **variables)
        if "errors" in answer:
            raise Refused(json.dumps(answer["errors"], indent=1))
        return answer["data"]

    async def send(self, name: str, fields: str, /, **input: Any) -> dict[str, Any]:
        """The payload of a mutation, `errors` included; an idempotency key is made when none is given."""
        input.setdefault("idempotencyKey", f"{name}-{time.time_ns()}")
        type_ = name[0].upper() + name[1:]
        query = f"mutation($input: {type_}Input!) {{ {name}(input: $input) {{ {fields} {ERRORS} }} }}"
        return (await self.ask(query, input=input))[name]

    async def do(self, name: str, fields: str, /, **input: Any) -> dict[str, Any]:
        """The payload of a mutation that is expected to work."""
        payload = await self.send(name, fields, **input)
        if payload["errors"]:
            raise Refused(json.dumps(payload["errors"], indent=1))
        return payload


@dataclass
class Market:
    """One platform with its callers; `statements` collects the SQL of the app's connections while counting."""

    services: Services
    http: httpx2.AsyncClient
    sandbox: Sandbox
    operator: Caller
    platform_id: str
    statements: list[str] = field(default_factory=list)

    def caller(self, key: str) -> Caller:
        return Caller(self.http, key)

    @property
    def tenant(self) -> PlatformId:
        return PlatformId(parse_id("platform", self.platform_id))

    async def connect_provider(self) -> str:
        """Connects a fresh sandbox platform; gives its account."""
        made = self.sandbox.call("platforms", {"country": "NL", "default_currency": "eur"})
        payload = await self.operator.do("providerConnect", "provider { account }", secretKey=made["secret_key"])
        return payload["provider"]["account"]

    async def seller(self, name: str, /, **more: Any) -> str:
        """A new seller's id."""
        draft = {"name": name, "email": f"{name.lower()}@example.com", "country": "NL"} | more
        return (await self.operator.do("sellerCreate", "seller { id }", **draft))["seller"]["id"]

    async def onboarded(self, name: str, /, **more: Any) -> str:
        """A new seller whose account at the provider may receive and pay out."""
        id = await self.seller(name, **more)
        seller = await self.operator.ask("query($i: ID!) { seller(by: {id: $i}) { providerAccount } }", i=id)
        account = seller["seller"]["providerAccount"]
        await asyncio.to_thread(self.sandbox.call, f"accounts/{account}/onboard", {"outcome": "complete"})
        ready = "query($i: ID!) { seller(by: {id: $i}) { mayReceiveTransfers mayBePaidOut } }"
        await self.until(lambda: self._all_true(ready, id))
        return id

    async def _all_true(self, query: str, id: str) -> bool:
        return all((await self.operator.ask(query, i=id))["seller"].values())

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Lets the workers work until the condition holds; fails when it does not in time."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            await self.work()
            if await condition():
                return
            assert time.monotonic() < deadline, "the workers did not get there in time"
            await asyncio.sleep(0.02)

    async def work(self) -> None:
        """One round of every worker."""
        await handle_events(self.services, self.tenant)
        await settle.funds_available(self.services, self.tenant)
        await release.release_due(self.services, self.tenant)
        await transfer.execute_transfers(self.services, self.tenant)
        await payout.execute_payouts(self.services, self.tenant)
        await reversal.execute_reversals(self.services, self.tenant)
        await outcome.execute_refunds(self.services, self.tenant)

    @contextlib.contextmanager
    def counting(self) -> Iterator[list[str]]:
        """The SQL statements that run within the block, scopes' own included."""
        seen: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            seen.append(statement)

        engine = self.services.db.app.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(engine, "before_cursor_execute", note)


FEE_RULE = {
    "percent": "10",
    "fixed": [{"minor": "30", "currency": "EUR"}, {"minor": "0", "currency": "JPY"}],
    "fixedScope": "ORDER",
    "base": "GROSS",
    "feeTaxMode": "EXCLUSIVE",
}
FEE_DOCUMENT = {
    "name": "Commission",
    "rules": [
        {
            "name": "commission",
            "percent": "10",
            "fixed": {"EUR": "0.30", "JPY": "0"},
            "base": "GROSS",
            "tax_mode": "EXCLUSIVE",
        }
    ],
}
PLATFORM = {
    "name": "Blue Market",
    "country": "NL",
    "defaultCurrency": "EUR",
    "feeTaxRate": "21",
    "holdFrom": "DELIVERY",
    "holdDays": 0,
    "feeRule": FEE_RULE,
}


@contextlib.asynccontextmanager
async def running_api(database_url: str, sandbox: Sandbox) -> AsyncGenerator[tuple[Services, httpx2.AsyncClient]]:
    """The API served over HTTP, so that the sandbox's webhooks arrive as in life."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    services = Services.create(
        Settings(
            database_url=SecretStr(database_url),
            marketbill_secret_key=SecretStr(SECRET_KEY),
            marketbill_bootstrap_key=SecretStr(BOOTSTRAP_KEY),
            public_url=url,
            sandbox_url=sandbox.url,
        )
    )
    server = uvicorn.Server(
        uvicorn.Config(create_app(services), log_level="warning", ws="none", timeout_graceful_shutdown=1)
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    async with httpx2.AsyncClient(base_url=url) as http:
        yield services, http
    server.should_exit = True
    await serving


async def open_market(services: Services, http: httpx2.AsyncClient, sandbox: Sandbox, **more: Any) -> Market:
    """A platform made through the API with the bootstrap key."""
    bootstrap = Caller(http, BOOTSTRAP_KEY)
    made = await bootstrap.do("platformCreate", "platform { id } operatorKey", **(PLATFORM | more))
    operator = Caller(http, made["operatorKey"])
    return Market(services, http, sandbox, operator, made["platform"]["id"])
