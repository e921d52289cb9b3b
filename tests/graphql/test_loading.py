"""Batches: keys of one turn of the event loop go together, each once; a failure reaches everyone who waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from marketbill.errors import NotFound, Unavailable
from marketbill.ids import PlatformId, new_id
from marketbill_graphql import loading
from marketbill_graphql.loading import Loader, Reader

PLATFORM = PlatformId(new_id())


class FakeDatabase:
    """Counts its transactions; one that ends with an error is told as `Unavailable`, as a lost connection is."""

    def __init__(self) -> None:
        self.opened = 0
        self.open = 0

    @contextlib.asynccontextmanager
    async def read(self, _platform: PlatformId) -> AsyncGenerator[object]:
        self.opened += 1
        self.open += 1
        try:
            yield object()
        except ConnectionError as error:
            raise Unavailable("gone") from error
        finally:
            self.open -= 1


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


def reader(database: Any, *, shared: bool = True) -> Reader:
    return Reader(database, PLATFORM, shared=shared)


class Squares:
    """A batch function that remembers what it was asked."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def __call__(self, _scope: Any, keys: Sequence[int]) -> dict[int, int]:
        self.batches.append(list(keys))
        await asyncio.sleep(0)
        return {key: key * key for key in keys if key >= 0}


async def test_keys_of_one_turn_are_fetched_together_and_once(database: FakeDatabase) -> None:
    squares = Squares()
    loader: Loader[int, int] = Loader(squares, reader(database))

    async def field(key: int) -> int | None:
        return await loader.load(key)

    first = await asyncio.gather(*(field(key) for key in (1, 2, 1, 3, -1)))
    second = await asyncio.gather(field(2), field(4))

    assert first == [1, 4, 1, 9, None]
    assert second == [4, 16]
    assert squares.batches == [[1, 2, 3, -1], [4]]


async def test_a_large_batch_is_cut(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "BATCH_MAX", 10)
    squares = Squares()
    loader: Loader[int, int] = Loader(squares, reader(database))
    found = await asyncio.gather(*(loader.load(key) for key in range(25)))

    assert found == [key * key for key in range(25)]
    assert [len(batch) for batch in squares.batches] == [10, 10, 5]


async def test_a_failure_reaches_everyone_and_is_not_kept(database: FakeDatabase) -> None:
    calls = 0

    async def batch(_scope: Any, keys: Sequence[int]) -> dict[int, int]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError("lost")
        return dict.fromkeys(keys, 0)

    loader: Loader[int, int] = Loader(batch, reader(database))
    failed = await asyncio.gather(loader.load(1), loader.load(2), return_exceptions=True)

    assert [type(error) for error in failed] == [Unavailable, Unavailable]
    assert await loader.load(1) == 0
    assert database.opened == 2


async def test_the_reads_of_a_query_share_one_transaction(database: FakeDatabase) -> None:
    read = reader(database)
    busy = 0

    async def work(_scope: Any) -> int:
        nonlocal busy
        busy += 1
        assert busy == 1  # one statement at a time: a connection can do no more
        await asyncio.sleep(0)
        busy -= 1
        return 1

    assert await asyncio.gather(*(read(work) for _ in range(5))) == [1] * 5
    assert (database.opened, database.open) == (1, 1)
    await read.close()
    await read.close()
    assert database.open == 0


async def test_a_refusal_leaves_the_transaction_open(database: FakeDatabase) -> None:
    read = reader(database)

    async def refuse(_scope: Any) -> None:
        raise NotFound("seller", "sel_1")

    for _ in range(2):
        with pytest.raises(NotFound):
            await read(refuse)
    assert database.opened == 1
    await read.close()


async def test_the_reads_of_a_mutation_hold_no_connection(database: FakeDatabase) -> None:
    read = reader(database, shared=False)

    async def work(_scope: Any) -> int:
        return 1

    for _ in range(3):
        assert await read(work) == 1
        assert database.open == 0
    await read.close()
    assert database.opened == 3


async def test_a_canceled_operation_leaves_nothing_open(database: FakeDatabase) -> None:
    read = reader(database)
    started = asyncio.Event()

    async def never(_scope: Any, _keys: Sequence[int]) -> dict[int, int]:
        started.set()
        await asyncio.Event().wait()
        return {}

    loader: Loader[int, int] = Loader(never, read)
    waiting = asyncio.ensure_future(loader.load(1))
    await started.wait()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await loader.close()
    await read.close()
    assert database.open == 0
