"""Where sagas are run: copies of what came before, one run after the other, in the loop of the run's server."""

import shutil
import socket
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.brokers.queues import Queue
from tests.crash.sagas import SAGAS, Saga
from tests.crash.town import Base, Kill, Town, town
from tests.market.fingerprint import Fingerprint

from marketbill.embedded.provision import LOGIN_ROLE
from marketbill.ids import SellerId

if TYPE_CHECKING:
    from tests.conftest import PostgresServer

_NOTES = ("START", "KILLED", "BEGIN", "END", "FAILED")


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run: the books at its end, the points that were reached, and how many processes died."""

    fingerprint: Fingerprint
    trace: tuple[str, ...]
    deaths: int

    @property
    def points(self) -> list[str]:
        """Every point once, in the order in which they were first reached."""
        return list(dict.fromkeys(line for line in self.trace if not line.startswith(_NOTES)))


@dataclass(slots=True)
class Stage:
    """One for each test process. Bases and undisturbed runs are made when they are first needed."""

    server: "PostgresServer"
    template: str
    api_socket: socket.socket
    folder: Path
    embedded_queue: Callable[[], Queue]
    bases: dict[str | None, Base] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)

    def undisturbed(self, name: str) -> Run:
        """The saga as it goes when nobody dies."""
        if name not in self.runs:
            self.runs[name] = self.run(SAGAS[name], keep=True)
            assert self.runs[name].deaths == 0
            failed = [line for line in self.runs[name].trace if line.startswith("FAILED")]
            assert not failed
        return self.runs[name]

    def run(self, saga: Saga, kills: Sequence[Kill] = (), *, queue: Queue | None = None, keep: bool = False) -> Run:
        """Tells a saga with these deaths; with `keep` its end is the base of the sagas that come after it."""
        base = self._base(saga.base)
        mine = queue or self.embedded_queue()
        database = f"crash_{uuid.uuid4().hex}"
        folder = self.folder / database
        folder.mkdir()
        self.server.execute(f"create database {database} template {base.database} strategy file_copy")
        try:
            run, ended = self.server.run(self._tell(saga, base, kills, mine, database, folder))
            if keep:
                self.bases[saga.name] = ended
        finally:
            mine.close()
            if saga.name not in self.bases or self.bases[saga.name].database != database:
                self.server.execute(f"drop database {database} with (force)")
                shutil.rmtree(folder)
        return run

    def forget(self) -> None:
        for base in self.bases.values():
            if base.database != self.template:
                self.server.execute(f"drop database {base.database} with (force)")

    def _base(self, name: str | None) -> Base:
        if name is None:
            return Base(self.template, self.folder / "nothing", "", "", "")
        self.undisturbed(name)
        return self.bases[name]

    async def _tell(
        self, saga: Saga, base: Base, kills: Sequence[Kill], queue: Queue, database: str, folder: Path
    ) -> tuple[Run, Base]:
        async with town(
            base,
            database_url=self.server.url(database=database, user=LOGIN_ROLE),
            admin_url=self.server.url(database=database),
            api_socket=self.api_socket,
            queue=queue,
            folder=folder,
            kills=kills,
        ) as opened:
            await saga.tell(opened)
            await _agree(opened, saga)
            run = Run(await opened.fingerprint(), tuple(opened.trace()), opened.deaths)
            market = opened.market
        kept = Base(database, folder / "sandbox.db", market.operator_key, market.secret_key, market.provider_account)
        return run, kept


async def _agree(opened: Town, saga: Saga) -> None:
    """The books prove themselves and agree with the provider, and requests to the provider ended as they should."""
    rows = await opened.database.fetch("select id, name from seller")
    opened.market.sellers.update({row["name"]: SellerId(row["id"]) for row in rows})
    await opened.market.prove()
    left = await opened.database.fetch(
        "select kind, status, last_error from provider_intent where status <> 'SUCCEEDED'"
    )
    assert [row["status"] for row in left] == list(saga.leaves), left
