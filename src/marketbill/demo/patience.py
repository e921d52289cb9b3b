"""Waiting for a condition, with a deadline: nothing here sleeps in the hope that it was long enough."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Answer = TypeVar("Answer")
_PAUSE_FIRST_S = 0.03
_PAUSE_LONGEST_S = 0.3


class NeverHappened(Exception):
    """What was waited for did not come in time; the text names it."""


async def until(what: str, ask: Callable[[], Awaitable[Answer | None]], *, within_s: float = 30.0) -> Answer:
    """Asks until there is an answer. Raises NeverHappened, naming `what`, after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    pause = _PAUSE_FIRST_S
    while True:
        answer = await ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise NeverHappened(f"waited {within_s:.0f} seconds in vain: {what}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _PAUSE_LONGEST_S)
