"""A seller's books in a few words, for the stories of what operators do."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from marketbill.db import Database
from marketbill.ids import PlatformId, SellerId, new_id
from marketbill.ledger import chart, journal
from marketbill.ledger.accounts import Account, accounts_by_refs
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.entry import JournalEntry, Posting, Source
from marketbill.ledger.proof import check

EUR = "EUR"
#: The first of a month that is over.
MAY = datetime(2025, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Till:
    """One platform's books. Each entry is effective a day after the one before unless a day is given (from MAY on)."""

    db: Database
    platform: PlatformId
    seller: SellerId = field(default_factory=lambda: SellerId(new_id()))
    entries: int = 0

    @property
    def pending(self) -> AccountRef:
        return chart.seller_pending(self.seller, EUR)

    @property
    def payable(self) -> AccountRef:
        return chart.seller_payable(self.seller, EUR)

    @property
    def reserve(self) -> AccountRef:
        return chart.account(chart.SELLER_RESERVE, EUR, self.seller)

    @property
    def psp(self) -> AccountRef:
        return chart.psp_pending(EUR)

    def entry(self, kind: str, *postings: Posting, day: float = 0, **changes: Any) -> JournalEntry:
        self.entries += 1
        usual = {
            "key": f"{kind}-{self.entries}",
            "source": Source("correction" if kind == "manual" else "payment", self.seller),
            "effective_at": MAY + day * DAY,
            "description": kind.capitalize(),
            "reason": {},
        }
        return JournalEntry(kind=kind, postings=postings, **(usual | changes))

    def charge(self, amount: int, **changes: Any) -> JournalEntry:
        return self.entry("charge", Posting(self.psp, self.pending, amount), **changes)

    def release(self, amount: int, **changes: Any) -> JournalEntry:
        return self.entry("release", Posting(self.pending, self.payable, amount), **changes)

    def set_aside(self, amount: int, **changes: Any) -> JournalEntry:
        """Not a hold yet: `hold.place` makes it one."""
        return self.entry("reserve", Posting(self.payable, self.reserve, amount), **changes)

    async def post(self, *entries: JournalEntry) -> list[UUID]:
        """Books them, all or none; gives their ids."""
        async with self.db.write(self.platform) as scope:
            results = await journal.post_all(scope, entries)
        return [result.entry_id for result in results if result.entry_id]

    async def do(self, work: Callable[..., Any], *arguments: Any, later: timedelta = timedelta(0), **named: Any) -> Any:
        """`work(scope, ...)` in a transaction of its own, at a time of its own."""
        async with self.db.write(self.platform) as scope:
            scope.now += later
            return await work(scope, *arguments, **named)

    async def account(self, ref: AccountRef) -> Account:
        async with self.db.read(self.platform) as scope:
            return (await accounts_by_refs(scope, [ref]))[ref]

    async def held(self, *refs: AccountRef) -> list[tuple[int, int]]:
        """Balance and what is available of each."""
        return [(found.balance, found.available) for found in [await self.account(ref) for ref in refs]]

    async def proven(self) -> None:
        async with self.db.read(self.platform) as scope:
            assert await check(scope) == []
