"""Books with everything in them that a platform's books can hold, in every column a value and in some none."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from tests.ledger.worked_journal import EUR, START, basket

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger import chart
from marketbill.ledger.chain import GENESIS, period_line, seal
from marketbill.ledger.chart import BUYER_CREDIT, AccountRef
from marketbill.ledger.entry import JournalEntry, Outcome, Phase, Posting, Source
from marketbill.ledger.journal import post

WALLET = AccountRef(BUYER_CREDIT, EUR, ceiling=100_000)


async def write_long_story(db: Database, platform: PlatformId) -> None:
    """The worked journal, a wallet, holds of every fate, a late entry, a reversal, and a period closed on the way."""
    for part in _in_three(basket().entries):
        await _post(db, platform, part)
    await _post(db, platform, [_entry("fill", [Posting(chart.bank(EUR), WALLET, 50_000)])])
    holds = await _post(
        db,
        platform,
        [
            _entry(f"hold-{name}", [Posting(WALLET, chart.bank(EUR), 1_000)], phase=Phase.HELD, expires_at=ends)
            for name, ends in (("a", None), ("b", None), ("c", START + timedelta(days=4000)), ("d", None))
        ],
    )
    await _post(
        db,
        platform,
        [
            _entry("taken", [Posting(WALLET, chart.bank(EUR), 600)], resolves=holds[0]),
            _entry("voided", [], phase=Phase.RELEASED, resolves=holds[1]),
            _entry("late", [Posting(WALLET, chart.bank(EUR), 5)], at=START + timedelta(hours=1)),
        ],
    )
    [wrong] = await _post(db, platform, [_entry("wrong", [Posting(WALLET, chart.bank(EUR), 77)])])
    await _post(db, platform, [_entry("righted", [Posting(chart.bank(EUR), WALLET, 77)], reverses=wrong)])


async def close_period(admin: asyncpg.Connection, platform: PlatformId, until: datetime) -> None:
    """Closes the books as their owner, with the seal that a close makes."""
    entries, last_hash = await admin.fetchrow("select entries, hash from ledger_head where platform_id = $1", platform)
    balances = await admin.fetch(
        """
        select a.code, a.currency, sum(case when a.id = p.debit_account_id then p.amount else - p.amount end)::bigint
        from posting p join ledger_account a on a.platform_id = $1 and a.id in (p.debit_account_id, p.credit_account_id)
        where p.platform_id = $1 and not p.held and p.effective_at < $2 group by 1, 2
        """,
        platform,
        until,
    )
    before = await admin.fetchval(
        "select trial_hash from ledger_period where platform_id = $1 order by closed_until desc limit 1", platform
    )
    at = await admin.fetchval("select now()")
    line = period_line(
        closed_until=until,
        closed_at=at,
        closed_by="key_1",
        entries=entries,
        entry_hash=last_hash,
        balances=[(row[0], row[1], row[2]) for row in balances if row[2]],
    )
    await admin.execute(
        "insert into ledger_period (platform_id, closed_until, closed_at, closed_by, entries, trial_hash)"
        " values ($1, $2, $3, 'key_1', $4, $5)",
        platform,
        until,
        at,
        entries,
        seal(before or GENESIS, line),
    )
    await admin.execute("update ledger_head set closed_until = $2 where platform_id = $1", platform, until)


async def write_after_close(db: Database, platform: PlatformId) -> None:
    """Two entries: one of the new period, one that was moved there from the closed one."""
    await _post(
        db,
        platform,
        [
            _entry("moved", [Posting(chart.bank(EUR), WALLET, 11)], at=START),
            _entry("new", [Posting(chart.bank(EUR), WALLET, 12)], at=START + timedelta(days=60)),
        ],
    )


async def _post(db: Database, platform: PlatformId, entries: Sequence[JournalEntry]) -> list[UUID]:
    async with db.write(platform) as scope:
        results = await post(scope, entries)
    assert [result.outcome for result in results] == [Outcome.POSTED] * len(entries)
    return [result.entry_id for result in results if result.entry_id]


def _in_three(entries: Sequence[JournalEntry]) -> list[Sequence[JournalEntry]]:
    return [entries[:3], entries[3:6], entries[6:]]


def _entry(
    key: str,
    postings: list[Posting],
    *,
    at: datetime = START + timedelta(days=2),
    phase: Phase = Phase.POSTED,
    expires_at: datetime | None = None,
    resolves: UUID | None = None,
    reverses: UUID | None = None,
) -> JournalEntry:
    return JournalEntry(
        key=key,
        kind="reversal" if reverses else "manual" if phase is not Phase.RELEASED else "hold-voided",
        source=Source("correction", new_id()),
        postings=tuple(postings),
        effective_at=at,
        description=f"Of the wallet: {key}",
        reason={"why": key, "count": 3},
        phase=phase,
        expires_at=expires_at,
        resolves=resolves,
        reverses=reverses,
    )
