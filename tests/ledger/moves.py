"""Short words for the entries and the operator's acts in the stories of the ledger."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

import asyncpg

from marketbill.db import Database
from marketbill.ids import PlatformId, SellerId, new_id
from marketbill.ledger import chart
from marketbill.ledger.accounts import accounts_by_refs
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.entry import JournalEntry, Phase, Posting, Result, Source
from marketbill.ledger.journal import post
from marketbill.ledger.operations.account_terms import AccountChange

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SOURCE = Source("correction", UUID(int=1))
PSP = chart.psp_pending("EUR")
FEE = chart.platform_fee("EUR")

Act = Callable[..., Awaitable[AccountChange]]
Holding = dict[tuple[str, str], tuple[int, int, int]]
"""By code and currency: net debits, pending debits, pending credits."""


def seller(number: int = 0) -> AccountRef:
    """What the platform owes a seller: an account that may not go below zero."""
    return chart.seller_pending(SellerId(UUID(int=number) if number else new_id()), "EUR")


def entry(key: str, *postings: Posting, **more: Any) -> JournalEntry:
    """Of the kind that may move money between any two accounts."""
    fields = {"kind": "manual", "source": SOURCE, "effective_at": NOON, "description": "A sale", "reason": {}}
    return JournalEntry(key=key, postings=postings, **{**fields, **more})


def sale(key: str, to: AccountRef, amount: int = 100, **more: Any) -> JournalEntry:
    """The provider owes the platform, and the platform owes the seller."""
    return entry(key, Posting(PSP, to, amount), **more)


def spend(key: str, of: AccountRef, amount: int, **more: Any) -> JournalEntry:
    """Takes from a seller; refused when it has too little."""
    return entry(key, Posting(of, FEE, amount), **more)


def release(key: str, hold: UUID, **more: Any) -> JournalEntry:
    """Gives a hold back."""
    return entry(key, phase=Phase.RELEASED, resolves=hold, **{"kind": "hold-voided", **more})


async def write(db: Database, platform: PlatformId, *entries: JournalEntry) -> list[Result]:
    """Posts in a transaction of its own, as a use case does."""
    async with db.write(platform) as scope:
        return await post(scope, entries)


async def change(db: Database, platform: PlatformId, ref: AccountRef, act: Act, *values: Any) -> None:
    """An operator's change of an account, as `operations.account_terms` has them."""
    async with db.write(platform) as scope:
        account = (await accounts_by_refs(scope, [ref]))[ref]
        await act(scope, account.id, *values, by="key_1", reason="A story needs it")


class Operator:
    """The owner of the database, on a connection of its own: what a test looks at, holds, and sets."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.sql = connection

    @classmethod
    @asynccontextmanager
    async def of(cls, url: str) -> AsyncIterator[Self]:
        connection = await asyncpg.connect(url)
        try:
            yield cls(connection)
        finally:
            await connection.close()

    async def holding(self, platform: PlatformId) -> Holding:
        rows = await self.sql.fetch("select * from ledger_account where platform_id = $1", platform)
        return {
            (row["code"], row["currency"]): (
                row["debits"] - row["credits"],
                row["pending_debits"],
                row["pending_credits"],
            )
            for row in rows
        }

    async def owed(self, platform: PlatformId, ref: AccountRef) -> int:
        """What stands on an account, positive on the credit side; 0 for one never used."""
        return -(await self.holding(platform)).get((ref.code, ref.currency), (0, 0, 0))[0]

    async def keys(self, platform: PlatformId) -> list[str]:
        """The keys that stand, in the order of the chain."""
        rows = await self.sql.fetch("select key from journal_entry where platform_id = $1 order by number", platform)
        return [row["key"] for row in rows]

    async def entry_id(self, platform: PlatformId, key: str) -> UUID:
        """The entry that stands under a key."""
        return await self.sql.fetchval(
            "select id from journal_entry where platform_id = $1 and key = $2", platform, key
        )

    @asynccontextmanager
    async def holding_head(self, *platforms: PlatformId) -> AsyncIterator[None]:
        """Locks the ends of chains, as a use case that is slow to commit does."""
        async with self.sql.transaction():
            for platform in platforms:
                await self.sql.execute("select from ledger_head where platform_id = $1 for no key update", platform)
            yield

    async def end_connections(self) -> int:
        """Ends everybody's but its own, as a failing network does; tells how many."""
        return await self.sql.fetchval(_END)

    async def end_one_connection(self) -> bool:
        """Ends one of marketbill's own, whichever; tells whether there was one."""
        return bool(await self.sql.fetchval(_END_ONE))

    async def until_one_waits(self) -> None:
        """Returns when somebody waits for a lock."""
        while not await self.sql.fetchval(_WAITING):
            await self.sql.execute("select pg_stat_clear_snapshot()")


_END = """
select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""
_END_ONE = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name = 'marketbill' order by random() limit 1
"""
_WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


def outcomes(results: Iterable[Result]) -> list[str]:
    return [str(result.outcome) for result in results]


def total(entries: Sequence[JournalEntry]) -> int:
    return sum(posting.amount for entry in entries for posting in entry.postings)
