"""The proof finds what an owner of the database changed behind the journal's back, and names the entry."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import asyncpg
import pytest
from tests.ledger.long_story import close_period, write_after_close, write_long_story
from tests.ledger.worked_journal import START, basket

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id, public_id
from marketbill.ledger.audit import history
from marketbill.ledger.journal import post_all
from marketbill.ledger.proof import Finding, Rule, check, prove


@pytest.fixture
async def admin(admin_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(admin_url)
    yield connection
    await connection.close()


@pytest.fixture
async def books(db: Database, platform: PlatformId) -> PlatformId:
    """The worked journal, in three batches, beside a second platform's."""
    for owner in (platform, PlatformId(new_id())):
        entries = basket().entries
        for part in (entries[:3], entries[3:6], entries[6:]):
            async with db.write(owner) as scope:
                await post_all(scope, part)
    return platform


async def findings(db: Database, platform: PlatformId) -> list[Finding]:
    async with db.read(platform) as scope:
        return await check(scope)


async def entry_named(admin: asyncpg.Connection, platform: PlatformId, number: int) -> str:
    id = await admin.fetchval("select id from journal_entry where platform_id = $1 and number = $2", platform, number)
    return f"{public_id('journal entry', id)} (entry {number})"


async def test_untouched_books_are_proven(db: Database, books: PlatformId) -> None:
    assert await findings(db, books) == []


async def test_books_without_entries_are_proven(db: Database, platform: PlatformId) -> None:
    assert await findings(db, platform) == []


async def test_books_with_holds_late_entries_and_closed_periods_are_proven(
    db: Database, admin: asyncpg.Connection, platform: PlatformId
) -> None:
    await write_long_story(db, platform)
    await close_period(admin, platform, START + timedelta(hours=6))
    await write_after_close(db, platform)
    await close_period(admin, platform, START + timedelta(days=40))
    assert await findings(db, platform) == []


@pytest.mark.parametrize(
    ("tampering", "rules", "named"),
    [
        (
            "update posting set amount = amount + 1 where number = 1",
            {Rule.ACCOUNT_TOTALS, Rule.RUNNING_BALANCE, Rule.CHAIN},
            ["(entry 1), hash", "(entry 1), body", "psp:available EUR at posting 1", "psp:available EUR, debits"],
        ),
        (
            "update ledger_account set debits = debits + 1 where code = 'psp:available'",
            {Rule.ACCOUNT_TOTALS, Rule.TRIAL_BALANCE},
            ["psp:available EUR, debits"],
        ),
        (
            "update ledger_account set pending_debits = 1 where code = 'psp:available'",
            {Rule.ACCOUNT_TOTALS},
            ["psp:available EUR, pending debits"],
        ),
        (
            "update ledger_account set debits = debits - 1 where code like 'custody:%:available' and debits > credits",
            {Rule.ACCOUNT_TOTALS, Rule.TRIAL_BALANCE, Rule.CUSTODY_MIRROR},
            ["custody:sel_", "CUSTODY_MIRROR: sel_"],
        ),
        (
            "update ledger_account set latest_effective_at = now() where code = 'bank'",
            {Rule.ACCOUNT_TOTALS},
            ["bank EUR, latest effective"],
        ),
        (
            "delete from posting where number = 1",
            {Rule.ACCOUNT_TOTALS, Rule.RUNNING_BALANCE, Rule.CHAIN},
            ["(entry 1), posting 1: expected 1 postings, found 0", "(entry 1), hash", "bank EUR, credits"],
        ),
        (
            "delete from posting where number = 3",
            {Rule.ACCOUNT_TOTALS, Rule.RUNNING_BALANCE, Rule.CHAIN},
            ["posting 3"],
        ),
        (
            "delete from journal_entry where number = 2",
            {Rule.CHAIN},
            ["entry 2: expected in the journal, found missing"],
        ),
        ("delete from journal_entry where number in (5, 6)", {Rule.CHAIN}, ["entries 5 to 6", "postings 11 to 14"]),
        ("delete from journal_entry where number = 13", {Rule.CHAIN, Rule.ACCOUNT_TOTALS, Rule.HEAD}, ["entry 13"]),
        ("delete from ledger_head", {Rule.HEAD}, ["end of the chain"]),
        ("update ledger_head set hash = sha256('x')", {Rule.HEAD}, ["end of the chain"]),
        (
            "update ledger_head set entries = entries - 1",
            {Rule.HEAD, Rule.ACCOUNT_TOTALS},
            ["(entry 13): expected entries 1 to 12 and no other"],
        ),
        (
            "update journal_entry set reason = '{\"fee_schedule_version\": 2}' where number = 4",
            {Rule.CHAIN},
            ["(entry 4)"],
        ),
        ("update journal_entry set description = 'J9' where number = 4", {Rule.CHAIN}, ["(entry 4), hash"]),
        (
            "update journal_entry set recorded_at = recorded_at + interval '1 microsecond' where number = 4",
            {Rule.CHAIN},
            ["(entry 4), hash"],
        ),
        (
            "update journal_entry set effective_at = effective_at + interval '1 day' where number = 4",
            {Rule.REFERENCE, Rule.CHAIN, Rule.RUNNING_BALANCE, Rule.ACCOUNT_TOTALS},
            ["(entry 4), effective", "(entry 4), hash"],
        ),
        (
            "update posting set debit_balance_after = debit_balance_after + 1 where number = 3",
            {Rule.RUNNING_BALANCE},
            ["at posting 3 of ent_"],
        ),
        ("update posting set debit_lag = 1 where number = 3", {Rule.RUNNING_BALANCE}, ["at posting 3 of ent_"]),
        ("update posting set held = true where number = 3", {Rule.REFERENCE}, ["posting 3 of ent_", "held"]),
        (
            "update ledger_account set code = 'psp:elsewhere' where code = 'psp:available'",
            {Rule.CHAIN, Rule.ACCOUNT_TERMS},
            ["(entry 1), hash", "psp:elsewhere EUR (acc_"],
        ),
        ("update ledger_account set guard = 'NONE' where guard <> 'NONE'", {Rule.ACCOUNT_TERMS}, ["payable EUR (acc_"]),
        ("update ledger_account set state = 'FROZEN' where code = 'bank'", {Rule.ACCOUNT_TERMS}, ["bank EUR (acc_"]),
        ("update posting set currency = 'USD' where number = 3", {Rule.REFERENCE, Rule.CHAIN}, ["posting 3 of ent_"]),
        (
            "update posting set debit_account_id = credit_account_id, credit_account_id = debit_account_id"
            " where number = 1",
            {Rule.ACCOUNT_TOTALS, Rule.RUNNING_BALANCE, Rule.CHAIN},
            ["(entry 1), hash", "bank EUR"],
        ),
        ("update posting set effective_at = 'infinity' where number = 1", {Rule.REFERENCE}, ["posting 1 of ent_"]),
        (
            "update journal_entry set recorded_at = '-infinity' where number = 4",
            {Rule.CHAIN, Rule.RUNNING_BALANCE},
            ["(entry 4), hash"],
        ),
        (
            "update journal_entry set reason = ('{\"a\": 1' || repeat('0', 400) || '}')::jsonb where number = 4",
            {Rule.CHAIN},
            ["(entry 4), hash"],
        ),
        (
            "update journal_entry set reason = (repeat('[', 400) || repeat(']', 400))::jsonb where number = 4",
            {Rule.CHAIN},
            ["(entry 4), hash"],
        ),
        (
            "update journal_entry set posting_count = 2000000000 where number = 4",
            {Rule.CHAIN},
            ["(entry 4), posting", "2000000000"],
        ),
        ("update journal_entry set first_posting = 1 where number = 4", {Rule.CHAIN}, ["(entry 4), first posting"]),
    ],
)
async def test_tampering_is_found_and_named(
    db: Database, admin: asyncpg.Connection, books: PlatformId, tampering: str, rules: set[Rule], named: list[str]
) -> None:
    done = await admin.execute(f"{tampering} {'and' if ' where ' in tampering else 'where'} platform_id = '{books}'")
    assert not done.endswith(" 0")
    found = await findings(db, books)
    assert {finding.rule for finding in found} == set(rules), found
    said = "\n".join(map(str, found))
    assert [name for name in named if name not in said] == [], said


async def test_only_the_altered_entry_is_named(db: Database, admin: asyncpg.Connection, books: PlatformId) -> None:
    """Neither a changed word nor a changed hash makes the entries after it suspicious."""
    for change in ("description = description || '!'", "hash = sha256(hash)"):
        async with admin.transaction():
            await admin.execute(f"update journal_entry set {change} where platform_id = $1 and number = 4", books)
        [finding] = await findings(db, books)
        assert finding.subject == f"{await entry_named(admin, books, 4)}, hash"
        await admin.execute("update journal_entry set description = 'J3' where platform_id = $1 and number = 4", books)


@pytest.mark.parametrize(("one", "other"), [(4, 5), (1, 13)])
async def test_entries_in_another_order_are_found(
    db: Database, admin: asyncpg.Connection, books: PlatformId, one: int, other: int
) -> None:
    swap = "update journal_entry set number = $3 where platform_id = $1 and number = $2"
    for before, after in ((one, 1000), (other, one), (1000, other)):
        await admin.execute(swap, books, before, after)
    subjects = "\n".join(finding.subject for finding in await findings(db, books))
    for number in (one, other):
        assert f"{await entry_named(admin, books, number)}, hash" in subjects


@pytest.mark.parametrize(
    ("one", "other", "entries"),
    [(2, 3, (2,)), (1, 2, (1, 2)), (1, 20, (1, 9))],
    ids=["within an entry", "of neighbours", "far apart"],
)
async def test_postings_in_another_order_are_found(
    db: Database, admin: asyncpg.Connection, books: PlatformId, one: int, other: int, entries: tuple[int, ...]
) -> None:
    swap = "update posting set number = $3 where platform_id = $1 and number = $2"
    for before, after in ((one, 1000), (other, one), (1000, other)):
        await admin.execute(swap, books, before, after)
    subjects = "\n".join(finding.subject for finding in await findings(db, books))
    for number in entries:
        assert f"{await entry_named(admin, books, number)}, hash" in subjects


async def test_a_guard_that_was_bypassed_is_found(db: Database, admin: asyncpg.Connection, books: PlatformId) -> None:
    await admin.execute("alter table ledger_account drop constraint ledger_account_guard_holds_check")
    await admin.execute(
        "update ledger_account set debits = credits + 5 where platform_id = $1 and code like 'seller:%:payable'", books
    )
    found = await findings(db, books)
    assert {finding.found for finding in found if finding.rule is Rule.GUARD} == {"-5"}


async def test_an_entry_smuggled_in_is_found(db: Database, admin: asyncpg.Connection, books: PlatformId) -> None:
    for number in (101, 0):
        await admin.execute(
            "insert into journal_entry select (jsonb_populate_record(e, jsonb_build_object("
            "'id', gen_random_uuid(), 'number', $2::bigint, 'key', $2::text))).*"
            " from journal_entry e where platform_id = $1 and number = 1",
            books,
            number,
        )
    names = [await entry_named(admin, books, number) for number in (101, 0)]
    assert [finding.subject for finding in await findings(db, books)] == names


@pytest.mark.parametrize("page", [1, 5, 100])
async def test_a_second_entry_of_one_number_is_found(
    db: Database, admin: asyncpg.Connection, books: PlatformId, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(history, "ENTRIES_PAGE", page)
    await admin.execute("alter table journal_entry drop constraint journal_entry_platform_id_number_key")
    await admin.execute(
        "insert into journal_entry select (jsonb_populate_record(e, jsonb_build_object("
        "'id', gen_random_uuid(), 'key', 'twice'))).* from journal_entry e where platform_id = $1 and number = 5",
        books,
    )
    said = "\n".join(map(str, await findings(db, books)))
    assert "(entry 5)" in said or "entries 1 to 13: expected 13 rows, found 14" in said


async def test_holds_that_are_open_in_one_place_only_are_found(
    db: Database, admin: asyncpg.Connection, platform: PlatformId
) -> None:
    await write_long_story(db, platform)
    open_one = await admin.fetchval(
        "select entry_id from ledger_hold where platform_id = $1 and expires_at is null", platform
    )
    posted = await admin.fetchval("select id from journal_entry where platform_id = $1 and number = 1", platform)
    await admin.execute("update ledger_hold set entry_id = $2 where entry_id = $1", open_one, posted)
    found = {finding.subject: finding.found for finding in await findings(db, platform)}
    assert found == {
        f"hold {public_id('journal entry', open_one)}": "not open",
        f"hold {public_id('journal entry', posted)}": "open, until none",
    }


async def test_an_entry_written_into_a_closed_period_is_found(
    db: Database, admin: asyncpg.Connection, platform: PlatformId
) -> None:
    """Somebody opened the books for a moment: every hash is right, and the entry is where none could come."""
    await write_long_story(db, platform)
    await close_period(admin, platform, START + timedelta(days=10))
    closed_until = await admin.fetchval("select closed_until from ledger_head where platform_id = $1", platform)
    await admin.execute("update ledger_head set closed_until = null where platform_id = $1", platform)
    await write_after_close(db, platform)
    await admin.execute("update ledger_head set closed_until = $2 where platform_id = $1", platform, closed_until)
    last = await admin.fetchval("select entries from ledger_head where platform_id = $1", platform)
    [finding] = await findings(db, platform)
    assert (finding.rule, finding.subject) == (Rule.PERIOD, await entry_named(admin, platform, last - 1))


async def test_a_row_that_cannot_be_read_is_named_and_the_rest_is_proven(
    db: Database, admin: asyncpg.Connection, books: PlatformId
) -> None:
    await admin.execute("create cast (bytea as text) without function")
    await admin.execute(
        r"update journal_entry set description = '\xff'::bytea::text where platform_id = $1 and number = 4", books
    )
    await admin.execute("update posting set amount = amount + 1 where platform_id = $1 and number = 15", books)
    said = "\n".join(map(str, await findings(db, books)))
    assert "CHAIN: entry 4: expected a row that can be read, found UnicodeDecodeError" in said
    assert "(entry 7), hash" in said
    assert "entry 5" not in said


async def test_books_are_proven_while_they_are_written(db: Database, books: PlatformId) -> None:
    """What is compared is their state when the proof began, though many entries come after that."""
    done: list[tuple[int, int]] = []

    async def write() -> None:
        for _ in range(10):
            async with db.write(books) as scope:
                await post_all(scope, basket().entries)

    writing = asyncio.create_task(write())
    while not writing.done():
        assert await prove(partial(db.read, books), progress=lambda entries, total: done.append((entries, total))) == []
    await writing
    assert await prove(partial(db.read, books)) == []
    assert done[-1][0] == done[-1][1] > 13


async def test_pages_and_batches_may_end_anywhere(
    db: Database, admin: asyncpg.Connection, books: PlatformId, monkeypatch: pytest.MonkeyPatch
) -> None:
    await admin.execute("update posting set amount = amount + 1 where platform_id = $1 and number = 15", books)
    whole = await findings(db, books)
    for entries, postings in ((1, 1), (2, 3), (5, 4), (3, 100)):
        monkeypatch.setattr(history, "ENTRIES_PAGE", entries)
        monkeypatch.setattr(history, "POSTINGS_PAGE", postings)
        assert await findings(db, books) == whole
