"""The tables in code are the tables that the migrations build, and a post costs two statements whatever its size."""

from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, event
from sqlalchemy.ext.asyncio import create_async_engine

from marketbill.db import Database, async_url
from marketbill.ids import PlatformId, SellerId, new_id
from marketbill.ledger import chart, model
from marketbill.ledger.journal import JournalEntry, Posting, Source, post

TABLES = (
    model.ledger_account,
    model.ledger_head,
    model.journal_entry,
    model.posting,
    model.ledger_hold,
    model.ledger_period,
)


async def test_tables_in_code_equal_the_migrated_ones(admin_url: str) -> None:
    expected = MetaData(naming_convention=model.posting.metadata.naming_convention)
    for table in TABLES:
        table.to_metadata(expected)

    def differences(connection: Connection) -> list[str]:
        names = {table.name for table in TABLES}
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, type_, _: type_ != "table" or name in names,
            },
        )
        return [str(difference) for difference in compare_metadata(context, expected)]

    engine = create_async_engine(async_url(admin_url))
    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await engine.dispose()


@pytest.mark.parametrize("size", [1, 50])
async def test_a_post_is_two_statements(db: Database, platform: PlatformId, size: int) -> None:
    seen: list[str] = []
    event.listen(db.app.sync_engine, "before_cursor_execute", lambda *call: seen.append(call[2]))

    def entries(name: str) -> list[JournalEntry]:
        return [
            JournalEntry(
                key=f"{name}-{number}",
                kind="manual",
                source=Source("correction", new_id()),
                postings=(
                    Posting(chart.psp_pending("EUR"), chart.seller_pending(SellerId(new_id()), "EUR"), 100),
                    Posting(chart.psp_fee("EUR"), chart.psp_pending("EUR"), 3),
                ),
                effective_at=datetime.now(UTC),
                description="A sale",
                reason={},
            )
            for number in range(size)
        ]

    async with db.write(platform) as scope:
        await post(scope, entries("first"))
        before = len(seen)
        await post(scope, entries("second"))
    assert len(seen) - before == 2
