"""marketbill's ledger as a contestant: one journal entry of five postings a payment, every guarantee on.

The product itself books a sale's five postings at the moments when they become true, so the whole of it in one entry
has the form that may move anything, `manual`. It goes the product's own way: role `marketbill_app` under row-level
security, accounts guarded, key and body checked, sealed into the platform's chain. Accounts are described beforehand,
as the peer's are looked up beforehand.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Self

from marketbill.db import Database
from marketbill.ids import PlatformId, SellerId, new_id, public_id
from marketbill.ledger import chart, journal
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.group_commit import GroupCommit
from marketbill.ledger.journal import JournalEntry, Outcome, Posting, Source
from race.market import COUNTRY, CURRENCY, Market, Payment, payment

NAME = "marketbill"
TABLES = ("journal_entry", "posting", "ledger_account", "ledger_head")
_PSP_PENDING = chart.psp_pending(CURRENCY)
_PSP_FEE = chart.psp_fee(CURRENCY)
_PLATFORM_FEE = chart.platform_fee(CURRENCY)
_OUTPUT_VAT = chart.output_vat(COUNTRY, CURRENCY)


class Platform:
    """A platform with its sellers' accounts, described once."""

    def __init__(self, sellers: int) -> None:
        self.id = PlatformId(new_id())
        ids = [SellerId(new_id()) for _ in range(sellers)]
        self.pending: Sequence[AccountRef] = [chart.seller_pending(id, CURRENCY) for id in ids]
        self.payable: Sequence[AccountRef] = [chart.seller_payable(id, CURRENCY) for id in ids]

    def entry(self, payment: Payment) -> JournalEntry:
        """The whole sale as one entry; every call is a new payment."""
        pending = self.pending[payment.seller]
        id = new_id()
        reference = public_id("payment", id)
        return JournalEntry(
            key=f"manual:{reference}",
            kind="manual",
            source=Source("correction", id),
            postings=(
                Posting(_PSP_PENDING, pending, payment.gross),
                Posting(pending, _PLATFORM_FEE, payment.fee),
                Posting(pending, _OUTPUT_VAT, payment.fee_tax),
                Posting(_PSP_FEE, _PSP_PENDING, payment.provider_fee),
                Posting(pending, self.payable[payment.seller], payment.net),
            ),
            effective_at=datetime.now(UTC),
            description="Sale",
            reason={"reference": reference},
        )


class Ours:
    def __init__(self, db: Database, books: GroupCommit, platforms: Sequence[Platform]) -> None:
        self.db = db
        self.platforms = platforms
        self._books = books

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, market: Market) -> AsyncGenerator[Self]:
        """The product's own database handle and group commit; every account of the market has been used once."""
        db = Database(url, application="race")
        try:
            async with GroupCommit(db) as books:
                ours = cls(db, books, [Platform(market.sellers) for _ in range(market.platforms)])
                await ours.warm()
                yield ours
        finally:
            await db.dispose()

    async def warm(self) -> int:
        """Sells once for every seller: opens the accounts that are not open, and brings all of them to mind.

        Gives the number of payments.
        """
        for place, platform in enumerate(self.platforms):
            await asyncio.gather(*(self.pay(payment(place, n, gross=10_000)) for n in range(len(platform.pending))))
        return sum(len(platform.pending) for platform in self.platforms)

    async def fill(self, place: int, sales: Sequence[Payment]) -> None:
        """Books many sales of one platform in one transaction."""
        platform = self.platforms[place]
        async with self.db.write(platform.id) as scope:
            results = await journal.post(scope, [platform.entry(sale) for sale in sales])
        assert all(result.outcome is Outcome.POSTED for result in results), results

    async def pay(self, payment: Payment) -> None:
        platform = self.platforms[payment.platform]
        result = await self._books.submit(platform.id, platform.entry(payment))
        assert result.outcome is Outcome.POSTED, result
