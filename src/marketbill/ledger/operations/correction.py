"""Corrections: an entry that was wrong is reversed by one that mirrors it, and what is right is booked beside it.

Nothing is ever edited. Up to a limit (`correction_limit`) one person corrects; above it the correction waits until
another approves it. What may be reversed:

- a posted entry, once and in whole, also one that posted a hold (the hold does not come back);
- no hold: it is voided; no release: it moved nothing;
- no reversal: what it reversed is booked anew, by another entry.

A reversal is effective when its entry was, or at the first open instant where that period is closed. Accounts' guards
hold for it as for any entry: what a seller was paid cannot be taken from him by a correction. Then the correction is
refused, and one that waits goes on waiting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, case, select, text, update
from sqlalchemy.dialects.postgresql import insert

from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, NotFound
from marketbill.ids import new_id, public_id
from marketbill.ledger import journal, original
from marketbill.ledger.entry import IfClosed, JournalEntry, Phase, Posting, Source
from marketbill.ledger.operations import correction_limit
from marketbill.ledger.operations.model import ledger_correction
from marketbill.ledger.operations.refusal import CorrectionDecided, CorrectionWaits, NotCorrectable, SecondPersonNeeded
from marketbill.ledger.operations.replacement import MANUAL, Replacement
from marketbill.ledger.original import Original
from marketbill.ledger.refusal import CeilingBroken, GuardBroken
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.text import checked_reason

#: The kind of an entry that mirrors another.
REVERSAL = "reversal"
#: So long a correction waits for its approval.
WAITS = timedelta(days=14)


class CorrectionStatus(StrEnum):
    """PENDING waits for a second person; the others are final. EXPIRED: nobody decided in time."""

    PENDING = "PENDING"
    POSTED = "POSTED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction as it stands. `amounts`, in minor units by currency, are what is held against the limit: all that
    the reversed entry moved, or its replacement where that is more."""

    id: UUID
    entry_id: UUID
    status: CorrectionStatus
    amounts: Mapping[str, int]
    effective_at: datetime
    replacement: Replacement | None
    reason: str
    requested_by: str
    requested_at: datetime
    needs_approval: bool
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None
    reversal_id: UUID | None
    replacement_id: UUID | None


_TABLE = ledger_correction.c
_COLUMNS = [column for column in _TABLE if column.name != "status"]
_EXPIRE = text(
    """
    update ledger_correction set status = 'EXPIRED'
    where platform_id = :platform and entry_id = :entry and status = 'PENDING' and expires_at <= :now
    """
)
_WAITING = text(
    "select id from ledger_correction where platform_id = :platform and entry_id = :entry and status = 'PENDING'"
)


async def request(
    scope: WriteScope,
    entry_id: UUID,
    *,
    by: str,
    reason: str,
    effective_at: datetime | None = None,
    replacement: Replacement | None = None,
) -> Correction:
    """Corrects an entry: at once up to the limit of `by`, else once somebody else approves it.

    The reversal and the replacement are booked together or not at all. Raises NotFound, InvalidInput, NotCorrectable,
    CorrectionWaits, and what else the journal refuses (`ledger.refusal`).
    """
    reason = checked_reason(reason)
    entry = await original.load(scope, entry_id, path=("entryId",))
    _check_reversible(entry)
    at = _effective_at(entry, effective_at, scope.now)
    amounts = _amounts(entry.postings, replacement.postings if replacement else ())
    limits = await correction_limit.limits(scope, amounts, by=by)
    made = Correction(
        id=new_id(),
        entry_id=entry.id,
        status=CorrectionStatus.PENDING,
        amounts=amounts,
        effective_at=at,
        replacement=replacement,
        reason=reason,
        requested_by=by,
        requested_at=scope.now,
        needs_approval=any(amount > limits[currency] for currency, amount in amounts.items()),
        expires_at=scope.now + WAITS,
        decided_by=None,
        decided_at=None,
        decision_reason=None,
        reversal_id=None,
        replacement_id=None,
    )
    _entries(made, entry, approved_by=None)  # what cannot be booked at all is refused at once, not when it is approved
    await _keep(scope, made)
    if not made.needs_approval:
        await _book(scope, made, entry, approved_by=None)
    return await load(scope, made.id)


async def approve(scope: WriteScope, correction_id: UUID, *, by: str) -> Correction:
    """Books a correction that waits, as somebody else than whoever asked for it.

    Raises NotFound, CorrectionDecided, SecondPersonNeeded, and what the journal refuses (`ledger.refusal`); then it
    goes on waiting.
    """
    waiting = await _locked(scope, correction_id)
    if waiting.requested_by == by:
        raise SecondPersonNeeded(correction_id, by=by)
    entry = await original.load(scope, waiting.entry_id)
    await _book(scope, waiting, entry, approved_by=by)
    return await load(scope, correction_id)


async def reject(scope: WriteScope, correction_id: UUID, *, by: str, reason: str) -> Correction:
    """Ends a correction that waits; whoever asked for it may take it back so. Raises NotFound, CorrectionDecided."""
    reason = checked_reason(reason)
    await _locked(scope, correction_id)
    await scope.run(
        update(ledger_correction)
        .where(_is(scope, correction_id))
        .values(status=CorrectionStatus.REJECTED, decided_by=by, decided_at=scope.now, decision_reason=reason)
    )
    return await load(scope, correction_id)


async def load(scope: Scope, correction_id: UUID) -> Correction:
    """The correction with this id. Raises NotFound."""
    row = await scope.first(_select(scope).where(_is(scope, correction_id)))
    if row is None:
        raise NotFound("correction", public_id("correction", correction_id), path=("id",))
    return correction_of(row)


async def corrections(scope: Scope, request: PageRequest, *, status: Sequence[CorrectionStatus] | None = None) -> Page:
    """Corrections, the newest first, of any of these states. Rows become corrections by `correction_of`."""
    statement = _select(scope)
    if status is not None:
        statement = statement.where(_status(scope).in_([one.value for one in status]))
    return await newest_first(scope, statement, _TABLE.id, request)


def correction_of(row: Row[Any]) -> Correction:
    values = {field.name: getattr(row, field.name) for field in fields(Correction)}
    values["status"] = CorrectionStatus(row.status)
    values["replacement"] = Replacement.from_json(row.replacement) if row.replacement else None
    return Correction(**values)


def _check_reversible(entry: Original) -> None:
    if entry.phase is not Phase.POSTED:
        state: str = entry.phase
    elif entry.reverses is not None:
        state = "REVERSAL"
    elif entry.settled_by is not None:
        state = "REVERSED"
    else:
        return
    raise NotCorrectable(entry.id, state=state)


def _effective_at(entry: Original, asked: datetime | None, now: datetime) -> datetime:
    if asked is None:
        return entry.effective_at
    if not entry.effective_at <= asked <= max(now, entry.effective_at):
        rule = f"{entry.effective_at.isoformat()} to {now.isoformat()}"
        raise InvalidInput(
            "A correction is effective from its entry's own time until now.", path=("effectiveAt",), constraint=rule
        )
    return asked


def _amounts(reversed_: Sequence[Posting], replacing: Sequence[Posting]) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for postings in (reversed_, replacing):
        moved: dict[str, int] = {}
        for posting in postings:
            moved[posting.debit.currency] = moved.get(posting.debit.currency, 0) + posting.amount
        for currency, amount in moved.items():
            amounts[currency] = max(amount, amounts.get(currency, 0))
    return amounts


def _entries(correction: Correction, entry: Original, *, approved_by: str | None) -> list[JournalEntry]:
    """The reversal, and the replacement if there is one."""
    id = public_id("correction", correction.id)
    why = {"correction": id, "why": correction.reason, "requestedBy": correction.requested_by}
    if approved_by is not None:
        why["approvedBy"] = approved_by
    made = [
        JournalEntry(
            key=f"correction:{id}:reversal",
            kind=REVERSAL,
            source=entry.source,
            postings=tuple(Posting(debit=p.credit, credit=p.debit, amount=p.amount) for p in entry.postings),
            effective_at=correction.effective_at,
            description=f"Reversal of {entry.public_id}",
            reason=why | {"reverses": entry.public_id},
            reverses=entry.id,
            if_closed=IfClosed.MOVE,
        )
    ]
    if (replacing := correction.replacement) is not None:
        is_own = replacing.kind in (None, entry.kind)
        if not is_own and replacing.kind != MANUAL:
            raise InvalidInput(
                f"What is booked in its place is of the entry's own kind, {entry.kind}, or {MANUAL}.",
                path=("replacement", "kind"),
                constraint=f"{entry.kind} or {MANUAL}",
            )
        made.append(
            JournalEntry(
                key=f"correction:{id}:replacement",
                kind=entry.kind if is_own else MANUAL,
                source=entry.source if is_own else Source("correction", correction.id),
                postings=replacing.postings,
                effective_at=correction.effective_at,
                description=replacing.description,
                reason=why | {"replaces": entry.public_id},
                if_closed=IfClosed.MOVE,
            )
        )
    return made


async def _keep(scope: WriteScope, made: Correction) -> None:
    values = {"platform": scope.platform, "entry": made.entry_id, "now": scope.now}
    await scope.run(_EXPIRE, values)
    row = {field.name: getattr(made, field.name) for field in fields(made)} | {"platform_id": scope.platform}
    row["replacement"] = made.replacement.as_json() if made.replacement else None
    if await scope.run(insert(ledger_correction).values(row).on_conflict_do_nothing()) == 0:
        raise CorrectionWaits(made.entry_id, await scope.scalar(_WAITING, values))


async def _book(scope: WriteScope, correction: Correction, entry: Original, *, approved_by: str | None) -> None:
    ids = await _post(scope, _entries(correction, entry, approved_by=approved_by))
    await scope.run(
        update(ledger_correction)
        .where(_is(scope, correction.id))
        .values(
            status=CorrectionStatus.POSTED,
            decided_by=approved_by or correction.requested_by,
            decided_at=scope.now,
            reversal_id=ids[0],
            replacement_id=ids[1] if len(ids) > 1 else None,
        )
    )


async def _post(scope: WriteScope, entries: Sequence[JournalEntry]) -> list[UUID | None]:
    """Guards are judged after each entry: where they refuse one order of the two, the other may pass."""
    try:
        return [result.entry_id for result in await journal.post_all(scope, entries)]
    except (GuardBroken, CeilingBroken):
        if len(entries) == 1:
            raise
        try:
            return [result.entry_id for result in await journal.post_all(scope, entries[::-1])][::-1]
        except (GuardBroken, CeilingBroken):
            pass
        raise


async def _locked(scope: WriteScope, correction_id: UUID) -> Correction:
    row = await scope.first(_select(scope).where(_is(scope, correction_id)).with_for_update())
    if row is None:
        raise NotFound("correction", public_id("correction", correction_id), path=("id",))
    if row.status != CorrectionStatus.PENDING:
        raise CorrectionDecided(correction_id, status=row.status)
    return correction_of(row)


def _select(scope: Scope) -> Select[Any]:
    return select(*_COLUMNS, _status(scope).label("status")).where(ledger_correction.c.platform_id == scope.platform)


def _status(scope: Scope) -> ColumnElement[str]:
    """As it is now: what waits no longer than its end has expired, whether or not that was written down."""
    is_over = (_TABLE.status == CorrectionStatus.PENDING) & (_TABLE.expires_at <= scope.now)
    return case((is_over, CorrectionStatus.EXPIRED.value), else_=_TABLE.status)


def _is(scope: Scope, correction_id: UUID) -> ColumnElement[bool]:
    return (_TABLE.platform_id == scope.platform) & (_TABLE.id == correction_id)
