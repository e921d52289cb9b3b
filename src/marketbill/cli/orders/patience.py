"""Patience: a database that is away for a moment does not end an import, and many are asked at once, in order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from marketbill.errors import Unavailable

#: References looked up, or payments watched, with one query.
CHUNK = 1_000
FIRST_PAUSE_S = 0.25
_TRIES = 7
#: So long an interrupted run waits for the payments that are under way.
_GRACE_S = 15.0

Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Asks again while the database is away, for some fifteen seconds; `ask` must be idempotent."""
    pause = FIRST_PAUSE_S
    for left in range(_TRIES, 0, -1):
        try:
            return await ask()
        except Unavailable:
            if left == 1:
                raise
        await asyncio.sleep(pause)
        pause *= 2
    raise AssertionError


async def each(items: Iterable[Item], work: Callable[[Item], Awaitable[None]], at_once: int) -> None:
    """Does `work` for every item, so many at once. After a failure or an interruption no new one is begun, and those
    under way may end: a payment that was asked for should learn its answer.
    """
    left = iter(items)
    stopped = asyncio.Event()

    async def lane() -> None:
        for item in left:
            if stopped.is_set():
                return
            await work(item)

    lanes = [asyncio.ensure_future(lane()) for _ in range(at_once)]
    try:
        await asyncio.wait(lanes, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        stopped.set()
        await asyncio.wait(lanes, timeout=_GRACE_S)
        for one in lanes:
            one.cancel()
        ends = await asyncio.gather(*lanes, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end


def chunks(names: Sequence[Item]) -> Iterable[list[Item]]:
    for start in range(0, len(names), CHUNK):
        yield list(names[start : start + CHUNK])
