"""pgledger as a contestant: its public SQL in a database of its own, one call and one round trip a payment.

All five transfers go in one `pgledger_create_transfers`, prepared, their requests as one array; `event_at` and
`metadata` stay empty. Accounts have the guards that ours have: what a seller is owed may not go below zero. It has no
idempotency key, no row-level security and no hash chain that could be switched on.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Self

import asyncpg

from race.market import CURRENCY, Market, Payment

NAME = "pgledger"
FILES = (
    "vendor/scoville-pgsql-ulid/ulid-to-uuid.sql",
    "vendor/scoville-pgsql-ulid/uuid-to-ulid.sql",
    "pgledger.sql",
)
"""What is run, in the order of its own instructions."""
TABLES = ("pgledger_accounts", "pgledger_transfers", "pgledger_entries")
#: Connections that gave the most postings per second at 64 callers, of 2 to 64 tried: on many platforms, on a hot one.
CONNECTIONS_MANY = 16
CONNECTIONS_HOT = 2
_SHARED = ("psp:pending", "psp:fee", "fee", "tax")
_OPEN = """
select id from unnest($1::text[], $2::boolean[]) with ordinality as wanted (name, may_be_negative, place),
  pgledger_create_account(wanted.name, $3, allow_negative_balance => wanted.may_be_negative)
order by wanted.place
"""
_PAY = "select id from pgledger_create_transfers($1::transfer_request[])"


class NotPgledger(Exception):
    """The folder does not hold pgledger's public SQL; the message names the file that is missing."""


def sources(folder: Path) -> list[str]:
    """The SQL to run. Raises NotPgledger."""
    for name in FILES:
        if not (folder / name).is_file():
            raise NotPgledger(f"{folder / name} is missing: give the folder of pgledger's own repository")
    return [(folder / name).read_text() for name in FILES]


class Pgledger:
    """Callers share the connections, first come, first served."""

    def __init__(self, connections: Sequence[asyncpg.Connection], accounts: Sequence[Sequence[str]]) -> None:
        self._connections = connections
        self._free = list(connections)
        self._turn = asyncio.Semaphore(len(connections))
        self._accounts = accounts

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, folder: Path, market: Market) -> AsyncGenerator[Self]:
        """Installs it, and opens every account of the market."""
        connections = [await asyncpg.connect(url) for _ in range(CONNECTIONS_MANY)]
        try:
            for source in sources(folder):
                await connections[0].execute(source)
            opened = [await _open_accounts(connections[0], place, market) for place in range(market.platforms)]
            yield cls(connections, opened)
        finally:
            for connection in connections:
                await connection.close()

    def through(self, connections: int) -> Self:
        """The same books through so many connections."""
        return type(self)(self._connections[:connections], self._accounts)

    async def pay(self, payment: Payment) -> None:
        accounts = self._accounts[payment.platform]
        psp_pending, psp_fee, platform_fee, tax = accounts[: len(_SHARED)]
        pending, payable = accounts[len(_SHARED) + 2 * payment.seller :][:2]
        transfers = [
            (psp_pending, pending, Decimal(payment.gross)),
            (pending, platform_fee, Decimal(payment.fee)),
            (pending, tax, Decimal(payment.fee_tax)),
            (psp_fee, psp_pending, Decimal(payment.provider_fee)),
            (pending, payable, Decimal(payment.net)),
        ]
        async with self._turn:
            connection = self._free.pop()
            try:
                await connection.fetch(_PAY, transfers)
            finally:
                self._free.append(connection)


async def _open_accounts(connection: asyncpg.Connection, place: int, market: Market) -> list[str]:
    sellers = range(market.sellers)
    names = [*_SHARED, *(f"seller:{seller}:{bucket}" for seller in sellers for bucket in ("pending", "payable"))]
    may_be_negative = [name in _SHARED for name in names]
    rows = await connection.fetch(_OPEN, [f"{place}:{name}" for name in names], may_be_negative, CURRENCY)
    return [row[0] for row in rows]
