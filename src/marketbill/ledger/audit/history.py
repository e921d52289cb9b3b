"""The journal as it is stored: entries in order with their postings, page by page, in whatever state they are.

Nothing read here is believed. An entry claims its postings by number (`first_posting`, `posting_count`); each claim
stands alone, so that one altered claim does not shift the postings of all entries after it. Instants are read in the
database's own binary form, because that is the one form that every stored value has.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from marketbill.db import ReadScope, WriteScope
from marketbill.ledger.entry import POSTINGS_MAX

Read = Callable[[], AbstractAsyncContextManager[ReadScope | WriteScope]]
"""Opens a transaction of the platform whose books are read; the journal is read in many, none of them long."""

Progress = Callable[[int, int], None]
"""Told after each page: how many entries were read, of how many."""

#: Entries read at once.
ENTRIES_PAGE = 2_000

#: Postings read at once.
POSTINGS_PAGE = 10_000

#: What tells that a row cannot be read: it is damaged on disk, or holds what is no text.
_UNREADABLE = (asyncpg.DataCorruptedError, asyncpg.IndexCorruptedError, asyncpg.InternalServerError, ValueError)

#: Microseconds from 1970 to 2000, where PostgreSQL begins to count.
_FROM_2000 = 946_684_800_000_000

_ENTRIES = """
select number, id, key, body_hash, kind, source_type, source_id, description, reason::text,
       timestamptz_send(effective_at), timestamptz_send(occurred_at), timestamptz_send(recorded_at), phase,
       timestamptz_send(expires_at), resolves, reverses, first_posting, posting_count, hash
from journal_entry where platform_id = $1 and number > $2 and number <= $3 order by number limit $4
"""
_NEXT_ENTRY = """
select number from journal_entry where platform_id = $1 and number > $2 and number <= $3 order by number limit 1
"""
# In the order in which `StoredPosting` names them; `apply` in `replay` reads them by place.
_POSTINGS = """
select number, entry_number, debit_account_id, credit_account_id, amount, timestamptz_send(effective_at),
       debit_balance_after, credit_balance_after, currency, debit_lag, credit_lag, held
from posting where platform_id = $1 and number >= $2 and number < $3 order by number
"""


class StoredEntry(NamedTuple):
    """A row of the journal; instants in microseconds since 1970, `reason` as JSON text."""

    number: int
    id: UUID
    key: str
    body_hash: bytes
    kind: str
    source_type: str
    source_id: UUID
    description: str
    reason: str
    effective_at: int
    occurred_at: int | None
    recorded_at: int
    phase: str
    expires_at: int | None
    resolves: UUID | None
    reverses: UUID | None
    first_posting: int
    posting_count: int
    hash: bytes


_INSTANTS = tuple(
    StoredEntry._fields.index(name) for name in ("effective_at", "occurred_at", "recorded_at", "expires_at")
)


class StoredPosting(NamedTuple):
    """A row of a posting, as the driver gives it; `effective_at` is still in binary form (`instant`)."""

    number: int
    entry_number: int
    debit_account_id: UUID
    credit_account_id: UUID
    amount: int
    effective_at: bytes
    debit_balance_after: int
    credit_balance_after: int
    currency: str
    debit_lag: int
    credit_lag: int
    held: bool


class Recorded(NamedTuple):
    """An entry, the postings that it claims, and those before them that no entry claims."""

    entry: StoredEntry
    postings: Sequence[StoredPosting]
    unclaimed: Sequence[StoredPosting]


class History:
    """A platform's journal after the entry `after`, up to the entry `last`; `unreadable` names rows of no use."""

    def __init__(self, read: Read, *, after: int = 0, next_posting: int = 1, last: int) -> None:
        self._read = read
        self._after = after
        self._next_posting = next_posting
        self._last = last
        self.unreadable_entries: dict[int, str] = {}
        self.unreadable_postings: dict[int, str] = {}

    async def pages(self) -> AsyncGenerator[list[Recorded]]:
        while entries := await self._entries():
            self._after = entries[-1].number
            for run in _runs(entries):
                yield await self._claimed(run)

    async def _entries(self) -> list[StoredEntry]:
        """The next entries. A row that cannot be read is closed in on, noted and passed over."""
        limit = ENTRIES_PAGE
        while True:
            try:
                async with self._read() as scope:
                    rows = await scope.fetch(_ENTRIES, scope.platform, self._after, self._last, limit)
                return [_entry(row) for row in rows]
            except _UNREADABLE as error:
                if limit > 1:
                    limit //= 2
                    continue
                async with self._read() as scope:
                    [[number]] = await scope.fetch(_NEXT_ENTRY, scope.platform, self._after, self._last)
                self.unreadable_entries[number] = _why(error)
                self._after, limit = number, ENTRIES_PAGE

    async def _postings(self, start: int, stop: int) -> Sequence[StoredPosting]:
        if start >= stop:
            return []
        try:
            async with self._read() as scope:
                return await scope.fetch(_POSTINGS, scope.platform, start, stop)
        except _UNREADABLE as error:
            if stop - start > 1:
                middle = (start + stop) // 2
                return [*await self._postings(start, middle), *await self._postings(middle, stop)]
            self.unreadable_postings[start] = _why(error)
            return []

    async def _claimed(self, run: "_Run") -> list[Recorded]:
        """The entries of a run with their postings, and before the first one those that nobody claimed."""
        unclaimed: Sequence[StoredPosting] = ()
        fits = run.start == self._next_posting
        if run.start > self._next_posting:
            unclaimed = await self._postings(self._next_posting, min(run.start, self._next_posting + POSTINGS_PAGE))
        rows = await self._postings(run.start, run.stop)
        if not fits:
            # Whose claim begins elsewhere may have been altered: then only postings that name the entry are its own.
            numbers = {entry.number for entry in run.entries}
            rows = [row for row in rows if row[1] in numbers]
        if rows:
            self._next_posting = max(self._next_posting, rows[-1][0] + 1)
        recorded: list[Recorded] = []
        if len(rows) == run.stop - run.start:
            place = 0
            for entry in run.entries:
                recorded.append(Recorded(entry, rows[place : place + entry.posting_count], unclaimed))
                place += entry.posting_count
                unclaimed = ()
            return recorded
        for entry in run.entries:
            stop = entry.first_posting + entry.posting_count
            mine = [row for row in rows if entry.first_posting <= row[0] < stop]
            recorded.append(Recorded(entry, mine, unclaimed))
            unclaimed = ()
        return recorded


class _Run(NamedTuple):
    """Neighbouring entries whose claims follow on one another."""

    entries: list[StoredEntry]
    start: int
    stop: int


def _runs(entries: Sequence[StoredEntry]) -> list[_Run]:
    runs: list[_Run] = []
    for place, entry in enumerate(entries):
        stop = _end_of_claim(entry, entries[place + 1] if place + 1 < len(entries) else None)
        last = runs[-1] if runs else None
        if (
            last is not None
            and last.stop == last.entries[-1].first_posting + last.entries[-1].posting_count == entry.first_posting
            and stop - last.start <= POSTINGS_PAGE
            and stop - entry.first_posting == entry.posting_count
        ):
            last.entries.append(entry)
            runs[-1] = _Run(last.entries, last.start, stop)
        else:
            runs.append(_Run([entry], entry.first_posting, stop))
    return runs


def _end_of_claim(entry: StoredEntry, following: StoredEntry | None) -> int:
    """Where an entry's postings end: no further than an entry can go, nor than where the next one begins."""
    stop = entry.first_posting + max(0, min(entry.posting_count, POSTINGS_MAX))
    if following is not None and entry.first_posting < following.first_posting < stop:
        return following.first_posting
    return stop


def instant(binary: bytes) -> int:
    """PostgreSQL's binary form of an instant as microseconds since 1970."""
    return int.from_bytes(binary, signed=True) + _FROM_2000


def binary(instant: int) -> bytes:
    """The other way."""
    return (instant - _FROM_2000).to_bytes(8, signed=True)


def _entry(row: Sequence[Any]) -> StoredEntry:
    values = list(row)
    for place in _INSTANTS:
        if values[place] is not None:
            values[place] = instant(values[place])
    return StoredEntry(*values)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
