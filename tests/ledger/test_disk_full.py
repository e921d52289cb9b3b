"""The disk is full: whoever asks is told so, nothing is half written, and when there is room again all goes on.

Twice: the database lies in a tablespace on a small file system of its own, in memory, which only the superuser can
mount; and the server's files may grow to a certain size, as under a quota, which anybody can see to.
"""

import asyncio
import os
import pwd
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import asyncpg
import pytest
from tests.ledger.moves import Operator, outcomes, sale, seller, total, write

from marketbill import migrate
from marketbill.db import Database
from marketbill.embedded.postgres import EmbeddedPostgres
from marketbill.embedded.provision import LOGIN_ROLE, provision
from marketbill.errors import Unavailable
from marketbill.ids import PlatformId, new_id
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.entry import JournalEntry, Outcome, Result
from marketbill.ledger.group_commit import GroupCommit
from marketbill.ledger.proof import check

#: Far more than the free ends of the pages hold.
ROUNDS_MAX = 100
ROUND = 20

Answer = Result | BaseException
Ask = Callable[[PlatformId, Sequence[JournalEntry]], Awaitable[Sequence[Answer]]]


class Disk(Protocol):
    """Where the tables lie, with as much room as the test gives it."""

    folder: Path | None

    async def fill(self, operator: Operator) -> None: ...

    async def make_room(self, operator: Operator) -> None: ...


class SmallFileSystem:
    """In memory, mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def fill(self, _: Operator) -> None:
        self._leave(0)

    async def make_room(self, _: Operator) -> None:
        self._leave(64 * 1024 * 1024)

    def _leave(self, free_bytes: int) -> None:
        use = os.statvfs(self.folder)
        used = (use.f_blocks - use.f_bfree) * use.f_frsize
        subprocess.run(["mount", "-o", f"remount,size={used + free_bytes}", self.folder], check=True)


class FilesOfLimitedSize:
    """No file of the server's may be longer than `LIMIT`, which entries of another platform then fill."""

    #: Somewhat more than a segment of the server's log of changes.
    LIMIT = 17 * 1024 * 1024
    #: An entry that leaves its page no room for another.
    BULK = """
    insert into journal_entry (platform_id, id, number, key, body_hash, kind, source_type, source_id, description,
                               reason, effective_at, recorded_at, phase, first_posting, posting_count, hash)
    select $1, id, ('x' || substr(id::text, 1, 8))::bit(32)::bigint, id::text, '', 'manual', 'correction', id,
           repeat('x', 7800), '{}', now(), now(), 'POSTED', 1, 1, ''
    from (select gen_random_uuid() as id from generate_series(1, $2::int)) as made
    """

    folder: Path | None = None

    def __init__(self) -> None:
        self._bulky = PlatformId(new_id())

    async def fill(self, operator: Operator) -> None:
        await operator.sql.execute("alter table journal_entry alter description set storage plain")
        size = 512
        while size:
            try:
                await operator.sql.execute(self.BULK, self._bulky, size)
            except asyncpg.PostgresError as error:
                assert "File too large" in str(error)  # noqa: PT017 - that is how it ends
                size //= 2

    async def make_room(self, operator: Operator) -> None:
        await operator.sql.execute("delete from journal_entry where platform_id = $1", self._bulky)
        await operator.sql.execute("vacuum journal_entry")


@pytest.fixture(params=["small file system", "files of limited size"])
def disk(request: pytest.FixtureRequest) -> Iterator[Disk]:
    if request.param == "files of limited size":
        yield FilesOfLimitedSize()
        return
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small file system is mounted for this test, which only the superuser can do")
    nobody = pwd.getpwnam("nobody")
    folder = Path(tempfile.mkdtemp(prefix="marketbill-disk-"))
    options = f"size=256m,mode=0700,uid={nobody.pw_uid},gid={nobody.pw_gid}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield SmallFileSystem(folder)
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """For this process and those that it starts meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def server(disk: Disk, tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of the test's own: its log of changes has room, the tables have what the disk leaves them."""
    made = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    with nullcontext() if disk.folder else files_no_longer_than(FilesOfLimitedSize.LIMIT):
        made.start()
    yield made
    made.stop()


@pytest.fixture
async def admin_url(server: EmbeddedPostgres, disk: Disk) -> str:
    connection = await asyncpg.connect(server.url(driver="postgresql"))
    if disk.folder:
        await connection.execute(f"create tablespace small location '{disk.folder}'")
    await connection.execute(f"create database books {'tablespace small' if disk.folder else ''}")
    await connection.close()
    await provision(server_url=server.url(driver="postgresql"), database="books")
    url = server.url(driver="postgresql", database="books")
    await migrate.upgrade(url)
    return url


@pytest.fixture
async def database_url(server: EmbeddedPostgres, admin_url: str) -> str:
    return server.url(driver="postgresql", database="books", user=LOGIN_ROLE)


@pytest.fixture
def ask_together(books: GroupCommit) -> Ask:
    """Each entry by a caller of its own, all at the same moment."""

    async def ask(platform: PlatformId, entries: Sequence[JournalEntry]) -> Sequence[Answer]:
        return await asyncio.gather(*(books.submit(platform, one) for one in entries), return_exceptions=True)

    return ask


@pytest.fixture
def ask_in_a_scope(db: Database) -> Ask:
    """All entries in one transaction, as a use case does."""

    async def ask(platform: PlatformId, entries: Sequence[JournalEntry]) -> Sequence[Answer]:
        try:
            return await write(db, platform, *entries)
        except Exception as error:
            return [error] * len(entries)

    return ask


@dataclass
class Shop:
    """A platform that sells until it is refused, and remembers what it was told."""

    ask: Ask
    platform: PlatformId = field(default_factory=lambda: PlatformId(new_id()))
    to: AccountRef = field(default_factory=seller)
    booked: list[JournalEntry] = field(default_factory=list[JournalEntry])
    refused: list[JournalEntry] = field(default_factory=list[JournalEntry])
    words: set[str] = field(default_factory=set[str])

    async def sell(self) -> None:
        names = (f"sale-{len(self.booked) + number}" for number in range(ROUND))
        asked = [sale(name, self.to, 100) for name in names]
        for one, answer in zip(asked, await self.ask(self.platform, asked), strict=True):
            if isinstance(answer, Unavailable):
                self.refused.append(one)
                self.words.add(answer.message)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                assert answer.outcome is Outcome.POSTED
                self.booked.append(one)

    async def sell_until_refused(self) -> None:
        for _ in range(ROUNDS_MAX):
            await self.sell()
            if self.refused:
                return
        pytest.fail("the disk never got full")

    async def agrees(self, db: Database, operator: Operator) -> None:
        """What was acknowledged stands once, in whole, and nothing else does."""
        assert sorted(await operator.keys(self.platform)) == sorted(one.key for one in self.booked)
        assert await operator.owed(self.platform, self.to) == total(self.booked)
        async with db.read(self.platform) as scope:
            assert await check(scope) == []


async def test_a_full_disk_refuses_whole_entries_and_takes_them_when_it_has_room(
    disk: Disk, db: Database, operator: Operator, ask_together: Ask, ask_in_a_scope: Ask
) -> None:
    shops = [Shop(ask_together), Shop(ask_in_a_scope)]
    for shop in shops:
        await shop.sell()
        assert len(shop.booked) == ROUND

    await disk.fill(operator)
    for shop in shops:
        await shop.sell_until_refused()
        assert shop.words == {"The database has no room just now; nothing was written."}
        await shop.agrees(db, operator)
        # What needs no room is still answered.
        assert outcomes(await _results(shop, shop.booked[:ROUND])) == ["REPLAYED"] * ROUND

    await disk.make_room(operator)
    for shop in shops:
        again = await _results(shop, [*shop.booked, *shop.refused])
        assert outcomes(again) == ["REPLAYED"] * len(shop.booked) + ["POSTED"] * len(shop.refused)
        shop.booked += shop.refused
        await shop.sell()
        await shop.agrees(db, operator)


async def _results(shop: Shop, entries: Sequence[JournalEntry]) -> list[Result]:
    answers = await shop.ask(shop.platform, entries)
    return [answer for answer in answers if isinstance(answer, Result)]
