"""Who waits for the books: how many, for how long, and what becomes of them when the books are held up."""

import asyncio
from contextlib import suppress

import pytest
from tests.ledger.moves import Operator, outcomes, sale, seller

from marketbill import db as database
from marketbill.db import Database
from marketbill.errors import Unavailable
from marketbill.ids import PlatformId, new_id
from marketbill.ledger.entry import JournalEntry, Outcome, Result
from marketbill.ledger.group_commit import GroupCommit, LedgerBusy


async def insisted(books: GroupCommit, platform: PlatformId, entry: JournalEntry) -> Result:
    """Asks until there is an answer: a connection may take its time to open."""
    while True:
        with suppress(LedgerBusy):
            return await books.submit(platform, entry)


async def test_a_full_queue_refuses_at_once(db: Database, platform: PlatformId, operator: Operator) -> None:
    to = seller()
    async with GroupCommit(db, lanes=1, queue_max=3) as books:
        await books.submit(platform, sale("opens", to))
        async with operator.holding_head(platform):
            flying = asyncio.create_task(books.submit(platform, sale("in flight", to)))
            await operator.until_one_waits()
            waiting = [asyncio.create_task(books.submit(platform, sale(f"waits-{n}", to))) for n in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(LedgerBusy, match="3 entries wait"):
                await books.submit(platform, sale("one too many", to))
        assert outcomes([await flying, *await asyncio.gather(*waiting)]) == ["POSTED"] * 4
        assert (await books.submit(platform, sale("one too many", to))).outcome is Outcome.POSTED
    assert await operator.owed(platform, to) == 600


async def test_who_waits_too_long_is_told_that_nothing_was_written(
    db: Database, platform: PlatformId, operator: Operator
) -> None:
    to = seller()
    async with GroupCommit(db, lanes=1, wait_seconds_max=0.1) as books:
        await insisted(books, platform, sale("opens", to))
        async with operator.holding_head(platform):
            flying = asyncio.create_task(books.submit(platform, sale("in flight", to)))
            await operator.until_one_waits()
            waiting = [books.submit(platform, sale(f"waits-{n}", to)) for n in range(3)]
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(answer) for answer in answers] == [LedgerBusy] * 3
            assert "nothing was written" in str(answers[0])
        assert (await flying).outcome is Outcome.POSTED
    assert await operator.keys(platform) == ["opens", "in flight"]


async def test_who_is_cancelled_while_waiting_is_withdrawn(
    db: Database, platform: PlatformId, operator: Operator
) -> None:
    to = seller()
    async with GroupCommit(db, lanes=1) as books:
        await books.submit(platform, sale("opens", to))
        async with operator.holding_head(platform):
            flying = asyncio.create_task(books.submit(platform, sale("in flight", to)))
            await operator.until_one_waits()
            waiting = [asyncio.create_task(books.submit(platform, sale(f"waits-{n}", to))) for n in range(4)]
            await asyncio.sleep(0)
            for task in (flying, waiting[1], waiting[2]):
                task.cancel()
        await asyncio.gather(flying, *waiting, return_exceptions=True)
        assert flying.cancelled()
        assert waiting[1].cancelled()
        assert waiting[3].result().outcome is Outcome.POSTED
        assert (await books.submit(platform, sale("in flight", to))).outcome is Outcome.REPLAYED
    assert await operator.keys(platform) == ["opens", "in flight", "waits-0", "waits-3"]


async def test_closing_answers_everybody(db: Database, platform: PlatformId, operator: Operator) -> None:
    to = seller()
    async with GroupCommit(db, lanes=1) as books:
        await books.submit(platform, sale("opens", to))
        async with operator.holding_head(platform):
            flying = asyncio.create_task(books.submit(platform, sale("in flight", to)))
            await operator.until_one_waits()
            waiting = asyncio.create_task(books.submit(platform, sale("waits", to)))
            await asyncio.sleep(0)
            closing = asyncio.create_task(books.__aexit__())
            await asyncio.sleep(0)
    await closing
    assert (await flying).outcome is Outcome.POSTED
    with pytest.raises(LedgerBusy):
        await waiting
    with pytest.raises(LedgerBusy, match="shutting down"):
        await books.submit(platform, sale("after the end", to))
    assert await operator.keys(platform) == ["opens", "in flight"]


async def test_a_crowd_on_one_platform_keeps_no_other_waiting(db: Database, operator: Operator) -> None:
    crowded, quiet, to = PlatformId(new_id()), PlatformId(new_id()), seller()
    order: list[str] = []

    async def submit(platform: PlatformId, key: str) -> None:
        await books.submit(platform, sale(key, to, 1))
        order.append(key)

    async with GroupCommit(db, lanes=1, batch_max=5) as books:
        await asyncio.gather(
            *(submit(crowded, f"crowd-{n}") for n in range(30)), *(submit(quiet, f"quiet-{n}") for n in range(2))
        )
    assert max(order.index("quiet-0"), order.index("quiet-1")) < 15


async def test_a_platform_that_is_held_up_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, database_url: str, platform: PlatformId, operator: Operator
) -> None:
    monkeypatch.setitem(database._LANE_LIMITS, "lock_timeout", "300ms")
    to, others = seller(), [PlatformId(new_id()) for _ in range(8)]
    db = Database(database_url)
    answered: list[str] = []

    async def submit(of: PlatformId, key: str) -> Result | LedgerBusy:
        try:
            return await books.submit(of, sale(key, to))
        except LedgerBusy as busy:
            return busy
        finally:
            answered.append("held" if of == platform else "free")

    async with GroupCommit(db, lanes=1) as books:
        await asyncio.gather(*(submit(of, "opens") for of in (platform, *others)))
        answered.clear()
        async with operator.holding_head(platform):
            async with asyncio.timeout(2):
                answers = await asyncio.gather(
                    *(submit(platform, f"held-{n}") for n in range(20)), *(submit(of, "free") for of in others)
                )
        assert [type(answer) for answer in answers] == [LedgerBusy] * 20 + [Result] * 8
        assert "nothing was written" in str(answers[0])
        assert outcomes([await books.submit(platform, sale("held-0", to))]) == ["POSTED"]
    await db.dispose()
    assert await operator.keys(platform) == ["opens", "held-0"]


async def test_a_batch_that_ends_a_deadlock_is_written_all_the_same(database_url: str, operator: Operator) -> None:
    first, second = sorted(PlatformId(new_id()) for _ in range(2))
    to = seller()
    name = await operator.sql.fetchval("select current_database()")
    await operator.sql.execute(f"alter database {name} set deadlock_timeout = '300ms'; set deadlock_timeout = '1min'")
    db = Database(database_url)
    async with GroupCommit(db, lanes=1) as books:
        await asyncio.gather(*(books.submit(platform, sale("opens", to)) for platform in (first, second)))
        async with operator.holding_head(second):
            batch = [asyncio.create_task(books.submit(platform, sale("batch", to))) for platform in (second, first)]
            await operator.until_one_waits()
            # The batch holds the first and waits for the second; now each waits for the other, until one gives way.
            await operator.sql.execute("select from ledger_head where platform_id = $1 for no key update", first)
        assert outcomes(await asyncio.gather(*batch)) == ["POSTED", "POSTED"]
    await db.dispose()


async def test_a_database_that_lets_nobody_in_for_a_while_is_asked_again(
    db: Database, platform: PlatformId, operator: Operator
) -> None:
    to = seller()
    name = await operator.sql.fetchval("select current_database()")
    async with GroupCommit(db, lanes=1) as books:
        await books.submit(platform, sale("before", to))
        await operator.sql.execute(f"revoke connect on database {name} from public")
        await operator.end_connections()
        with pytest.raises(Unavailable):
            await books.submit(platform, sale("meanwhile", to))
        with pytest.raises(LedgerBusy, match="nothing was written"):
            await books.submit(platform, sale("meanwhile", to))
        await operator.sql.execute(f"grant connect on database {name} to public")
        assert (await insisted(books, platform, sale("meanwhile", to))).outcome is Outcome.POSTED
