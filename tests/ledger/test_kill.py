"""Fifty deaths by kill -9, in the middle of batches: of the client, of the database server, of one of its processes.

After each, an entry that was acknowledged is there once, one that was not is there once or not at all, and who asks
again under the same key is told which.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from tests.ledger.client import CALLERS, ENTRIES_EACH, Order, entries, line
from tests.ledger.moves import Operator

from marketbill import migrate
from marketbill.db import Database
from marketbill.embedded.postgres import EmbeddedPostgres
from marketbill.embedded.process import program_of
from marketbill.embedded.provision import LOGIN_ROLE, provision
from marketbill.ids import PlatformId, new_id
from marketbill.ledger.entry import Outcome, Result
from marketbill.ledger.group_commit import GroupCommit
from marketbill.ledger.proof import check

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the server's processes under /proc")

DATABASE = "books"
ASKED = CALLERS * ENTRIES_EACH


class Server:
    """A durable PostgreSQL of the test's own, to be killed."""

    def __init__(self, folder: Path) -> None:
        self.postgres = EmbeddedPostgres(folder)
        self.postgres.start()
        self.admin_url = self.postgres.url(driver="postgresql", database=DATABASE)
        self.url = self.postgres.url(driver="postgresql", database=DATABASE, user=LOGIN_ROLE)
        asyncio.run(self._prepare())

    async def _prepare(self) -> None:
        await provision(server_url=self.postgres.url(driver="postgresql"), database=DATABASE)
        await migrate.upgrade(self.admin_url)
        async with Operator.of(self.admin_url) as operator:
            # A commit is written before it is acknowledged, as ever. That it also reaches the disk matters when the
            # machine dies, and here only processes do.
            await operator.sql.execute("alter system set fsync = off")
            await operator.sql.execute("select pg_reload_conf()")

    def kill(self) -> None:
        """The whole server at once, then another on what it left."""
        parent = self.postgres.process.pid
        for pid in (parent, *_children(parent)):
            os.kill(pid, signal.SIGKILL)
        self.postgres.launch()

    def kill_one(self) -> None:
        """A process that serves a client. The server then ends all of them, recovers and goes on."""
        serving = [pid for pid in _children(self.postgres.process.pid) if LOGIN_ROLE in program_of(pid)]
        os.kill(random.choice(serving), signal.SIGKILL)


class Client:
    """The program of `client`; a round is one process."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-m", "tests.ledger.client"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, order: Order, *, at: int, blow: Callable[[int], None]) -> dict[str, str]:
        """The entry's id under each key that was acknowledged (none for a refusal); `blow` falls after `at` of them."""
        assert self._program.stdin
        assert self._program.stdout
        self._program.stdin.write(line(order))
        self._program.stdin.flush()
        pid, told = 0, dict[str, str]()
        for text in self._program.stdout:
            what = json.loads(text)
            if "ended" in what:
                break
            if "pid" in what:
                pid = what["pid"]
                continue
            assert what["key"] not in told
            told[what["key"]] = what["id"]
            if len(told) == at:
                blow(pid)
        return told

    def close(self) -> None:
        self._program.kill()  # and with it whoever it forked
        self._program.communicate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("killed"))
    yield made
    made.postgres.stop()


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client()
    yield made
    made.close()


@pytest.mark.parametrize(("victim", "deaths"), [("client", 20), ("server", 15), ("server process", 15)])
def test_what_was_acknowledged_outlives_the_death(server: Server, client: Client, victim: str, deaths: int) -> None:
    platforms = tuple(str(new_id()) for _ in range(3))
    blows: dict[str, Callable[[int], None]] = {
        "client": lambda pid: os.kill(pid, signal.SIGKILL),
        "server": lambda _: server.kill(),
        "server process": lambda _: server.kill_one(),
    }
    standing: dict[str, str] = {}
    for number in range(deaths):
        order = Order(server.url, platforms, number, insists=victim != "client")
        told = client.run(order, at=random.randint(1, ASKED - CALLERS), blow=blows[victim])
        assert len(told) == ASKED or victim == "client"
        answers = asyncio.run(_asked_again(order))
        for key, id in told.items():
            if id:
                assert (answers[key].outcome, str(answers[key].entry_id)) == (Outcome.REPLAYED, id), key
        standing |= {key: str(answer.entry_id) for key, answer in answers.items() if answer.entry_id}
    asyncio.run(_prove(server, order, standing, deaths))


async def _asked_again(order: Order) -> dict[str, Result]:
    """Every entry of a round, under the same keys."""
    db = Database(order.url)
    asked = [one for caller in range(CALLERS) for one in entries(order, caller)]
    async with GroupCommit(db) as books:
        results = await asyncio.gather(*(books.submit(platform, one) for platform, one in asked))
    await db.dispose()
    return {one.key: result for (_, one), result in zip(asked, results, strict=True)}


async def _prove(server: Server, order: Order, standing: dict[str, str], rounds: int) -> None:
    expected: dict[str, Counter[str]] = {platform: Counter() for platform in order.platforms}
    for number in range(rounds):
        again = Order(order.url, order.platforms, number, order.insists)
        for platform, one in (one for caller in range(CALLERS) for one in entries(again, caller)):
            if one.key in standing:
                [posting] = one.postings
                expected[str(platform)][posting.debit.code] += posting.amount
                expected[str(platform)][posting.credit.code] -= posting.amount
    db = Database(order.url)
    async with Operator.of(server.admin_url) as operator:
        keys: list[str] = []
        for name in order.platforms:
            platform = PlatformId(UUID(name))
            keys += await operator.keys(platform)
            holding = {code: net for (code, _), (net, _, _) in (await operator.holding(platform)).items()}
            assert holding == {code: expected[name][code] for code in holding}
            async with db.read(platform) as scope:
                assert await check(scope) == []
        assert sorted(keys) == sorted(standing)
    await db.dispose()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
