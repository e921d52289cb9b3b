"""A client of the books in a process of its own, that can be killed: many callers, each answer told at once.

Run as a program it reads an order a line, forks a client that has everything imported, and tells on its own output what
the client tells, then that it has ended. A line that was told is an entry that was acknowledged.
"""

import asyncio
import ctypes
import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from tests.ledger.moves import sale, seller, spend

from marketbill.db import Database
from marketbill.errors import Unavailable
from marketbill.ids import PlatformId
from marketbill.ledger.entry import JournalEntry
from marketbill.ledger.group_commit import GroupCommit

CALLERS = 32
ENTRIES_EACH = 8
SELLERS = [seller(number) for number in (1, 2, 3)]
_PR_SET_PDEATHSIG = 1
#: How long a client waits before it asks again a database that is away.
_PAUSE_SECONDS = 0.1
#: Where answers go; what is logged goes with the errors.
_OUTPUT = 3


@dataclass(frozen=True)
class Order:
    """What a client books: the entries of a round, on `platforms`. `insists`: it asks again until it is answered."""

    url: str
    platforms: tuple[str, ...]
    round: int
    insists: bool


def entries(order: Order, caller: int) -> Iterator[tuple[PlatformId, JournalEntry]]:
    """What a caller of a round asks for; anybody can tell it again."""
    chance = random.Random(order.round * 1000 + caller)
    for turn in range(ENTRIES_EACH):
        key, of = f"{order.round}-{caller}-{turn}", chance.choice(SELLERS)
        one = sale(key, of, chance.randint(1, 9)) if chance.random() < 0.6 else spend(key, of, chance.randint(1, 9))
        yield PlatformId(UUID(chance.choice(order.platforms))), one


async def work(order: Order) -> None:
    db = Database(order.url)
    async with GroupCommit(db) as books:

        async def call(caller: int) -> None:
            for platform, one in entries(order, caller):
                while True:
                    try:
                        result = await books.submit(platform, one)
                    except Unavailable:
                        if not order.insists:
                            break
                        await asyncio.sleep(_PAUSE_SECONDS)
                    else:
                        _tell(key=one.key, id=str(result.entry_id or ""))
                        break

        await asyncio.gather(*map(call, range(CALLERS)))
    await db.dispose()


def _tell(**what: Any) -> None:
    os.write(_OUTPUT, json.dumps(what).encode() + b"\n")  # one write, so that a line is there whole or not at all


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def main() -> None:
    _end_with_parent()
    os.dup2(1, _OUTPUT)
    os.dup2(2, 1)
    for line in sys.stdin:
        order = Order(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            _end_with_parent()
            _tell(pid=os.getpid())
            asyncio.run(work(order))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        _tell(ended=os.waitstatus_to_exitcode(status))


def line(order: Order) -> str:
    return json.dumps(asdict(order)) + "\n"


if __name__ == "__main__":
    main()
