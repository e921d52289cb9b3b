"""Group commit: the entries of callers that ask at the same moment go to the books together.

A lone caller's entry goes at once. While a batch is under way, later callers wait together and go as the next one:
there is no timer and no lingering. A batch may hold entries of many platforms; each platform's part is one statement of
its own, all of them go out in one round trip and are made durable by one commit. Each entry gets its own answer, and
one that is refused costs its neighbours nothing.

The end of each chain, and the accounts lately used, are remembered. A batch that is decided from memory is written by
one round trip, and the database takes it only where the chain still ends where memory says; otherwise, and whenever an
entry would be refused, the batch is decided again under the chain's lock. So any number of processes may write the same
books. Use it for entries that stand alone; what must commit together with a caller's rows goes through `journal.post`.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Self

import asyncpg
import structlog

from marketbill import clock
from marketbill.db import NO_ROOM, Database, is_without_room
from marketbill.errors import Unavailable, told
from marketbill.ids import PlatformId
from marketbill.ledger.books import AccountKey, Books
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.decision import Decision, Group, decide
from marketbill.ledger.entry import ENTRIES_MAX, JournalEntry, Phase, Result
from marketbill.ledger.memory import Memory
from marketbill.ledger.store import (
    READ,
    WRITE,
    account_refs,
    books_read,
    read_named,
    read_values,
    write_holds,
    write_values,
)

#: Connections that a process keeps for its batches: one is written through while the next batch is decided.
LANES = 2

#: The most entries of one batch; what waits beyond it goes with the next.
BATCH_MAX = 500

#: The most postings of one batch, unless a single call has more: far within the time that a statement may take.
BATCH_POSTINGS_MAX = 10_000

#: The most entries that wait in a process before it refuses more.
QUEUE_MAX = 10_000

#: The longest that an entry waits for its turn.
WAIT_SECONDS_MAX = 5.0

#: The longest that one statement of a batch may take, when not even the database's own limits end it.
_STATEMENT_SECONDS_MAX = 15.0

#: How long a batch that was held up waits for each of its platforms, once they go one by one.
_PATIENCE = "200ms"

_log = structlog.get_logger(__name__)


class LedgerBusy(Unavailable):
    """Too many entries wait, or this one waited too long for its turn: nothing of it was written."""


@dataclass(slots=True, eq=False)
class _Ask:
    """Entries that stand or fall together, and who waits for their answer."""

    platform: PlatformId
    entries: Group
    refs: dict[AccountKey, AccountRef]
    since: float
    answer: asyncio.Future[list[Result]]

    @property
    def postings(self) -> int:
        return sum(len(entry.postings) for entry in self.entries)


@dataclass(slots=True)
class _Batch:
    """The asks of one platform that go together."""

    platform: PlatformId
    asks: list[_Ask]

    @property
    def entries(self) -> list[JournalEntry]:
        return [entry for ask in self.asks for entry in ask.entries]

    @property
    def refs(self) -> dict[AccountKey, AccountRef]:
        return {name: ref for ask in self.asks for name, ref in ask.refs.items()}

    @property
    def needs_lock(self) -> bool:
        """Whether an entry names another, which must be read, or is a hold, which is listed too."""
        return any(
            entry.resolves is not None or entry.reverses is not None or entry.phase is not Phase.POSTED
            for entry in self.entries
        )

    def decide(self, books: Books, now: datetime) -> Decision:
        return decide([ask.entries for ask in self.asks], books, now=now)


class GroupCommit:
    """The books of all platforms, for entries that stand alone; use it as an async context manager, one per process.

    `queue_max` entries may wait, each for `wait_seconds_max` at most.
    """

    def __init__(
        self,
        db: Database,
        *,
        lanes: int = LANES,
        batch_max: int = BATCH_MAX,
        queue_max: int = QUEUE_MAX,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._db = db
        self._lanes_max = lanes
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._wait_seconds_max = wait_seconds_max
        self._waiting: OrderedDict[PlatformId, deque[_Ask]] = OrderedDict()
        self._queued = 0
        self._under_way = 0
        self._busy: set[PlatformId] = set()
        self._lanes: set[asyncio.Task[None]] = set()
        self._memory = Memory()
        self._expiry: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Waits for what is under way; whatever still waits for its turn is answered with LedgerBusy."""
        self._closed = True
        self._wake.set()
        if self._expiry is not None:
            self._expiry.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        self._expire(before=float("inf"))

    async def submit(self, platform: PlatformId, entry: JournalEntry) -> Result:
        """Books one entry: POSTED, REPLAYED, REFUSED or CONFLICT, durable when this returns.

        Raises LedgerBusy when nothing of it was written, and Unavailable when that is not known: submit it again under
        the same key, and the answer tells. Who is cancelled while waiting is withdrawn; later, the entry is booked.
        """
        return (await self._ask(platform, (entry,)))[0]

    async def submit_linked(self, platform: PlatformId, entries: Sequence[JournalEntry]) -> list[Result]:
        """Books all of the entries (new or already standing) or none; raises like `submit`."""
        if not 1 <= len(entries) <= ENTRIES_MAX:
            raise ValueError(f"1 to {ENTRIES_MAX} entries stand or fall together, not {len(entries)}")
        return await self._ask(platform, tuple(entries))

    async def _ask(self, platform: PlatformId, entries: Group) -> list[Result]:
        if self._closed:
            raise LedgerBusy("The ledger is shutting down; nothing was written.")
        if self._queued + len(entries) > self._queue_max:
            raise LedgerBusy(f"{self._queued} entries wait to be booked; try again in a moment.")
        loop = asyncio.get_running_loop()
        ask = _Ask(platform, entries, account_refs(entries), loop.time(), loop.create_future())
        queue = self._waiting.get(platform)
        if queue is None:
            queue = self._waiting[platform] = deque()
        queue.append(ask)
        self._queued += len(entries)
        if self._expiry is None:
            self._expiry = loop.call_later(self._wait_seconds_max, self._expire)
        self._wake.set()
        if not self._lanes:
            self._lanes = {asyncio.create_task(self._run_lane()) for _ in range(self._lanes_max)}
        return await ask.answer

    def _expire(self, *, before: float | None = None) -> None:
        """Gives up what has waited too long."""
        loop = asyncio.get_running_loop()
        limit = loop.time() - self._wait_seconds_max if before is None else before
        for platform, queue in list(self._waiting.items()):
            while queue and queue[0].since <= limit:
                ask = queue.popleft()
                self._queued -= len(ask.entries)
                _fail([ask], LedgerBusy("The entry waited too long for its turn; nothing was written."))
            if not queue:
                del self._waiting[platform]
        oldest = min((queue[0].since for queue in self._waiting.values()), default=None)
        self._expiry = None
        if oldest is not None:
            self._expiry = loop.call_at(oldest + self._wait_seconds_max, self._expire)

    async def _run_lane(self) -> None:
        """Writes batch after batch through one connection, which is opened anew when it was lost."""
        while not self._closed:
            await self._wake.wait()
            if not self._waiting:
                self._wake.clear()
                continue
            try:
                async with self._db.lane() as connection:
                    await self._run_batches(connection)
            except Exception as error:  # a lane that ended would leave all who come after without an answer
                if not isinstance(error, Unavailable):
                    _log.error("ledger.lane_failed", error=told(error))
                asks = self._take()
                _fail(asks, LedgerBusy("The database cannot be reached just now; nothing was written."))
                self._done(asks)

    async def _run_batches(self, connection: asyncpg.Connection) -> None:
        while not self._closed and not connection.is_closed():
            asks = self._take()
            if not asks:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                await self._write(connection, asks)
            except BaseException:
                _fail(asks, Unavailable("The writing broke off: ask again, with the same key."))
                raise
            finally:
                self._done(asks)

    def _take(self) -> list[_Ask]:
        """The next batch: the platforms that waited longest first, none that another lane is writing."""
        taken: list[_Ask] = []
        # A lane leaves the others their share, so that one batch is decided while another is written.
        room = min(self._batch_max, -(-(self._queued + self._under_way) // self._lanes_max))
        postings = BATCH_POSTINGS_MAX
        for platform in [platform for platform in self._waiting if platform not in self._busy]:
            queue, before = self._waiting[platform], len(taken)
            while queue and (not taken or (room >= len(queue[0].entries) and postings >= queue[0].postings)):
                ask = queue.popleft()
                self._queued -= len(ask.entries)
                if not ask.answer.done():  # else its caller is gone, and it is withdrawn
                    room -= len(ask.entries)
                    postings -= ask.postings
                    taken.append(ask)
            if not queue:
                del self._waiting[platform]
            elif len(taken) > before:
                self._waiting.move_to_end(platform)  # who asks much at once lets the others go first
            if room <= 0:
                break
        self._busy.update(ask.platform for ask in taken)
        self._under_way += sum(len(ask.entries) for ask in taken)
        return taken

    def _done(self, asks: Iterable[_Ask]) -> None:
        for ask in asks:
            self._busy.discard(ask.platform)
            self._under_way -= len(ask.entries)
        if self._waiting:
            self._wake.set()

    async def _write(self, connection: asyncpg.Connection, asks: list[_Ask]) -> None:
        """Answers every ask. One that cannot be written is found by halving, so that it fails alone; a platform whose
        books another transaction holds, by writing each platform apart."""
        batches = _batches(asks)
        try:
            left = await self._write_from_memory(connection, batches)
            if left:
                await self._write_under_lock(connection, left)
        except Exception as error:
            self._memory.forget(batch.platform for batch in batches)
            asks = [ask for ask in asks if not ask.answer.done()]
            if not connection.is_closed() and connection.is_in_transaction():
                await _quietly(connection.execute("rollback"))
            if isinstance(error, _LOST) or connection.is_closed():
                connection.terminate()
                _fail(asks, Unavailable("The connection to the database was lost: ask again, with the same key."))
            elif is_without_room(error):
                _log.error("ledger.no_room", error=type(error).__name__)
                _fail(asks, Unavailable(NO_ROOM))
            elif isinstance(error, _IN_THE_WAY):
                await self._write_apart(connection, asks, _batches(asks))
            elif len(asks) == 1:
                _fail(asks, error)
            else:
                middle = len(asks) // 2
                await self._write(connection, asks[:middle])
                await self._write(connection, asks[middle:])

    async def _write_apart(self, connection: asyncpg.Connection, asks: list[_Ask], batches: list[_Batch]) -> None:
        if len(batches) == 1:
            _fail(
                asks,
                LedgerBusy(
                    "The books of this platform are held, or too much was asked of them at once; nothing was written."
                ),
            )
            return
        await _quietly(connection.execute(f"set lock_timeout = '{_PATIENCE}'"))
        for batch in batches:
            await self._write(connection, batch.asks)
        await _quietly(connection.execute("reset lock_timeout"))

    async def _write_from_memory(self, connection: asyncpg.Connection, batches: list[_Batch]) -> list[_Batch]:
        """Writes what memory is enough for; gives the rest, which must be decided under the lock."""
        left: list[_Batch] = []
        tried: list[tuple[_Batch, Books, Decision]] = []
        values: list[list[Any]] = []
        for batch in batches:
            books = None if batch.needs_lock else self._memory.recall(batch.platform, batch.refs)
            if books is None:
                left.append(batch)
                continue
            decision = batch.decide(books, clock.now() + self._memory.shift)
            if decision.refusal is not None or not decision.entries:
                decision.undo(books)
                left.append(batch)
                continue
            tried.append((batch, books, decision))
            values.append(write_values(batch.platform, decision, from_memory=True))
        if not tried:
            return left
        try:
            rows = await connection.fetchmany(WRITE, values, timeout=_STATEMENT_SECONDS_MAX)
        except asyncpg.IntegrityConstraintViolationError:  # another process opened an account of ours just now
            self._memory.forget(batch.platform for batch, _, _ in tried)
            return batches
        for (batch, books, decision), (is_written,) in zip(tried, rows, strict=True):
            if is_written:
                self._memory.settle(batch.platform, books)
                _answer(batch, decision)
            else:  # a key is taken, or the chain has gone on
                decision.undo(books)
                left.append(batch)
        return sorted(left, key=_order)

    async def _write_under_lock(self, connection: asyncpg.Connection, batches: list[_Batch]) -> None:
        await connection.execute("begin")
        keys = [[entry.key for entry in batch.entries] for batch in batches]
        refs = [batch.refs for batch in batches]
        rows = await connection.fetchmany(
            READ,
            [read_values(batch.platform, names, key) for batch, names, key in zip(batches, refs, keys, strict=True)],
            timeout=_STATEMENT_SECONDS_MAX,
        )
        decided: list[tuple[_Batch, Books, Decision, bool]] = []
        for batch, names, key, part in zip(batches, refs, keys, _parts(rows), strict=True):
            books = books_read(part, names, key)
            self._memory.shift = timedelta(seconds=part[0]["d"])
            is_ours = self._memory.widen(batch.platform, books)
            await read_named(connection.fetch, batch.platform, batch.entries, books)
            decided.append((batch, books, batch.decide(books, clock.now() + self._memory.shift), is_ours))
        values = [write_values(batch.platform, d, from_memory=False) for batch, _, d, _ in decided if d.entries]
        if values:
            await connection.fetchmany(WRITE, values, timeout=_STATEMENT_SECONDS_MAX)
        for batch, _, decision, _ in decided:
            await write_holds(connection.fetch, batch.platform, decision)
        await connection.execute("commit", timeout=_STATEMENT_SECONDS_MAX)
        for batch, books, decision, is_ours in decided:
            self._memory.keep(batch.platform, books, is_ours=is_ours)
            _answer(batch, decision)


#: How a connection that is gone shows itself.
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
_IN_THE_WAY = (
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)


def _batches(asks: Iterable[_Ask]) -> list[_Batch]:
    """By platform, in the order in which every process locks them."""
    found: dict[PlatformId, _Batch] = {}
    for ask in asks:
        batch = found.get(ask.platform)
        if batch is None:
            found[ask.platform] = _Batch(ask.platform, [ask])
        else:
            batch.asks.append(ask)
    return sorted(found.values(), key=_order)


def _order(batch: _Batch) -> int:
    return batch.platform.int


def _parts(rows: Sequence[Any]) -> list[Sequence[Any]]:
    """The rows of each platform's read; each begins with its head."""
    starts = [place for place, row in enumerate(rows) if row["what"] == "head"]
    return [rows[start:end] for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)]


def _answer(batch: _Batch, decision: Decision) -> None:
    results = iter(decision.results)
    for ask in batch.asks:
        own = list(islice(results, len(ask.entries)))
        if not ask.answer.done():
            ask.answer.set_result(own)


def _fail(asks: Iterable[_Ask], error: Exception) -> None:
    for ask in asks:
        if not ask.answer.done():
            ask.answer.set_exception(error)


async def _quietly(work: Awaitable[object]) -> None:
    with suppress(*_LOST, asyncpg.PostgresError):
        await work
