"""A small schema of its own for the tests of the transport: ducks and ponds, every kind of field, no database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Annotated, Any

import httpx2
import pytest
import strawberry

from marketbill import errors
from marketbill.actor import Actor, Role
from marketbill.ids import PlatformId, new_id
from marketbill_graphql import declare
from marketbill_graphql.access import ANYONE, OPERATOR, TENANT
from marketbill_graphql.app import create_app
from marketbill_graphql.errors import AnyMutationError, InsufficientFunds, RefusalsAsData
from marketbill_graphql.money import Money, MoneyInput, amount
from marketbill_graphql.scalars import BigInt
from marketbill_graphql.schema import assemble

from .market import Market, Sandbox, open_market, running_api, running_sandbox

PLATFORM = PlatformId(new_id())
DuckPayError = Annotated[AnyMutationError | InsufficientFunds, strawberry.union("DuckPayError")]


@declare.output(TENANT)
class Duck:
    """A duck."""

    name: str
    secret: str = strawberry.field(directives=[declare.access(OPERATOR)], default="quack")

    @declare.computed
    def pond(self) -> Pond:
        """Where it swims."""
        return Pond(depth=3)


@declare.output(TENANT)
class Pond:
    """A pond."""

    depth: int

    @declare.computed
    def ducks(self) -> list[Duck]:
        """Who swims in it."""
        return [Duck(name="Dora"), Duck(name="Emil")]


@declare.input
class DuckPayInput:
    """What to pay."""

    idempotency_key: str
    amount: MoneyInput


@declare.output(ANYONE)
class DuckPayPayload:
    """The paid duck."""

    duck: Duck | None = None
    errors: list[DuckPayError]


@strawberry.type
class DuckQueries:
    @declare.query(ANYONE)
    def viewer(self, info: strawberry.Info) -> str:
        """Who asks."""
        return info.context.actor.role

    @declare.query(TENANT)
    def duck(self, name: str = "Dora") -> Duck | None:
        """A duck by name."""
        return Duck(name=name)

    @declare.query(TENANT)
    def echo(
        self,
        big: BigInt | None = None,
        ratio: Decimal | None = None,
        at: datetime | None = None,
        day: date | None = None,
        price: MoneyInput | None = None,
    ) -> str:
        """What was understood."""
        return repr([big, ratio, at, day, price and (price.minor, price.currency)])

    @declare.query(TENANT)
    def price(self, minor: BigInt, currency: str) -> Money:
        """An amount."""
        return amount(minor, currency)

    @declare.query(TENANT)
    def broken(self) -> str | None:
        """Fails."""
        raise ZeroDivisionError("the password is hunter2")

    @declare.query(TENANT)
    def refused(self) -> str | None:
        """Refuses."""
        raise errors.InsufficientFunds("Too little.", available_minor=5, currency="EUR", path=("amount", "minor"))

    @declare.query(TENANT)
    async def slow(self) -> str:
        """Never answers."""
        await asyncio.Event().wait()
        return ""


@strawberry.type
class DuckCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def duck_pay(self, input: DuckPayInput) -> DuckPayPayload:
        """Pays a duck."""
        match input.amount.minor:
            case 1:
                raise errors.InsufficientFunds("Too little.", available_minor=0, currency="EUR", path=("amount",))
            case 2:
                raise errors.ProviderDeclined("No.", decline_code="card_declined")
            case 3:
                raise ZeroDivisionError("the password is hunter2")
        return DuckPayPayload(duck=Duck(name="Dora"), errors=[])


TOKENS = {role.value.lower(): Actor(role, f"key_{role.value.lower()}", PLATFORM) for role in Role} | {
    "bootstrap": Actor(Role.BOOTSTRAP, "bootstrap")
}


async def authenticate(_services: Any, token: str) -> Actor:
    if token not in TOKENS:
        raise errors.Unauthenticated("This credential is not known.")
    return TOKENS[token]


@dataclass
class Client:
    """Sends GraphQL to an app as one caller."""

    http: httpx2.AsyncClient
    key: str | None = "operator"
    headers: dict[str, str] = field(default_factory=dict)

    def _headers(self) -> dict[str, str]:
        return ({"authorization": f"Bearer {self.key}"} if self.key else {}) | self.headers

    async def post(self, body: Any = None, **request: Any) -> httpx2.Response:
        headers = self._headers() | request.pop("headers", {})
        if body is not None:
            request["json"] = body
        return await self.http.post("/graphql", headers=headers, **request)

    async def get(self, **parameters: str) -> httpx2.Response:
        return await self.http.get("/graphql", params=parameters, headers=self._headers())

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer to a document."""
        return (await self.post({"query": query, "variables": variables})).json()


@pytest.fixture(scope="session")
def duck_schema() -> strawberry.Schema:
    return assemble(queries=[DuckQueries], mutations=[DuckCommands])


@pytest.fixture
def duck_app(duck_schema: strawberry.Schema) -> Any:
    services: Any = SimpleNamespace(db=None, vault=None, settings=SimpleNamespace(metrics_token=None))
    return create_app(services, schema=duck_schema, authenticate=authenticate)


@pytest.fixture
async def caller(duck_app: Any) -> AsyncIterator[Callable[[str | None], Client]]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(duck_app), base_url="http://test") as http:
        yield lambda key="operator": Client(http, key)


@pytest.fixture
def client(caller: Callable[..., Client]) -> Client:
    return caller()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as running:
        yield running


@pytest.fixture
async def market(database_url: str, sandbox: Sandbox) -> AsyncIterator[Market]:
    """A fresh platform of its own database, without a provider yet."""
    async with running_api(database_url, sandbox) as (services, http):
        yield await open_market(services, http, sandbox)
