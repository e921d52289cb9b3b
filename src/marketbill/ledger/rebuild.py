"""Rebuilds what follows from the journal: accounts' totals, open holds, the head.

`examine` only tells whether what is stored is what follows. `rebuild` puts it right: the journal is replayed while
others write, then once more what they wrote meanwhile, under the head's lock, so that writers wait for the end only.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from marketbill.db import WriteScope
from marketbill.errors import StateConflict
from marketbill.ledger.audit.finding import Finding, Findings, Rule, range_text
from marketbill.ledger.audit.history import Progress, Read
from marketbill.ledger.audit.projection import Projection, as_replayed, as_stored, compare
from marketbill.ledger.audit.replay import Replay
from marketbill.ledger.audit.snapshot import Snapshot, take

Write = Callable[[], AbstractAsyncContextManager[WriteScope]]
"""Opens a transaction that may write, of the platform whose books are rebuilt."""

#: Rules that speak of the journal itself: broken, there is nothing sound to rebuild from.
_OF_THE_JOURNAL = (Rule.REFERENCE, Rule.CHAIN, Rule.HOLD)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LOCK = """
insert into ledger_head (platform_id, entries, postings, hash, recorded_at, revision)
values ($1, 0, 0, decode(repeat('00', 32), 'hex'), 'epoch', extract(epoch from now())::bigint)
on conflict (platform_id) do nothing
"""
_LOCKED = "select from ledger_head where platform_id = $1 for no key update"
_ACCOUNTS = """
update ledger_account x
set debits = m.debits, credits = m.credits, pending_debits = m.pending_debits, pending_credits = m.pending_credits,
    latest_effective_at = m.latest
from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[])
     as m (id, debits, credits, pending_debits, pending_credits, latest)
where x.platform_id = $1 and x.id = m.id
"""
_UNHOLD = "delete from ledger_hold where platform_id = $1 and entry_id = any($2::uuid[])"
_HOLD = """
insert into ledger_hold (platform_id, entry_id, expires_at)
select $1, h.* from unnest($2::uuid[], $3::timestamptz[]) as h
"""
_HEAD = """
update ledger_head
set entries = $2, postings = $3, hash = $4, recorded_at = $5, closed_until = $6, revision = revision + 1
where platform_id = $1
"""


class JournalHarmed(StateConflict):
    """The journal itself does not hold, so nothing is rebuilt from it; `findings` say where."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(
            f"The journal itself does not hold, so nothing was rebuilt from it: {findings[0]}.", current_state="HARMED"
        )
        self.findings = findings


class TotalsRefused(StateConflict):
    """The totals that follow from the journal break an account's guard or ceiling: an operator must lift it first."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"What follows from the journal breaks a guard or a ceiling, so nothing was rebuilt: {detail}.",
            current_state="REFUSED",
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """The hashes of what follows from the journal and of what was stored; what differed; how long the journal is."""

    replayed: bytes
    stored: bytes
    differences: list[Finding]
    entries: int

    @property
    def is_equal(self) -> bool:
        return self.replayed == self.stored


async def examine(read: Read, *, progress: Progress = lambda done, total: None) -> Comparison:
    """Compares what is stored with what follows from the journal, as both were when it began.

    Raises JournalHarmed.
    """
    findings = Findings()
    async with read() as scope:
        snapshot = await take(scope, Findings())
    replay = Replay(snapshot.periods, findings)
    await replay.run(read, snapshot.accounts, last=snapshot.last_entry, progress=progress)
    replayed, stored = _projections(replay, snapshot, findings)
    return _comparison(replayed, stored)


async def rebuild(read: Read, write: Write, *, progress: Progress = lambda done, total: None) -> Comparison:
    """Makes what is stored what follows from the journal, and tells what differed before.

    Raises JournalHarmed or TotalsRefused, having changed nothing.
    """
    findings = Findings()
    async with read() as scope:
        snapshot = await take(scope, Findings())
    replay = Replay(snapshot.periods, findings)
    await replay.run(read, snapshot.accounts, last=snapshot.last_entry, progress=progress)
    async with write() as scope:
        await scope.fetch(_LOCK, scope.platform)
        await scope.fetch(_LOCKED, scope.platform)
        snapshot = await take(scope, Findings())
        await replay.run(_within(scope), snapshot.accounts, last=snapshot.last_entry)
        replayed, stored = _projections(replay, snapshot, findings)
        comparison = _comparison(replayed, stored)
        if not comparison.is_equal:
            try:
                await _write(scope, snapshot, replayed, stored)
            except asyncpg.CheckViolationError as error:
                raise TotalsRefused(getattr(error, "detail", None) or str(error)) from error
    return comparison


def _projections(replay: Replay, snapshot: Snapshot, findings: Findings) -> tuple[Projection, Projection]:
    head = snapshot.head
    if head is not None and head.entries > replay.entries and head.hash != replay.chain.stored:
        # Not a wrong number alone: entries were cut off, and a head that agreed with the rest would hide it.
        lost = range_text(replay.entries + 1, head.entries, "entry", "entries")
        findings.add(Rule.CHAIN, lost, expected="in the journal", found="missing")
    harm = findings.of(*_OF_THE_JOURNAL)
    if harm:
        raise JournalHarmed(harm)
    return as_replayed(replay, snapshot), as_stored(snapshot)


def _comparison(replayed: Projection, stored: Projection) -> Comparison:
    differences = Findings()
    compare(replayed, stored, differences)
    return Comparison(replayed.digest(), stored.digest(), differences.all(), replayed.head.entries)


async def _write(scope: WriteScope, snapshot: Snapshot, replayed: Projection, stored: Projection) -> None:
    moved = [
        (id, *totals[:4], _time(totals.latest_effective_at))
        for id, account in snapshot.accounts.items()
        if (totals := replayed.accounts[account.code, account.currency]) != account.totals
    ]
    if moved:
        await scope.fetch(_ACCOUNTS, scope.platform, *_columns(moved))
    wrong = [id for id, end in stored.holds.items() if replayed.holds.get(id, ...) != end]
    await scope.fetch(_UNHOLD, scope.platform, wrong)
    made: list[tuple[UUID, datetime | None]] = [
        (id, _time(end)) for id, end in replayed.holds.items() if stored.holds.get(id, ...) != end
    ]
    if made:
        await scope.fetch(_HOLD, scope.platform, *_columns(made))
    head = replayed.head
    await scope.fetch(
        _HEAD,
        scope.platform,
        head.entries,
        head.postings,
        head.hash,
        _time(head.recorded_at),
        _time(head.closed_until),
    )


def _within(scope: WriteScope) -> Read:
    @asynccontextmanager
    async def same() -> AsyncGenerator[WriteScope]:
        yield scope

    return same


def _columns(rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True))


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
