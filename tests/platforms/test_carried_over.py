"""Fee rules of a database from before schedules become schedules of one rule, with their ids and versions."""

import asyncio
from datetime import UTC, datetime

import asyncpg
from alembic import command
from tests.conftest import PostgresServer

from marketbill import migrate
from marketbill.db import Database
from marketbill.embedded.provision import LOGIN_ROLE, provision
from marketbill.ids import PlatformId, new_id
from marketbill.platforms import fee_schedule
from marketbill.platforms.fee_document import document_of
from marketbill.rules.fees.rule import FixedScope


async def test_fee_rules_become_schedules(postgres_server: PostgresServer) -> None:
    name = f"carried_{new_id().hex}"
    await provision(server_url=postgres_server.url(), database=name)
    url = postgres_server.url(database=name)
    config = migrate._config(url)  # pyright: ignore[reportPrivateUsage]
    await asyncio.to_thread(command.upgrade, config, "0010")
    platform, ids = PlatformId(new_id()), [new_id(), new_id()]
    admin = await asyncpg.connect(url)
    await admin.execute(
        "insert into platform (platform_id, name, country, default_currency, fee_tax_rate, hold_from, hold_days,"
        " created_at, updated_at) values ($1, 'Old', 'NL', 'EUR', 21, 'CAPTURE', 0, now(), now())",
        platform,
    )
    for version, (id, percent, fixed, scope) in enumerate(
        [(ids[0], "10", '{"EUR": 30, "JPY": 30, "KWD": 1005}', "ORDER"), (ids[1], "0", "{}", "LINE")], start=1
    ):
        await admin.execute(
            "insert into fee_rule (platform_id, id, version, percent, fixed, fixed_scope, base, fee_tax_mode,"
            " created_at) values ($1, $2, $3, $4::text::numeric, $5, $6, 'NET', 'INCLUSIVE', $7)",
            *(platform, id, version, percent, fixed, scope, datetime(2026, version, 1, tzinfo=UTC)),
        )
    await asyncio.to_thread(command.upgrade, config, "head")
    db = Database(postgres_server.url(database=name, user=LOGIN_ROLE))
    async with db.read(platform) as scope:
        first = await fee_schedule.current(scope, datetime(2026, 1, 20, tzinfo=UTC))
        second = await fee_schedule.current(scope)
    await db.dispose()
    await admin.close()
    postgres_server.execute(f"drop database {name} with (force)")

    assert [(row.id, row.version, row.effective_from.month) for row in (first, second)] == [
        (ids[0], 1, 1),
        (ids[1], 2, 2),
    ]
    [rule] = fee_schedule.schedule_of(first).rules
    assert (str(rule.percent), rule.fixed) == ("10", {"EUR": 30, "JPY": 30, "KWD": 1005})
    [free] = fee_schedule.schedule_of(second).rules
    assert (free.percent, free.fixed, free.fixed_scope) == (0, {}, FixedScope.LINE)
    for row in (first, second):
        assert document_of(fee_schedule.schedule_of(row)) == row.document, "in its one form already"
