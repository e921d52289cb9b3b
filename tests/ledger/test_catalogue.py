"""What the catalogue and the plans say: all is keyed by platform, no trigger is needed, no statement sees two tenants.

The plans are read as the server made them, in the sessions of the product: `auto_explain` sends each to the client.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event
from tests.ledger.moves import Operator, outcomes, release, sale, seller, spend

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger.entry import JournalEntry, Phase
from marketbill.ledger.group_commit import GroupCommit
from marketbill.ledger.store import READ, WRITE

MAY_CHANGE = {
    "ledger_account": {"SELECT", "INSERT", "UPDATE"},
    "ledger_head": {"SELECT", "INSERT", "UPDATE"},
    "journal_entry": {"SELECT", "INSERT"},
    "posting": {"SELECT", "INSERT"},
    "ledger_hold": {"SELECT", "INSERT", "DELETE"},
    "ledger_period": {"SELECT", "INSERT"},
    "ledger_account_change": {"SELECT", "INSERT"},
    "ledger_correction": {"SELECT", "INSERT", "UPDATE"},
    "ledger_correction_limit": {"SELECT", "INSERT"},
}
TABLES = set(MAY_CHANGE)
HOT = {"ledger_account", "ledger_head", "journal_entry", "posting", "ledger_hold"}
PROBES = ("Index Scan", "Index Only Scan")
#: Rows that a platform has in each table when its books have grown.
GROWN = 5_000
#: Pages that a probe of an index may touch: its levels, the row's page, and the versions of a row that moved.
PAGES_A_PROBE = 8

_LEDGER = "(c.relname like 'ledger\\_%' or c.relname in ('journal_entry', 'posting')) and n.nspname = 'public'"
_OF_TABLES = f"from pg_class c join pg_namespace n on n.oid = c.relnamespace and {_LEDGER} and c.relkind in ('r', 'p')"
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_EXPLAIN = """
set role postgres;
load 'auto_explain';
set auto_explain.log_min_duration = 0;
set auto_explain.log_nested_statements = on;
set auto_explain.log_analyze = on;
set auto_explain.log_buffers = on;
set auto_explain.log_timing = off;
set auto_explain.log_verbose = on;
set auto_explain.log_format = json;
set client_min_messages = log;
set role marketbill_app;
"""
_GROW = (
    "insert into ledger_head values ($1, 0, 0, decode(repeat('00', 32), 'hex'), now(), null, 0) on conflict do nothing",
    """
    insert into ledger_account (platform_id, id, code, currency, kind, side, owner_type, owner_id, guard, state, debits,
                                credits, pending_debits, pending_credits, opened_at, terms_hash)
    select $1, gen_random_uuid(), 'seller:' || n || ':grown', 'EUR', 'seller-pending', 'CREDIT', 'seller',
           gen_random_uuid(), 'NONE', 'OPEN', 0, 0, 0, 0, now(), '' from generate_series(1, $2::int) as n
    """,
    """
    insert into journal_entry (platform_id, id, number, key, body_hash, kind, source_type, source_id, description,
                               reason, effective_at, recorded_at, phase, first_posting, posting_count, hash)
    select $1, gen_random_uuid(), 1000000 + n, 'grown-' || n, '', 'manual', 'correction', gen_random_uuid(), '', '{}',
           now(), now(), 'POSTED', 1000000 + n, 1, '' from generate_series(1, $2::int) as n
    """,
    """
    insert into posting (platform_id, number, entry_number, debit_account_id, credit_account_id, amount, effective_at,
                         debit_balance_after, credit_balance_after, currency, debit_lag, credit_lag, held)
    select $1, 1000000 + n, 1000000 + n, gen_random_uuid(), gen_random_uuid(), 1, now(), 0, 0, 'EUR', 0, 0,
           false from generate_series(1, $2::int) as n
    """,
    "insert into ledger_hold select $1, gen_random_uuid(), now() from generate_series(1, $2::int)",
)


class Plans:
    """Every plan that a session's statements ran by, the inner ones of a function before its own."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def watch(self, connection: Any, _: object) -> None:
        connection.run_async(self._explain)

    async def _explain(self, driver: asyncpg.Connection) -> None:
        await driver.execute(_EXPLAIN)
        driver.add_log_listener(self._hear)

    def _hear(self, _: object, message: Any) -> None:
        _, found, plan = str(message.message).partition("plan:\n")
        if found:
            is_inside = "PL/pgSQL function" in (message.context or "")
            self.seen.append(json.loads(plan) | {"Is Inside": is_inside})

    def calls(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The calls of the two functions, in order: what was called, and the plans of the statements inside."""
        inside: list[dict[str, Any]] = []
        for plan in self.seen:
            if plan["Query Text"] in (READ, WRITE):
                yield plan["Query Text"], inside
                inside = []
            elif plan["Is Inside"]:
                inside.append(plan)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def scans(plans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where rows of the books are looked up."""
    found = [node for plan in plans for node in nodes(plan["Plan"])]
    return [node for node in found if node.get("Relation Name") in TABLES and node["Node Type"] != "ModifyTable"]


def pages(node: dict[str, Any]) -> int:
    return node["Shared Hit Blocks"] + node["Shared Read Blocks"]


async def grow(operator: Operator, platform: PlatformId, rows: int = GROWN) -> None:
    """Gives a platform books that no batch names."""
    for statement in _GROW:
        await operator.sql.execute(statement, *((platform, rows) if "$2" in statement else (platform,)))


@pytest.fixture
def plans() -> Plans:
    return Plans()


@pytest.fixture
async def explained(admin_url: str, plans: Plans) -> AsyncIterator[GroupCommit]:
    """Books over one lane, in which every plan is heard; what is asked at one moment goes in one transaction."""
    db = Database(admin_url)
    event.listen(db.lanes.sync_engine, "connect", plans.watch)
    async with GroupCommit(db, lanes=1) as books:
        yield books
    await db.dispose()


@pytest.fixture
async def two(operator: Operator, platform: PlatformId) -> list[PlatformId]:
    """Two platforms with grown books, which the server has counted."""
    both = [platform, PlatformId(new_id())]
    for one in both:
        await grow(operator, one)
    await operator.sql.execute("analyze ledger_account, ledger_head, journal_entry, posting, ledger_hold")
    return both


async def ask(books: GroupCommit, platforms: list[PlatformId], *entries: JournalEntry) -> None:
    """Books an entry of each platform, all at one moment."""
    asked = (books.submit(platform, one) for platform, one in zip(platforms, entries, strict=True))
    assert set(outcomes(await asyncio.gather(*asked))) == {"POSTED"}


async def test_the_catalogue_lists_the_tables_that_are_checked_here(operator: Operator) -> None:
    assert {row[0] for row in await operator.sql.fetch(f"select c.relname {_OF_TABLES}")} == TABLES


async def test_every_unique_index_holds_the_platform_and_the_primary_key_begins_with_it(operator: Operator) -> None:
    rows = await operator.sql.fetch(
        f"""
        select c.relname as table, i.indexrelid::regclass::text as index, i.indisprimary as is_primary,
               array(select a.attname from unnest(i.indkey::int2[]) with ordinality as k (attnum, place)
                     join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                     order by k.place)::text[] as columns
        {_OF_TABLES} join pg_index i on i.indrelid = c.oid and i.indisunique
        """
    )
    assert {row["table"] for row in rows if row["is_primary"]} == TABLES
    assert [row["index"] for row in rows if row["is_primary"] and row["columns"][0] != "platform_id"] == []
    assert [row["index"] for row in rows if "platform_id" not in row["columns"]] == []


async def test_every_table_stands_behind_a_wall_that_holds_for_its_owner_too(operator: Operator) -> None:
    rows = await operator.sql.fetch(
        f"""
        select c.relname as table, c.relrowsecurity as is_on, c.relforcerowsecurity as is_forced,
               array(select pg_get_expr(p.polqual, c.oid) from pg_policy p
                     where p.polrelid = c.oid and 'marketbill_app'::regrole = any(p.polroles)) as policies
        {_OF_TABLES}
        """
    )
    for row in rows:
        assert (row["is_on"], row["is_forced"]) == (True, True), row["table"]
        assert len(row["policies"]) == 1, row["table"]
        assert re.search(r"platform_id = .*current_setting\('app\.platform_id'", row["policies"][0]), row["table"]


async def test_nothing_hangs_on_a_trigger_a_rule_or_a_foreign_key(operator: Operator) -> None:
    rows = await operator.sql.fetch(
        f"""
        select c.relname, t.tgname as name {_OF_TABLES} join pg_trigger t on t.tgrelid = c.oid
        union all
        select c.relname, r.rulename {_OF_TABLES} join pg_rewrite r on r.ev_class = c.oid
        union all
        select c.relname, f.conname
        {_OF_TABLES} join pg_constraint f on f.contype = 'f' and c.oid in (f.conrelid, f.confrelid)
        """
    )
    assert [tuple(row) for row in rows] == []


async def test_the_app_has_the_rights_it_needs_and_no_other(operator: Operator) -> None:
    rows = await operator.sql.fetch(
        f"""
        select c.relname, r.name {_OF_TABLES}
        cross join unnest($1::text[]) as r (name)
        where has_table_privilege('marketbill_app', c.oid, r.name)
           or r.name in ('INSERT', 'UPDATE') and has_any_column_privilege('marketbill_app', c.oid, r.name)
        """,
        _RIGHTS,
    )
    assert {table: {row[1] for row in rows if row[0] == table} for table in TABLES} == MAY_CHANGE


async def test_the_functions_run_with_the_rights_of_who_calls_them(operator: Operator) -> None:
    rows = await operator.sql.fetch(
        "select proname, prosecdef from pg_proc where proname like 'ledger\\_%' order by proname"
    )
    assert [tuple(row) for row in rows] == [("ledger_read", False), ("ledger_write", False)]


async def test_a_batch_of_two_platforms_probes_the_books_of_one_at_a_time(
    explained: GroupCommit, plans: Plans, operator: Operator, two: list[PlatformId]
) -> None:
    to = seller()
    await ask(explained, two, sale("sale", to), sale("sale", to))
    await ask(explained, two, sale("again", to), sale("again", to))

    calls = list(plans.calls())
    assert [called for called, _ in calls] == [READ, READ, WRITE, WRITE, WRITE, WRITE]
    for called, inside in calls:
        assert {node["Relation Name"] for node in scans(inside)} >= {"ledger_head", "journal_entry"}, called
        for node in scans(inside):
            assert node["Node Type"] in PROBES, node
            # The function's first value is the only tenant that a statement inside it can name.
            assert re.findall(r"platform_id = ([^)]+)\)", node["Index Cond"]) == ["$1"], node
        written = [node for plan in inside for node in nodes(plan["Plan"]) if node["Node Type"] == "ModifyTable"]
        for node in written:
            arbiters = node.get("Conflict Arbiter Indexes", [])
            assert set(arbiters) <= {"ledger_account_pkey", "ledger_head_pkey"}, node


async def test_what_resolves_an_entry_probes_for_it_and_its_postings(
    explained: GroupCommit, plans: Plans, operator: Operator, two: list[PlatformId]
) -> None:
    to = seller()
    await ask(explained, two, sale("sale", to), sale("sale", to))
    await ask(explained, two, *(spend("hold", to, 10, phase=Phase.HELD) for _ in two))
    held = [await operator.entry_id(one, "hold") for one in two]
    plans.seen.clear()
    await ask(explained, two, *(release("release", id) for id in held))

    found = scans(plans.seen)
    assert {node["Relation Name"] for node in found} == HOT
    for node in found:
        assert node["Node Type"] in PROBES, node
        assert "platform_id = " in node["Index Cond"], node
        assert node.get("Rows Removed by Filter", 0) == 0, node


async def test_plans_made_on_empty_tables_stay_probes_when_the_books_have_grown(
    explained: GroupCommit, plans: Plans, operator: Operator, platform: PlatformId
) -> None:
    for table in ("ledger_account", "ledger_head", "journal_entry", "posting"):
        # No fresh statistics, for which the server would plan anew.
        await operator.sql.execute(f"alter table {table} set (autovacuum_enabled = false)")
    to, more = [seller() for _ in range(3)], [seller() for _ in range(3)]
    await explained.submit_linked(platform, [sale(f"first-{n}", ref) for n, ref in enumerate(to)])
    assert [called for called, _ in plans.calls()] == [READ, WRITE]
    for one in (platform, PlatformId(new_id())):
        await grow(operator, one, 2 * GROWN)
    plans.seen.clear()

    await explained.submit_linked(platform, [sale(f"second-{n}", ref) for n, ref in enumerate([*to, *more])])
    await explained.submit_linked(platform, [sale(f"third-{n}", ref) for n, ref in enumerate([*to, *more])])

    calls = list(plans.calls())
    assert [called for called, _ in calls] == [READ, WRITE, WRITE]
    for _, inside in calls:
        for node in scans(inside):
            assert node["Node Type"] in PROBES, node
            assert node.get("Rows Removed by Filter", 0) == 0, node
            assert node["Actual Rows"] <= 1, node
            assert pages(node) <= PAGES_A_PROBE * node["Actual Loops"], node
