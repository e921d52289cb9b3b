"""Events come in any order, more than once and in any company; the books end the same."""

import asyncio
import contextlib
import itertools
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import PostgresServer
from tests.market.fingerprint import Fingerprint, fingerprint
from tests.market.machine import Machine, running_machine
from tests.market.market import Market

from marketbill.embedded.provision import LOGIN_ROLE
from marketbill.webhooks.receive import ReceiveResult

Event = dict[str, Any]

#: What the provider sends of `tell_ten`, in its own order.
TEN = (
    "account.external_account.created",
    "capability.updated",
    "account.updated",
    "payment_intent.payment_failed",
    "payment_intent.succeeded",
    "charge.updated",
    "payout.created",
    "payout.updated",
    "balance.available",
    "payout.paid",
)
SALE = (4, 5, 8)
PAYOUT = (6, 7, 9)


async def tell_ten(machine: Machine, market: Market) -> None:
    """Everything has happened at the provider, and of nothing we have heard: a seller was onboarded, a card declined,
    a basket of two sellers was paid and its funds are there, and a payout of an earlier sale has arrived."""
    await market.seller("A")
    await market.sale(market.line("A", 9900), card="pm_card_bypassPending", reference="order-1")
    machine.endpoint.holding = True
    await market.seller("B", onboard=None)
    account = (await market.seller_row("B")).provider_account
    await machine.control(f"accounts/{account}/onboard", {"outcome": "complete"})
    await market.pay(market.draft(market.line("A", 500), card="pm_card_chargeDeclined", reference="order-2"))
    await market.pay(market.draft(market.line("A", 4999), market.line("B", 3999), reference="order-3"))
    await market.payout("A", 1000)
    await machine.work()
    await machine.delivered()
    await machine.control("clock", {"advance_seconds": 9 * 86_400})
    await machine.delivered()
    await machine.shift(9 * 86_400)


@dataclass(frozen=True, slots=True)
class Told:
    """One delivery: which of the ten, under its own id or another one, and whether somebody works after it."""

    event: int
    new_id: bool = False
    then_work: bool = True


@dataclass(frozen=True, slots=True)
class Copy:
    """Of the story's database, as the app sees it, and of the sandbox's state."""

    database_url: str
    sandbox: Path


@dataclass(slots=True)
class Story:
    """The moment in which everything has happened and nothing is known, to be copied for each order of the news."""

    server: PostgresServer
    database: str
    sandbox: Path
    market: Market
    events: list[Event]
    expected: Fingerprint | None = None

    def hear(self, *orders: Sequence[Told]) -> list[Fingerprint]:
        """What the books say after the deliveries of each order, the machine at rest; nothing was swept, no clock was
        moved. Each order is heard in a copy of its own, all at once."""
        with contextlib.ExitStack() as undo:
            copies = [undo.enter_context(self._copy()) for _ in orders]

            async def all_at_once() -> list[Fingerprint]:
                return await asyncio.gather(*(self._hear(*one) for one in zip(orders, copies, strict=True)))

            return self.server.run(all_at_once())

    @contextlib.contextmanager
    def _copy(self) -> Iterator[Copy]:
        name = f"order_{uuid.uuid4().hex}"
        state = self.sandbox.with_name(f"{name}.db")
        shutil.copy(self.sandbox, state)
        self.server.execute(f"create database {name} template {self.database} strategy file_copy")
        try:
            yield Copy(self.server.url(database=name, user=LOGIN_ROLE), state)
        finally:
            self.server.execute(f"drop database {name} with (force)")
            state.unlink()

    async def _hear(self, news: Sequence[Told], copy: Copy) -> Fingerprint:
        async with running_machine(copy.database_url, sandbox_state=copy.sandbox) as machine:
            machine.endpoint.holding = True  # only the ten are heard of, not what comes of them
            market = replace(self.market, machine=machine)
            stored: set[str] = set()
            for number, told in enumerate(news):
                event = self.events[told.event]
                if told.new_id:
                    event = {**event, "id": f"{event['id']}x{number}"}
                result = await machine.endpoint.receive(await machine.endpoint.signed(market.platform, event))
                assert result is (ReceiveResult.DUPLICATE if event["id"] in stored else ReceiveResult.STORED)
                stored.add(event["id"])
                if told.then_work:
                    await machine.work()
            while await machine.work():
                pass
            await market.prove()
            async with machine.services.db.read(market.platform) as scope:
                return await fingerprint(scope)


@pytest.fixture(scope="session")
def story(
    postgres_server: PostgresServer, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    name = f"ten_{uuid.uuid4().hex}"
    state = tmp_path_factory.mktemp("permutation") / "sandbox.db"
    postgres_server.execute(f"create database {name} template {template_database} strategy file_copy")

    async def tell() -> Story:
        async with running_machine(postgres_server.url(database=name, user=LOGIN_ROLE), sandbox_state=state) as machine:
            market = await machine.platform()
            await tell_ten(machine, market)
            events = [delivery.event for delivery in machine.endpoint.kept]
            return Story(postgres_server, name, state, market, events)

    told = postgres_server.run(tell())
    [told.expected] = told.hear([Told(event) for event in range(len(told.events))])
    yield told
    postgres_server.execute(f"drop database {name} with (force)")


def test_ten_events_are_what_the_provider_sends(story: Story) -> None:
    assert tuple(event["type"] for event in story.events) == TEN
    assert story.expected is not None
    assert '["payout","payout of 1000 EUR to A (1)","PAID"]' in story.expected.lines
    assert '["transfer","transfer of sale order-3 to B","SENT"]' in story.expected.lines


@pytest.mark.parametrize("events", [SALE, PAYOUT], ids=["sale", "payout"])
def test_every_permutation_of_a_short_story_ends_in_the_same_ledger(story: Story, events: tuple[int, ...]) -> None:
    others = [event for event in range(len(TEN)) if event not in events]
    orders = list(itertools.permutations(events))
    heard = story.hear(*([Told(event) for event in (*order, *others)] for order in orders))
    for order, found in zip(orders, heard, strict=True):
        assert found == story.expected, order


@st.composite
def news(draw: st.DrawFn) -> list[Told]:
    """All ten in some order, some of them again, under the same id or another, in batches of any size."""
    again = draw(st.lists(st.integers(0, len(TEN) - 1), max_size=6))
    order = draw(st.permutations([*range(len(TEN)), *again]))
    return [Told(event, new_id=draw(st.booleans()), then_work=draw(st.booleans())) for event in order]


# Some at once, for what each waits for is mostly the database.
@settings(max_examples=7, deadline=None, derandomize=True)
@given(st.lists(news(), min_size=4, max_size=4))
def test_any_permutation_of_ten_events_with_duplicates_ends_in_the_same_ledger(
    story: Story, orders: list[list[Told]]
) -> None:
    for order, found in zip(orders, story.hear(*orders), strict=True):
        assert found == story.expected, order
