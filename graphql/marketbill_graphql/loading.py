"""Loading without a query per row: keys asked for in the same turn of the event loop are fetched by one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar

from marketbill.db import Database, ReadScope
from marketbill.errors import Refusal
from marketbill.ids import PlatformId

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Answer = TypeVar("Answer")

Batch = Callable[[ReadScope, Sequence[Any]], Awaitable[Mapping[Any, Any]]]

#: Keys of one statement; more are fetched by further statements.
BATCH_MAX = 1_000


class Reader:
    """The reads of one operation.

    A query's reads share one transaction, opened at the first of them and used by one statement at a time, so that an
    operation takes one connection however many fields it has. A mutation's reads take a transaction each (`shared`
    is false): its use cases open their own, and a request that held one while waiting for another could lock the pool.
    """

    def __init__(self, db: Database, platform: PlatformId, *, shared: bool) -> None:
        self._db = db
        self._platform = platform
        self._shared = shared
        self._turn = asyncio.Lock()
        self._open: AbstractAsyncContextManager[ReadScope] | None = None
        self._scope: ReadScope | None = None

    async def __call__(self, read: Callable[[ReadScope], Awaitable[Answer]]) -> Answer:
        """The answer of `read`, given a read scope."""
        if not self._shared:
            async with self._db.read(self._platform) as scope:
                return await read(scope)
        async with self._turn:
            if self._scope is None:
                opening = self._db.read(self._platform)
                self._scope = await opening.__aenter__()
                self._open = opening
            try:
                return await read(self._scope)
            except Refusal:
                # Said by our own code, after statements that went well: the transaction is sound.
                raise
            except BaseException as error:
                await self._leave(type(error), error, error.__traceback__)
                raise

    async def close(self) -> None:
        """Ends the shared transaction, if one was opened."""
        async with self._turn:
            await self._leave(None, None, None)

    async def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened, self._open, self._scope = self._open, None, None
        if opened is not None:
            # Through the scope's own exit, which translates a lost connection into `Unavailable`.
            await opened.__aexit__(kind, error, trace)


class Loader(Generic[Key, Value]):
    """Gathers keys until the event loop has run everything that was ready, then fetches them together.

    Answers are kept for the operation, so a key is fetched once. A key without a row answers None.
    """

    def __init__(self, batch: Batch, read: Reader) -> None:
        self._batch = batch
        self._read = read
        self._known: dict[Key, asyncio.Future[Value | None]] = {}
        self._waiting: list[Key] = []
        self._running: set[asyncio.Task[None]] = set()

    def load(self, key: Key) -> Awaitable[Value | None]:
        future = self._known.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._known[key] = loop.create_future()
            if not self._waiting:
                loop.call_soon(self._dispatch)
            self._waiting.append(key)
        return future

    async def close(self) -> None:
        """Ends what is still being fetched, for an operation that was stopped."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _dispatch(self) -> None:
        keys, self._waiting = self._waiting, []
        for start in range(0, len(keys), BATCH_MAX):
            task = asyncio.ensure_future(self._fetch(keys[start : start + BATCH_MAX]))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _fetch(self, keys: list[Key]) -> None:
        try:
            found = await self._read(lambda scope: self._batch(scope, keys))
        except BaseException as error:
            for key in keys:
                future = self._known.pop(key)
                if not future.done():
                    if isinstance(error, asyncio.CancelledError):
                        future.cancel()
                    else:
                        future.set_exception(error)
                        future.exception()
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        for key in keys:
            future = self._known[key]
            if not future.done():
                future.set_result(found.get(key))
