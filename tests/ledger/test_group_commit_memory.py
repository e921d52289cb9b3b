"""What a process remembers of the books is only ever a guess, and never misleads it."""

import asyncio
from datetime import timedelta

from tests.ledger.moves import NOON, Operator, change, sale, seller, spend, write

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger.entries import entries_by_ids
from marketbill.ledger.entry import IfClosed, Outcome
from marketbill.ledger.group_commit import GroupCommit
from marketbill.ledger.operations import account_terms, period
from marketbill.ledger.proof import check
from marketbill.ledger.refusal import AccountNotOpen, CeilingBroken, PeriodClosed


async def test_two_processes_write_the_same_hot_accounts(
    books: GroupCommit, other_process: GroupCommit, operator: Operator
) -> None:
    platforms = [PlatformId(new_id()) for _ in range(3)]
    to = seller()
    results = await asyncio.gather(
        *(
            process.submit(platform, sale(f"{name}-{n}", to, 1) if n % 2 else spend(f"{name}-{n}", to, 1))
            for n in range(60)
            for name, process in (("one", books), ("two", other_process))
            for platform in (platforms if n % 3 else reversed(platforms))
        )
    )
    came = [result.outcome for result in results]
    assert set(came) == {Outcome.POSTED, Outcome.REFUSED}
    for platform in platforms:
        keys = await operator.keys(platform)
        assert len(keys) == len(set(keys))
        sold = sum(int(key.split("-")[1]) % 2 for key in keys)
        assert sold == 60
        assert await operator.owed(platform, to) == 2 * sold - len(keys) >= 0


async def test_what_others_wrote_is_never_overlooked(
    db: Database, books: GroupCommit, platform: PlatformId, operator: Operator
) -> None:
    to = seller()
    await books.submit(platform, sale("ours", to, 100))
    await write(db, platform, sale("theirs", to, 50))
    assert (await books.submit(platform, spend("of both", to, 150))).outcome is Outcome.POSTED

    await books.submit(platform, sale("more", to, 10))
    await write(db, platform, spend("spent by them", to, 10))
    assert (await books.submit(platform, spend("too late", to, 10))).outcome is Outcome.REFUSED

    await write(db, platform, sale("a key", to, 1))
    assert (await books.submit(platform, sale("a key", to, 1))).outcome is Outcome.REPLAYED
    assert (await books.submit(platform, sale("a key", to, 2))).outcome is Outcome.CONFLICT
    assert await operator.owed(platform, to) == 1


async def test_an_account_that_another_process_opens_meanwhile_is_found(
    books: GroupCommit, other_process: GroupCommit, platform: PlatformId, operator: Operator
) -> None:
    to = seller()
    assert (await books.submit(platform, spend("refused, yet remembered", to, 1))).outcome is Outcome.REFUSED
    await other_process.submit(platform, sale("opens it", to, 5))
    assert (await books.submit(platform, spend("of it", to, 5))).outcome is Outcome.POSTED
    assert await operator.owed(platform, to) == 0


async def test_books_that_were_set_back_to_a_backup_are_read_anew(
    db: Database, books: GroupCommit, platform: PlatformId, operator: Operator
) -> None:
    tables = ("ledger_account", "ledger_head", "journal_entry", "posting")
    to = seller()
    await books.submit(platform, sale("kept", to, 100))
    for table in tables:
        await operator.sql.execute(f"create table saved_{table} as table {table}")
    await books.submit(platform, sale("lost", to, 50))
    for table in tables:
        await operator.sql.execute(f"delete from {table}; insert into {table} table saved_{table}")
    await write(db, platform, sale("as many entries as before", to, 3))

    assert (await books.submit(platform, sale("goes on", to, 1))).outcome is Outcome.POSTED
    assert await operator.owed(platform, to) == 104
    async with db.read(platform) as scope:
        assert await check(scope) == []


async def test_a_frozen_account_takes_nothing_at_once(db: Database, books: GroupCommit, platform: PlatformId) -> None:
    to = seller()
    await books.submit(platform, sale("before", to))
    await change(db, platform, to, account_terms.freeze)
    refused = await books.submit(platform, sale("meanwhile", to))
    assert isinstance(refused.refusal, AccountNotOpen)
    assert (refused.refusal.account, refused.refusal.current_state) == (to, "FROZEN")
    await change(db, platform, to, account_terms.unfreeze)
    assert (await books.submit(platform, sale("after", to))).outcome is Outcome.POSTED


async def test_a_ceiling_that_is_set_meanwhile_counts_at_once(
    db: Database, books: GroupCommit, platform: PlatformId
) -> None:
    to = seller()
    await books.submit(platform, sale("before", to, 100))
    await change(db, platform, to, account_terms.set_ceiling, 150)
    refused = await books.submit(platform, sale("too much", to, 51))
    assert isinstance(refused.refusal, CeilingBroken)
    assert (refused.refusal.account, refused.refusal.room_minor) == (to, 50)
    assert (await books.submit(platform, sale("just enough", to, 50))).outcome is Outcome.POSTED


async def test_a_period_that_is_closed_meanwhile_is_closed_at_once(
    db: Database, books: GroupCommit, platform: PlatformId
) -> None:
    to, until = seller(), NOON + timedelta(hours=1)
    await books.submit(platform, sale("before", to))
    async with db.write(platform) as scope:
        await period.close(scope, until=until, by="key_1")
    refused = await books.submit(platform, sale("too late", to, if_closed=IfClosed.REFUSE))
    assert isinstance(refused.refusal, PeriodClosed)
    assert refused.refusal.closed_until == until
    moved = await books.submit(platform, sale("moved", to))
    assert moved.entry_id is not None
    async with db.read(platform) as scope:
        entry = (await entries_by_ids(scope, [moved.entry_id]))[moved.entry_id]
    assert (entry.effective_at, entry.occurred_at) == (until, NOON)
