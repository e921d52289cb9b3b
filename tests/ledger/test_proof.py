"""The proof finds what an owner of the database changed behind the journal's back."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.ledger.worked_journal import basket

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger.journal import post_all
from marketbill.ledger.proof import Finding, Rule, check


@pytest.fixture
async def admin(admin_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(admin_url)
    yield connection
    await connection.close()


@pytest.fixture
async def books(db: Database, platform: PlatformId) -> PlatformId:
    """The worked journal, in three blocks, beside a second platform's."""
    for owner in (platform, PlatformId(new_id())):
        entries = basket().entries
        for part in (entries[:3], entries[3:6], entries[6:]):
            async with db.write(owner) as scope:
                await post_all(scope, part)
    return platform


async def findings(db: Database, platform: PlatformId) -> list[Finding]:
    async with db.read(platform) as scope:
        return await check(scope)


async def test_untouched_books_are_proven(db: Database, books: PlatformId) -> None:
    assert await findings(db, books) == []


async def test_books_without_entries_are_proven(db: Database, platform: PlatformId) -> None:
    assert await findings(db, platform) == []


@pytest.mark.parametrize(
    ("tampering", "rules", "named"),
    [
        (
            "update posting set amount = amount + 1 where amount = 20000",
            {Rule.ACCOUNT_TOTALS, Rule.RUNNING_BALANCE, Rule.CHAIN},
            "psp:available EUR",
        ),
        (
            "update ledger_account set debits = debits + 1 where code = 'psp:available'",
            {Rule.ACCOUNT_TOTALS, Rule.TRIAL_BALANCE},
            "psp:available EUR",
        ),
        (
            "update ledger_account set debits = debits + 1, credits = credits + 1 where code = 'psp:available'",
            {Rule.ACCOUNT_TOTALS},
            "psp:available EUR",
        ),
        (
            "update ledger_account set debits = debits - 1 where code like 'custody:%:available' and debits > credits",
            {Rule.ACCOUNT_TOTALS, Rule.TRIAL_BALANCE, Rule.CUSTODY_MIRROR},
            "sel_",
        ),
        ("delete from posting where amount = 20000", {Rule.ACCOUNT_TOTALS, Rule.RUNNING_BALANCE, Rule.CHAIN}, "bank"),
        ("delete from journal_entry where number = 2", {Rule.REFERENCE, Rule.CHAIN}, "entry 2"),
        ("delete from ledger_block where number = 2", {Rule.CHAIN}, "block 3"),
        ("delete from ledger_block where number = 3", {Rule.CHAIN}, "blocks"),
        ("update ledger_head set hash = sha256('x')", {Rule.CHAIN}, "end of the chain"),
        ("update ledger_head set entries = entries - 1", {Rule.CHAIN}, "entries"),
        ("update journal_entry set reason = '{\"fee_rule_version\": 2}' where number = 4", {Rule.CHAIN}, "block 2"),
        ("update journal_entry set description = 'J9' where number = 4", {Rule.CHAIN}, "block 2"),
        (
            "update journal_entry set recorded_at = recorded_at + interval '1 microsecond' where number = 4",
            {Rule.CHAIN},
            "block 2",
        ),
        ("update journal_entry set key = 'other' where number = 4", {Rule.CHAIN}, "block 2"),
        ("update journal_entry set kind = 'other' where number = 4", {Rule.CHAIN}, "ent_"),
        (
            "update journal_entry set effective_at = effective_at + interval '1 day' where number = 4",
            {Rule.REFERENCE, Rule.CHAIN},
            "effective time",
        ),
        (
            "update posting set debit_balance_after = debit_balance_after + 1 where number = 3",
            {Rule.RUNNING_BALANCE},
            "",
        ),
        ("update posting set debit_late = true where number = 3", {Rule.RUNNING_BALANCE}, "posting 3"),
        ("update ledger_account set code = 'psp:elsewhere' where code = 'psp:available'", {Rule.CHAIN}, "block 1"),
        (
            "update posting set currency = 'USD' where number = 3",
            {Rule.REFERENCE, Rule.CHAIN},
            "posting 3",
        ),
        (
            "update posting p set debit_account_id = p.credit_account_id, credit_account_id = p.debit_account_id"
            " where amount = 20000",
            {Rule.ACCOUNT_TOTALS, Rule.RUNNING_BALANCE, Rule.CHAIN},
            "bank EUR",
        ),
    ],
)
async def test_tampering_is_found_and_named(
    db: Database, admin: asyncpg.Connection, books: PlatformId, tampering: str, rules: set[Rule], named: str
) -> None:
    await admin.execute(f"{tampering} {'and' if ' where ' in tampering else 'where'} platform_id = '{books}'")
    found = await findings(db, books)
    assert {finding.rule for finding in found} == set(rules)
    assert named in "\n".join(map(str, found))


async def test_a_guard_that_was_bypassed_is_found(db: Database, admin: asyncpg.Connection, books: PlatformId) -> None:
    await admin.execute("alter table ledger_account drop constraint ledger_account_guard_holds_check")
    await admin.execute(
        "update ledger_account set debits = credits + 5 where platform_id = $1 and code like 'seller:%:payable'", books
    )
    found = await findings(db, books)
    assert {finding.found for finding in found if finding.rule is Rule.GUARD} == {"-5"}


async def test_an_entry_smuggled_in_is_found(db: Database, admin: asyncpg.Connection, books: PlatformId) -> None:
    await admin.execute(
        "insert into journal_entry select platform_id, gen_random_uuid(), number + 100, key || '!', body_hash, kind,"
        " source_type, source_id, description, reason, effective_at, recorded_at, block"
        " from journal_entry where platform_id = $1 and number = 1",
        books,
    )
    assert [str(finding) for finding in await findings(db, books)] == [
        "CHAIN: number of entries: expected 13, found 14"
    ]
