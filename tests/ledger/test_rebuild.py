"""What follows from the journal is made again from it, and nothing is made from a journal that does not hold."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import asyncpg
import pytest
from tests.ledger.long_story import close_period, write_after_close, write_long_story
from tests.ledger.worked_journal import START, basket

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger.group_commit import GroupCommit
from marketbill.ledger.journal import post_all
from marketbill.ledger.proof import prove
from marketbill.ledger.rebuild import Comparison, JournalHarmed, TotalsRefused, examine, rebuild


@pytest.fixture
async def admin(admin_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(admin_url)
    yield connection
    await connection.close()


@pytest.fixture
async def books(db: Database, admin: asyncpg.Connection, platform: PlatformId) -> PlatformId:
    for owner in (platform, PlatformId(new_id())):
        await write_long_story(db, owner)
        await close_period(admin, owner, START + timedelta(hours=6))
        await write_after_close(db, owner)
    return platform


async def examined(db: Database, platform: PlatformId) -> Comparison:
    return await examine(partial(db.read, platform))


async def rebuilt(db: Database, platform: PlatformId) -> Comparison:
    return await rebuild(partial(db.read, platform), partial(db.write, platform))


async def test_untouched_books_are_what_follows_from_their_journal(db: Database, books: PlatformId) -> None:
    comparison = await examined(db, books)
    assert comparison.is_equal
    assert comparison.differences == []
    assert comparison.replayed == comparison.stored
    assert (await rebuilt(db, books)).replayed == comparison.replayed


async def test_books_without_entries_are_equal_too(db: Database, platform: PlatformId) -> None:
    assert (await examined(db, platform)).is_equal
    assert (await rebuilt(db, platform)).is_equal


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        ("update ledger_account set debits = debits + 7 where code = 'bank'", ["bank EUR, debits"]),
        (
            "update ledger_account set pending_debits = 0, latest_effective_at = now() where code = 'buyer:credit'",
            ["buyer:credit EUR, pending debits", "buyer:credit EUR, latest effective"],
        ),
        ("delete from ledger_hold", ["hold ent_", "hold ent_"]),
        ("update ledger_hold set expires_at = now()", ["hold ent_", "hold ent_"]),
        (
            "insert into ledger_hold select platform_id, id, null from journal_entry where number = 1",
            ["hold ent_"],
        ),
        ("update ledger_head set hash = sha256(hash)", ["end of the chain"]),
        ("update ledger_head set entries = entries - 1", ["number of entries"]),
        ("update ledger_head set entries = entries + 1", ["number of entries"]),
        ("update ledger_head set postings = 5, recorded_at = now()", ["number of postings", "last recorded"]),
        ("update ledger_head set closed_until = null", ["closed until"]),
        (
            "delete from ledger_head",
            ["number of entries", "number of postings", "end of the chain", "last recorded", "closed until"],
        ),
    ],
)
async def test_what_was_altered_is_put_right_and_told(
    db: Database, admin: asyncpg.Connection, books: PlatformId, harm: str, named: list[str]
) -> None:
    sound = await examined(db, books)
    revision = await admin.fetchval("select revision from ledger_head where platform_id = $1", books)
    await admin.execute(f"{harm} {'and' if ' where ' in harm else 'where'} platform_id = '{books}'")

    before = await examined(db, books)
    assert not before.is_equal
    assert [finding.subject[: len(name)] for finding, name in zip(before.differences, named, strict=True)] == named
    done = await rebuilt(db, books)
    assert (done.stored, done.replayed) == (before.stored, sound.stored)
    assert done.differences == before.differences

    assert (await examined(db, books)).stored == sound.stored
    assert await prove(partial(db.read, books)) == []
    assert await admin.fetchval("select revision from ledger_head where platform_id = $1", books) > revision
    async with db.write(books) as scope:
        await post_all(scope, basket().entries)
    assert await prove(partial(db.read, books)) == []


async def test_who_remembers_the_books_reads_them_again_after_a_rebuild(
    db: Database, admin: asyncpg.Connection, books: PlatformId
) -> None:
    """Group commit took up the wrong totals; what it books after the rebuild stands on the right ones."""
    async with GroupCommit(db) as group:
        await admin.execute(
            "update ledger_account set pending_debits = 5 where platform_id = $1 and code = 'bank'", books
        )
        for _ in range(3):
            await group.submit(books, basket().entries[0])
        assert (await rebuilt(db, books)).differences
        await group.submit(books, basket().entries[0])
    assert await prove(partial(db.read, books)) == []


async def test_books_that_are_right_are_left_alone(db: Database, admin: asyncpg.Connection, books: PlatformId) -> None:
    rows = "select xmin::text, ctid::text from ledger_account union all select xmin::text, ctid::text from ledger_hold"
    before = await admin.fetch(rows)
    await rebuilt(db, books)
    assert await admin.fetch(rows) == before


async def test_nothing_is_rebuilt_from_a_journal_that_does_not_hold(
    db: Database, admin: asyncpg.Connection, books: PlatformId
) -> None:
    await admin.execute("update posting set amount = amount + 1 where platform_id = $1 and number = 3", books)
    await admin.execute("update ledger_account set debits = 0 where platform_id = $1 and code = 'psp:pending'", books)
    with pytest.raises(JournalHarmed, match=r"ent_\w+ \(entry 2\), hash") as refused:
        await rebuilt(db, books)
    assert {finding.rule for finding in refused.value.findings} == {"CHAIN"}
    assert await admin.fetchval(
        "select debits from ledger_account where platform_id = $1 and code = 'psp:pending'", books
    ) == 0  # fmt: skip
    with pytest.raises(JournalHarmed):
        await examined(db, books)


async def test_a_journal_that_was_cut_off_is_not_made_to_look_whole(
    db: Database, admin: asyncpg.Connection, books: PlatformId
) -> None:
    last = await admin.fetchval("select entries from ledger_head where platform_id = $1", books)
    await admin.execute("delete from journal_entry where platform_id = $1 and number = $2", books, last)
    with pytest.raises(JournalHarmed, match=f"entry {last}: expected in the journal, found missing"):
        await rebuilt(db, books)


async def test_an_account_that_is_gone_cannot_be_rebuilt(
    db: Database, admin: asyncpg.Connection, books: PlatformId
) -> None:
    await admin.execute("delete from ledger_account where platform_id = $1 and code = 'bank'", books)
    with pytest.raises(JournalHarmed, match="acc_"):
        await rebuilt(db, books)


async def test_totals_that_break_a_guard_are_not_written(
    db: Database, admin: asyncpg.Connection, books: PlatformId
) -> None:
    """Somebody lowered the ceiling and what the account holds: the journal says that it holds more."""
    await admin.execute(
        "update ledger_account set ceiling = 10, credits = debits, pending_debits = 0"
        " where platform_id = $1 and code = 'buyer:credit'",
        books,
    )
    with pytest.raises(TotalsRefused, match="guard or a ceiling"):
        await rebuilt(db, books)


async def test_books_are_rebuilt_while_others_write(db: Database, admin: asyncpg.Connection, books: PlatformId) -> None:
    async def write() -> None:
        for _ in range(10):
            async with db.write(books) as scope:
                await post_all(scope, basket().entries)

    writing = asyncio.create_task(write())
    while not writing.done():
        await admin.execute("insert into ledger_hold (platform_id, entry_id) values ($1, gen_random_uuid())", books)
        assert (await rebuilt(db, books)).differences
    await writing
    await rebuilt(db, books)
    assert await prove(partial(db.read, books)) == []
