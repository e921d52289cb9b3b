"""Reading the journal: entries by id, by source, by page; their postings; the movements of an account.

Batch functions take lists of ids and answer a mapping, so that a screen of many rows costs one statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Row,
    Select,
    Uuid,
    any_,
    bindparam,
    column,
    func,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from marketbill.db import Instant, Scope
from marketbill.ledger.balances import READ_MAX, Account, Cut, accounts_by_ids, balances_at, watermark
from marketbill.ledger.chart import Side
from marketbill.ledger.entry import Source
from marketbill.ledger.model import journal_entry, posting


@dataclass(frozen=True, slots=True)
class RecordedPosting:
    """A posting as it stands. `number` is its place among all of the platform's postings."""

    id: UUID
    number: int
    entry_id: UUID
    ordinal: int
    debit_account_id: UUID
    credit_account_id: UUID
    amount: int
    currency: str
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class RecordedEntry:
    """An entry as it stands. `number` is its place in the platform's chain."""

    id: UUID
    number: int
    key: str
    kind: str
    source: Source
    description: str
    reason: Mapping[str, Any]
    effective_at: datetime
    recorded_at: datetime
    block: int


@dataclass(frozen=True, slots=True)
class Movement:
    """A posting as one of its two accounts sees it.

    `amount` is positive when it adds to the balance on the account's own side; `balance_after` is what the account held
    after it, in the order of effective time.
    """

    posting: RecordedPosting
    account_id: UUID
    counter_account_id: UUID
    amount: int
    balance_after: int

    @property
    def place(self) -> Cut:
        """The cursor: pass it as `before` to go on."""
        return Cut(self.posting.effective_at, self.posting.number)


_IDS = bindparam("ids", type_=ARRAY(Uuid))
_LIMIT = bindparam("limit", type_=BigInteger)
_WANTED = func.unnest(_IDS).table_valued(column("id", Uuid), name="wanted").render_derived()
_ENTRIES = select(journal_entry).where(journal_entry.c.platform_id == bindparam("platform"))
_POSTINGS = select(posting).where(posting.c.platform_id == bindparam("platform"))

_ENTRIES_BY_IDS = _ENTRIES.where(journal_entry.c.id == any_(_IDS))
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
_POSTINGS_BY_IDS = _POSTINGS.where(posting.c.id == any_(_IDS))
_POSTINGS_BY_ENTRIES = _POSTINGS.where(posting.c.entry_id == any_(_IDS)).order_by(posting.c.entry_id, posting.c.ordinal)


def _newest(account: Column[Any]) -> Select[Any]:
    place = tuple_(posting.c.effective_at, posting.c.number)
    return (
        _POSTINGS.where(account == _WANTED.c.id)
        .where(place < tuple_(bindparam("at", type_=Instant), bindparam("number", type_=BigInteger)))
        .where(posting.c.number <= bindparam("as_of"))
        .order_by(posting.c.effective_at.desc(), posting.c.number.desc())
        .limit(_LIMIT)
    )


_BOTH_SIDES = union_all(_newest(posting.c.debit_account_id), _newest(posting.c.credit_account_id))
_OF_ACCOUNT = (
    _BOTH_SIDES.order_by(_BOTH_SIDES.selected_columns.effective_at.desc(), _BOTH_SIDES.selected_columns.number.desc())
    .limit(_LIMIT)
    .lateral("movement")
)
_MOVEMENTS = select(_WANTED.c.id.label("account_id"), _OF_ACCOUNT).select_from(_WANTED.join(_OF_ACCOUNT, true()))
_END_OF_TIME = datetime.fromisoformat("9999-12-31T23:59:59.999999+00:00")


async def entries_by_ids(scope: Scope, ids: Sequence[UUID]) -> dict[UUID, RecordedEntry]:
    """The entries with these ids (at most `READ_MAX`); an unknown id is missing from the answer."""
    rows = await scope.rows(_ENTRIES_BY_IDS, {"platform": scope.platform, "ids": _bounded(ids)})
    return {row.id: _entry(row) for row in rows}


async def entries_by_sources(
    scope: Scope, source_ids: Sequence[UUID], *, after: int = 0, limit: int = 100
) -> dict[UUID, list[RecordedEntry]]:
    """The entries of each source object, oldest first, at most `limit` each; `after` is an entry's number."""
    answer: dict[UUID, list[RecordedEntry]] = {id: [] for id in _bounded(source_ids)}
    values = {"platform": scope.platform, "ids": list(answer), "after": after, "limit": _limit(limit)}
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
        "limit": _limit(limit),
    }
    return [_entry(row) for row in await scope.rows(page, values)]


async def postings_by_ids(scope: Scope, ids: Sequence[UUID]) -> dict[UUID, RecordedPosting]:
    """The postings with these ids (at most `READ_MAX`); an unknown id is missing from the answer."""
    rows = await scope.rows(_POSTINGS_BY_IDS, {"platform": scope.platform, "ids": _bounded(ids)})
    return {row.id: _posting(row) for row in rows}


async def postings_by_entries(scope: Scope, entry_ids: Sequence[UUID]) -> dict[UUID, list[RecordedPosting]]:
    """All postings of each entry, in their order."""
    answer: dict[UUID, list[RecordedPosting]] = {id: [] for id in _bounded(entry_ids)}
    rows = await scope.rows(_POSTINGS_BY_ENTRIES, {"platform": scope.platform, "ids": list(answer)})
    for row in rows:
        answer[row.entry_id].append(_posting(row))
    return answer


async def movements(
    scope: Scope, account_ids: Sequence[UUID], *, before: Cut | None = None, limit: int = 100
) -> dict[UUID, list[Movement]]:
    """The movements of each account, newest effective time first, at most `limit` each, with the balance after each.

    `before` is the `place` of the last one seen. At most `READ_MAX` accounts; unknown ids answer an empty list.
    """
    cut = before or Cut(_END_OF_TIME)
    ids = list(dict.fromkeys(_bounded(account_ids)))
    found = await accounts_by_ids(scope, ids)
    as_of = await watermark(scope)
    values = {
        "platform": scope.platform,
        "ids": ids,
        "at": cut.at,
        "number": cut.number,
        "as_of": as_of,
        "limit": _limit(limit),
    }
    pages: dict[UUID, list[RecordedPosting]] = {id: [] for id in ids}
    for row in await scope.rows(_MOVEMENTS, values):
        pages[row.account_id].append(_posting(row))
    top = Cut(cut.at, cut.number - 1) if before else cut
    held = await balances_at(scope, [id for id, page in pages.items() if page], top, as_of=as_of)
    return {id: _movements(found[id], page, held[id]) if page else [] for id, page in pages.items()}


def _movements(account: Account, page: Sequence[RecordedPosting], balance: int) -> list[Movement]:
    """Walks from the newest to the oldest, taking each amount off the balance."""
    answer = []
    for moved in page:
        is_debit = moved.debit_account_id == account.id
        amount = moved.amount if is_debit == (account.side is Side.DEBIT) else -moved.amount
        answer.append(
            Movement(
                posting=moved,
                account_id=account.id,
                counter_account_id=moved.credit_account_id if is_debit else moved.debit_account_id,
                amount=amount,
                balance_after=balance,
            )
        )
        balance -= amount
    return answer


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
        recorded_at=row.recorded_at,
        block=row.block,
    )


def _posting(row: Row[Any]) -> RecordedPosting:
    return RecordedPosting(
        id=row.id,
        number=row.number,
        entry_id=row.entry_id,
        ordinal=row.ordinal,
        debit_account_id=row.debit_account_id,
        credit_account_id=row.credit_account_id,
        amount=row.amount,
        currency=row.currency,
        effective_at=row.effective_at,
    )


def _bounded(ids: Sequence[UUID]) -> Sequence[UUID]:
    if len(ids) > READ_MAX:
        raise ValueError(f"at most {READ_MAX} ids at once, not {len(ids)}")
    return ids


def _limit(limit: int) -> int:
    if not 1 <= limit <= READ_MAX:
        raise ValueError(f"a page has 1 to {READ_MAX} rows, not {limit}")
    return limit
