"""Reading the journal: entries by id, by source, by page, by the entry they resolve or reverse; their postings.

Batch functions take lists of ids and answer a mapping, so that a screen of many rows costs one statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Uuid,
    any_,
    bindparam,
    column,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.selectable import LateralFromClause

from marketbill.db import Scope
from marketbill.ledger.entry import POSTINGS_MAX, Phase, Source
from marketbill.ledger.limits import bounded, page_size
from marketbill.ledger.model import journal_entry, posting


@dataclass(frozen=True, slots=True)
class RecordedPosting:
    """A posting as it stands: `number` is its place among all of the platform's postings, `ordinal` in its entry."""

    number: int
    entry_id: UUID
    ordinal: int
    debit_account_id: UUID
    credit_account_id: UUID
    amount: int
    currency: str
    effective_at: datetime

    @property
    def id(self) -> UUID:
        """No column: the entry's id and the ordinal, added as numbers. Entries' ids never lie that close."""
        return UUID(int=self.entry_id.int + self.ordinal)


@dataclass(frozen=True, slots=True)
class RecordedEntry:
    """An entry as it stands. `number` is its place in the platform's chain, `hash` the seal on it.

    `occurred_at` is when it happened, where a closed period moved `effective_at`; else None. `resolves` is the hold
    that it posts or releases, `reverses` the entry that it undoes.
    """

    id: UUID
    number: int
    key: str
    kind: str
    source: Source
    description: str
    reason: Mapping[str, Any]
    effective_at: datetime
    occurred_at: datetime | None
    recorded_at: datetime
    phase: Phase
    expires_at: datetime | None
    resolves: UUID | None
    reverses: UUID | None
    hash: bytes


_IDS = bindparam("ids", type_=ARRAY(Uuid))
_LIMIT = bindparam("limit", type_=BigInteger)
_WANTED = func.unnest(_IDS).table_valued(column("id", Uuid), name="wanted").render_derived()
_ENTRIES = select(journal_entry).where(journal_entry.c.platform_id == bindparam("platform"))
_POSTINGS = select(posting).where(posting.c.platform_id == bindparam("platform"))

_ENTRIES_BY_IDS = _ENTRIES.where(journal_entry.c.id == any_(_IDS))
_FOLLOWERS = _ENTRIES.where(or_(journal_entry.c.resolves == any_(_IDS), journal_entry.c.reverses == any_(_IDS)))
_OF_SOURCE = (
    _ENTRIES.where(journal_entry.c.source_id == _WANTED.c.id, journal_entry.c.number > bindparam("after"))
    .order_by(journal_entry.c.number)
    .limit(_LIMIT)
    .lateral("entry")
)
_ENTRIES_BY_SOURCES = (
    select(_OF_SOURCE)
    .select_from(_WANTED.join(_OF_SOURCE, true()))
    .order_by(_OF_SOURCE.c.source_id, _OF_SOURCE.c.number)
)
_ENTRY_PAGE = (
    _ENTRIES.where(journal_entry.c.number < bindparam("before")).order_by(journal_entry.c.number.desc()).limit(_LIMIT)
)
# A lateral join with a limit is an index probe whatever the planner believes. Behind row-level security, only a plain
# comparison with a value that stands already is looked up in an index, so an entry's last posting is computed before.
_SPAN = (
    select(
        journal_entry.c.id.label("entry_id"),
        journal_entry.c.first_posting,
        (journal_entry.c.first_posting + journal_entry.c.posting_count - 1).label("last_posting"),
    )
    .where(journal_entry.c.platform_id == bindparam("platform"), journal_entry.c.id == any_(_IDS))
    .cte("span")
    .prefix_with("materialized")
)
_OF_ENTRY = (
    _POSTINGS.where(posting.c.number.between(_SPAN.c.first_posting, _SPAN.c.last_posting))
    .order_by(posting.c.number)
    .limit(POSTINGS_MAX)
    .lateral("of_entry")
)
_POSTINGS_BY_ENTRIES = (
    select(_OF_ENTRY, _SPAN.c.entry_id, _SPAN.c.first_posting)
    .select_from(_SPAN.join(_OF_ENTRY, true()))
    .order_by(_OF_ENTRY.c.number)
)
# A posting's id is a little above its entry's, so the entry is the last one before it.
_LAST_BEFORE = (
    select(journal_entry.c.id, journal_entry.c.first_posting, journal_entry.c.posting_count)
    .where(journal_entry.c.platform_id == bindparam("platform"), journal_entry.c.id < _WANTED.c.id)
    .order_by(journal_entry.c.id.desc())
    .limit(1)
    .lateral("entry")
)
_ENTRIES_OF_POSTINGS = select(
    _WANTED.c.id.label("wanted"), _LAST_BEFORE.c.id, _LAST_BEFORE.c.first_posting, _LAST_BEFORE.c.posting_count
).select_from(_WANTED.join(_LAST_BEFORE, true()))


def entry_numbered(number: ColumnElement[int]) -> LateralFromClause:
    """The id and the first posting of the entry of this number, to be joined to each row of a list."""
    return (
        select(journal_entry.c.id, journal_entry.c.first_posting)
        .where(journal_entry.c.platform_id == bindparam("platform"), journal_entry.c.number == number)
        .limit(1)
        .lateral("entry")
    )


_ENTRY = entry_numbered(posting.c.entry_number)
_POSTINGS_BY_NUMBERS = (
    select(posting, _ENTRY.c.id.label("entry_id"), _ENTRY.c.first_posting)
    .select_from(posting.join(_ENTRY, true()))
    .where(posting.c.platform_id == bindparam("platform"))
    .where(posting.c.number == any_(bindparam("numbers", type_=ARRAY(BigInteger))))
)


async def entries_by_ids(scope: Scope, ids: Sequence[UUID]) -> dict[UUID, RecordedEntry]:
    """The entries with these ids (at most `READ_MAX`); an unknown id is missing from the answer."""
    rows = await scope.rows(_ENTRIES_BY_IDS, {"platform": scope.platform, "ids": bounded(ids)})
    return {row.id: _entry(row) for row in rows}


async def entries_by_named(scope: Scope, ids: Sequence[UUID]) -> dict[UUID, RecordedEntry]:
    """What became of each of these entries: of a hold the entry that resolved it, of another the one that reversed it.

    One to which nothing happened is missing from the answer.
    """
    rows = await scope.rows(_FOLLOWERS, {"platform": scope.platform, "ids": bounded(ids)})
    return {row.resolves or row.reverses: _entry(row) for row in rows}


async def entries_by_sources(
    scope: Scope, source_ids: Sequence[UUID], *, after: int = 0, limit: int = 100
) -> dict[UUID, list[RecordedEntry]]:
    """The entries of each source object, oldest first, at most `limit` each; `after` is an entry's number."""
    answer: dict[UUID, list[RecordedEntry]] = {id: [] for id in bounded(source_ids)}
    values = {"platform": scope.platform, "ids": list(answer), "after": after, "limit": page_size(limit)}
    for row in await scope.rows(_ENTRIES_BY_SOURCES, values):
        answer[row.source_id].append(_entry(row))
    return answer


async def entry_page(
    scope: Scope, *, kind: str | None = None, before: int | None = None, limit: int = 100
) -> list[RecordedEntry]:
    """The platform's entries, newest first; `before` is the number of the last one seen."""
    page = _ENTRY_PAGE if kind is None else _ENTRY_PAGE.where(journal_entry.c.kind == kind)
    values = {
        "platform": scope.platform,
        "before": 2**63 - 1 if before is None else before,
        "limit": page_size(limit),
    }
    return [_entry(row) for row in await scope.rows(page, values)]


async def postings_by_ids(scope: Scope, ids: Sequence[UUID]) -> dict[UUID, RecordedPosting]:
    """The postings with these ids (at most `READ_MAX`); an unknown id is missing from the answer."""
    numbers: list[int] = []
    for row in await scope.rows(_ENTRIES_OF_POSTINGS, {"platform": scope.platform, "ids": bounded(ids)}):
        ordinal = row.wanted.int - row.id.int
        if ordinal <= row.posting_count:
            numbers.append(row.first_posting + ordinal - 1)
    rows = await scope.rows(_POSTINGS_BY_NUMBERS, {"platform": scope.platform, "numbers": numbers})
    return {found.id: found for found in map(posting_of, rows)}


async def postings_by_entries(scope: Scope, entry_ids: Sequence[UUID]) -> dict[UUID, list[RecordedPosting]]:
    """All postings of each entry, in their order; of a hold, what it keeps aside."""
    answer: dict[UUID, list[RecordedPosting]] = {id: [] for id in bounded(entry_ids)}
    rows = await scope.rows(_POSTINGS_BY_ENTRIES, {"platform": scope.platform, "ids": list(answer)})
    for row in rows:
        answer[row.entry_id].append(posting_of(row))
    return answer


def posting_of(row: Row[Any]) -> RecordedPosting:
    """The posting of a row that has its entry's id and first posting beside its own columns."""
    return RecordedPosting(
        number=row.number,
        entry_id=row.entry_id,
        ordinal=row.number - row.first_posting + 1,
        debit_account_id=row.debit_account_id,
        credit_account_id=row.credit_account_id,
        amount=row.amount,
        currency=row.currency,
        effective_at=row.effective_at,
    )


def _entry(row: Row[Any]) -> RecordedEntry:
    return RecordedEntry(
        id=row.id,
        number=row.number,
        key=row.key,
        kind=row.kind,
        source=Source(row.source_type, row.source_id),
        description=row.description,
        reason=row.reason,
        effective_at=row.effective_at,
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
        phase=Phase(row.phase),
        expires_at=row.expires_at,
        resolves=row.resolves,
        reverses=row.reverses,
        hash=row.hash,
    )
