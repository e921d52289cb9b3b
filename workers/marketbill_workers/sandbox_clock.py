"""The platforms' time follows the sandbox's: whoever moves it there (its page, its control plane) has moved ours too.

`marketbill sandbox clock advance` moves both at once; this is for everybody else, a second later. With Stripe there is
no sandbox, nobody follows, and the clock of the platforms is the machine's.
"""

import aiohttp
from sqlalchemy.dialects.postgresql import insert

from marketbill.db import Database, test_clock

_SECONDS_MAX = 5.0


class SandboxAway(Exception):
    """The sandbox did not tell its time."""


async def follow(db: Database, sandbox_url: str) -> bool:
    """Moves the platforms' time forward to where the sandbox's is, never back; True when it was moved.

    Raises SandboxAway, Unavailable.
    """
    offset = await _offset_seconds(sandbox_url)
    row = insert(test_clock).values(id=1, shift_seconds=offset)
    ahead = row.on_conflict_do_update(
        index_elements=["id"],
        set_={"shift_seconds": row.excluded.shift_seconds},
        where=test_clock.c.shift_seconds < row.excluded.shift_seconds,
    )
    if offset <= 0:
        return False
    async with db.system() as scope:
        return (await scope.connection.execute(ahead)).rowcount == 1


async def _offset_seconds(sandbox_url: str) -> int:
    """How far the sandbox's clock is ahead of the machine's."""
    timeout = aiohttp.ClientTimeout(total=_SECONDS_MAX)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{sandbox_url.rstrip('/')}/_sandbox/clock") as response,
        ):
            return int((await response.json())["offset_seconds"])
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise SandboxAway(type(error).__name__) from error
