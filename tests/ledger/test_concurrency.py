"""Two writers at once: one entry per key, guards that hold, and no deadlock whatever the order of accounts."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from marketbill.db import Database
from marketbill.ids import PlatformId, SellerId, new_id
from marketbill.ledger import chart
from marketbill.ledger.accounts import accounts, accounts_by_refs
from marketbill.ledger.journal import JournalEntry, Outcome, Posting, Result, Source, post
from marketbill.ledger.proof import check

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SOURCE = Source("correction", new_id())
WRITERS = 4


def entry(key: str, *postings: Posting) -> JournalEntry:
    return JournalEntry(key, "manual", SOURCE, postings, NOON, "A sale", {})


async def write(db: Database, platform: PlatformId, entries: Sequence[JournalEntry]) -> list[Result]:
    async with db.write(platform) as scope:
        return await post(scope, entries)


async def proven(db: Database, platform: PlatformId) -> None:
    async with db.read(platform) as scope:
        assert await check(scope) == []


async def test_the_same_key_at_once_stands_once(db: Database, platform: PlatformId) -> None:
    seller = SellerId(new_id())
    sale = entry("sale", Posting(chart.psp_pending("EUR"), chart.seller_pending(seller, "EUR"), 100))
    answers = [result for results in await together(db, platform, [[sale]] * WRITERS) for result in results]

    assert Counter(result.outcome for result in answers) == {Outcome.POSTED: 1, Outcome.REPLAYED: WRITERS - 1}
    assert len({result.entry_id for result in answers}) == 1
    await proven(db, platform)


async def test_different_bodies_under_one_key_leave_one(db: Database, platform: PlatformId) -> None:
    seller = SellerId(new_id())
    sales = [
        entry("sale", Posting(chart.psp_pending("EUR"), chart.seller_pending(seller, "EUR"), amount))
        for amount in range(1, WRITERS + 1)
    ]
    answers = [results[0].outcome for results in await together(db, platform, [[sale] for sale in sales])]

    assert Counter(answers) == {Outcome.POSTED: 1, Outcome.CONFLICT: WRITERS - 1}
    await proven(db, platform)


async def test_a_limited_balance_is_spent_once(db: Database, platform: PlatformId) -> None:
    seller = SellerId(new_id())
    pending, payable = chart.seller_pending(seller, "EUR"), chart.seller_payable(seller, "EUR")
    await write(db, platform, [entry("sale", Posting(chart.psp_pending("EUR"), pending, 100))])
    spends = [[entry(f"{writer}-{n}", Posting(pending, payable, 30)) for n in range(2)] for writer in range(WRITERS)]
    answers = [result.outcome for results in await together(db, platform, spends) for result in results]

    assert Counter(answers) == {Outcome.POSTED: 3, Outcome.REFUSED: 2 * WRITERS - 3}
    async with db.read(platform) as scope:
        found = await accounts_by_refs(scope, [pending, payable])
    assert (found[pending].balance, found[payable].balance) == (10, 90)
    await proven(db, platform)


async def test_accounts_in_opposite_orders_never_deadlock(db: Database, platform: PlatformId) -> None:
    refs = [chart.seller_pending(SellerId(new_id()), "EUR") for _ in range(6)]
    psp = chart.psp_pending("EUR")

    async def writer(number: int) -> None:
        order = refs if number % 2 else refs[::-1]
        for turn in range(8):
            async with db.write(platform) as scope:
                for place, ref in enumerate(order):
                    await post(scope, [entry(f"{number}-{turn}-{place}", Posting(psp, ref, 1))])

    await asyncio.gather(*(writer(number) for number in range(WRITERS)))
    async with db.read(platform) as scope:
        held = {account.code: account.balance for account in await accounts(scope)}
    assert held == {psp.code: 6 * 8 * WRITERS} | {ref.code: 8 * WRITERS for ref in refs}
    await proven(db, platform)


async def test_the_proof_holds_while_others_write(db: Database, platform: PlatformId) -> None:
    psp = chart.psp_pending("EUR")
    refs = [chart.seller_pending(SellerId(new_id()), "EUR") for _ in range(3)]

    async def writer(number: int) -> None:
        for turn in range(10):
            await write(db, platform, [entry(f"{number}-{turn}", *(Posting(psp, ref, 1 + turn) for ref in refs))])

    writing = asyncio.gather(writer(0), writer(1))
    while not writing.done():
        await proven(db, platform)
    await writing
    await proven(db, platform)


async def together(db: Database, platform: PlatformId, batches: Sequence[Sequence[JournalEntry]]) -> list[list[Result]]:
    """Each batch on a connection of its own, begun before any has committed."""
    ready = asyncio.Barrier(len(batches))

    async def writer(batch: Sequence[JournalEntry]) -> list[Result]:
        async with db.write(platform) as scope:
            await ready.wait()
            return await post(scope, batch)

    return await asyncio.gather(*map(writer, batches))
