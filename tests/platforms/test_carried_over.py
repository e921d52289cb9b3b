"""What a database from before schedules holds: its fee rules become schedules, and its sales are booked as agreed."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import asyncpg
from alembic import command
from tests.conftest import PostgresServer

from marketbill import migrate
from marketbill.db import Database
from marketbill.embedded.provision import LOGIN_ROLE, provision
from marketbill.ids import PaymentId, PlatformId, SellerId, new_id, public_id
from marketbill.payments.settle import ChargeFact, settle
from marketbill.platforms import fee_schedule
from marketbill.platforms.fee_document import document_of
from marketbill.rules.fees.rule import FixedScope
from marketbill.statements.fee_report import FeeRow, fee_report


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


#: Who migrates may own the tables and be no superuser, as on a managed server: row-level security then holds for him.
_OWNED_BY = """
do $$ declare found record; begin
  for found in select tablename from pg_tables where schemaname = 'public' loop
    execute format('alter table public.%I owner to {owner}', found.tablename);
  end loop;
end $$
"""


async def test_a_sale_of_before_is_booked_as_it_was_split(postgres_server: PostgresServer) -> None:
    name, owner = f"carried_{new_id().hex}", f"owner_{new_id().hex}"
    await provision(server_url=postgres_server.url(), database=name)
    config = migrate._config(postgres_server.url(database=name))  # pyright: ignore[reportPrivateUsage]
    await asyncio.to_thread(command.upgrade, config, "0009")
    platform, sale, seller, rule = PlatformId(new_id()), PaymentId(new_id()), SellerId(new_id()), new_id()
    admin = await asyncpg.connect(postgres_server.url(database=name))
    await admin.execute(
        "insert into platform (platform_id, name, country, default_currency, fee_tax_rate, hold_from, hold_days,"
        " created_at, updated_at) values ($1, 'Old', 'NL', 'EUR', 21, 'CAPTURE', 0, now(), now())",
        platform,
    )
    await admin.execute(
        "insert into fee_rule (platform_id, id, version, percent, fixed, fixed_scope, base, fee_tax_mode, created_at)"
        " values ($1, $2, 1, 10, '{}', 'ORDER', 'GROSS', 'EXCLUSIVE', now())",
        *(platform, rule),
    )
    trace = {"trace_version": 1, "fee_rule": {"id": public_id("fee schedule", rule), "version": 1}, "lines": []}
    await admin.execute(
        "insert into payment (platform_id, id, currency, gross, tax, fee, fee_tax, seller_net, fee_rule_id, hold_from,"
        " hold_days, tax_country, status, created_at, updated_at, trace)"
        " values ($1, $2, 'EUR', 1000, 0, 100, 21, 879, $3, 'CAPTURE', 0, 'NL', 'PROCESSING', now(), now(), $4)",
        *(platform, sale, rule, json.dumps(trace)),
    )
    await admin.execute(
        "insert into seller (platform_id, id, name, email, country, vat_number_valid, transfers, requirements,"
        " created_at, updated_at)"
        " values ($1, $2, 'A', 'a@example.org', 'NL', false, 'UNREQUESTED', '{}', now(), now())",
        *(platform, seller),
    )
    await admin.execute(
        "insert into payment_share (platform_id, payment_id, seller_id, gross, tax, fee, fee_tax, seller_net,"
        " fee_tax_rule) values ($1, $2, $3, 1000, 0, 100, 21, 879, 'fee-vat:domestic')",
        *(platform, sale, seller),
    )
    await admin.execute(f"create role {owner} login createrole nosuperuser nobypassrls")
    await admin.execute(_OWNED_BY.replace("{owner}", owner))
    await admin.execute(f"grant create, usage on schema public to {owner}")
    await admin.close()
    own = migrate._config(postgres_server.url(database=name, user=owner))  # pyright: ignore[reportPrivateUsage]
    await asyncio.to_thread(command.upgrade, own, "head")

    db = Database(postgres_server.url(database=name, user=LOGIN_ROLE))
    at = datetime.now(UTC)
    async with db.write(platform) as scope:
        await settle(scope, [ChargeFact(sale, "pi_1", "ch_1", 1000, "EUR", at)])
    async with db.read(platform) as scope:
        report = await fee_report(scope, start=at - timedelta(days=1), end=at + timedelta(days=1), currency="EUR")
    await db.dispose()
    postgres_server.execute(f"drop database {name} with (force)")
    postgres_server.execute(f"drop role {owner}")
    assert report.rows == (
        FeeRow(seller, public_id("fee schedule", rule), 1, sales=1, gross=1000, fee=100, fee_tax=21),
    )
