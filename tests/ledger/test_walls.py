"""The walls: the app's role cannot change or remove what is written, nor see another platform's books."""

from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.ledger.worked_journal import basket

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger.accounts import accounts, accounts_by_ids
from marketbill.ledger.balances import balance_at
from marketbill.ledger.entries import entries_by_ids, entries_by_sources, postings_by_ids
from marketbill.ledger.journal import post, post_all
from marketbill.ledger.movements import movements

TABLES = ("ledger_account", "ledger_head", "journal_entry", "posting")


@pytest.mark.parametrize("table", ["journal_entry", "posting", "ledger_period"])
@pytest.mark.parametrize(
    "statement",
    ["update {} set platform_id = platform_id", "delete from {}", "truncate {}"],
)
async def test_what_is_written_stands(db: Database, platform: PlatformId, table: str, statement: str) -> None:
    async with db.write(platform) as scope:
        await post_all(scope, basket().entries)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with db.write(platform) as scope:
            await scope.run(text(statement.format(table)))


@pytest.mark.parametrize("table", ["ledger_account", "ledger_head"])
@pytest.mark.parametrize("statement", ["delete from {}", "truncate {}"])
async def test_accounts_and_the_chains_end_cannot_be_removed(
    db: Database, platform: PlatformId, table: str, statement: str
) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with db.write(platform) as scope:
            await scope.run(text(statement.format(table)))


async def test_a_read_scope_cannot_post(db: Database, platform: PlatformId) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with db.read(platform) as scope:
            await post_all(scope, basket().entries)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("table", TABLES)
async def test_raw_sql_sees_only_the_platform_it_entered(db: Database, platform: PlatformId, table: str) -> None:
    other = PlatformId(new_id())
    async with db.write(platform) as scope:
        await post_all(scope, basket().entries)
    async with db.write(other) as scope:
        assert await scope.scalar(text(f"select count(*) from {table}")) == 0
    async with db.read(platform) as scope:
        assert await scope.scalar(text(f"select count(*) from {table}")) > 0


async def test_raw_sql_cannot_write_into_another_platforms_books(db: Database, platform: PlatformId) -> None:
    other = PlatformId(new_id())
    async with db.write(platform) as scope:
        await post_all(scope, basket().entries)
    async with db.write(other) as scope:
        assert await scope.run(text("update ledger_account set debits = debits + 1")) == 0
    with pytest.raises(DBAPIError, match="row-level security"):
        async with db.write(other) as scope:
            await scope.run(
                text("insert into ledger_head values (:platform, 0, 0, :hash, now(), null, 0)"),
                {"platform": platform, "hash": bytes(32)},
            )


async def test_another_platforms_ids_answer_like_unknown_ones(db: Database, platform: PlatformId) -> None:
    sale = basket()
    async with db.write(platform) as scope:
        results = await post(scope, sale.entries)
    async with db.read(platform) as scope:
        owned = [account.id for account in await accounts(scope)]
    entry_ids = [result.entry_id for result in results if result.entry_id]
    async with db.read(PlatformId(new_id())) as scope:
        assert await accounts_by_ids(scope, owned) == {}
        assert await entries_by_ids(scope, entry_ids) == {}
        assert await postings_by_ids(scope, [UUID(int=id.int + 1) for id in entry_ids]) == {}
        assert await entries_by_sources(scope, [sale.entries[1].source.id]) == {sale.entries[1].source.id: []}
        assert not any((await movements(scope, owned)).values())
        assert await balance_at(scope, owned, sale.entries[-1].effective_at) == {}


async def test_two_platforms_keep_the_same_story_apart(db: Database, admin_url: str) -> None:
    sale, platforms = basket(), [PlatformId(new_id()), PlatformId(new_id())]
    for platform in platforms:
        async with db.write(platform) as scope:
            await post_all(scope, sale.entries)
    for platform in platforms:
        async with db.read(platform) as scope:
            held = {(account.code, account.currency): account.balance for account in await accounts(scope, limit=1000)}
        assert held == sale.balances()
    connection = await asyncpg.connect(admin_url)
    try:
        assert await connection.fetchval("select count(*) from journal_entry") == 2 * len(sale.entries)
    finally:
        await connection.close()
