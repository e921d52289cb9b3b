"""Holds: money kept aside before it moves, then posted in whole or in part, given back, or expired.

A hold is an entry of any kind in the phase HELD. What is available on an account is what is posted less what open holds
would take. It is resolved once; what a partial posting leaves is given back with it. Past its end a hold is not posted
any more, and the schedule has it given back (`expire_due`).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from marketbill.db import Database, Scope, WriteScope
from marketbill.errors import InvalidInput
from marketbill.ids import PlatformId, public_id
from marketbill.ledger import journal, original
from marketbill.ledger.entry import JournalEntry, Outcome, Phase, Posting
from marketbill.ledger.model import ledger_hold
from marketbill.ledger.original import Original
from marketbill.ledger.refusal import HoldNotOpen
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.text import checked_reason

#: The kinds of the entries that give a hold back.
VOIDED = "hold-voided"
EXPIRED = "hold-expired"

#: The most holds that expire in one transaction, and the most transactions of one run.
BATCH_MAX = 200
_ROUNDS_MAX = 50

_DUE = text(
    """
    select h.entry_id, h.expires_at, e.source_type, e.source_id
    from ledger_hold h
    join journal_entry e on e.platform_id = :platform and e.id = h.entry_id
    where h.platform_id = :platform and h.expires_at <= :now
    order by h.expires_at, h.entry_id limit :limit
    """
)


async def place(scope: WriteScope, entry: JournalEntry, *, expires_at: datetime | None = None) -> UUID:
    """Keeps aside what the entry would move, until `expires_at` (None: until it is resolved); gives the hold's id.

    Raises InvalidInput for an end that has passed, and whatever the journal refuses (`ledger.refusal`): a hold asks the
    same of its accounts as the entry itself.
    """
    [result] = await journal.post(scope, [replace(entry, phase=Phase.HELD, expires_at=expires_at)])
    if result.outcome is Outcome.POSTED and expires_at is not None and expires_at <= scope.now:
        raise InvalidInput("A hold ends after it begins.", path=("expiresAt",), constraint=f"> {scope.now.isoformat()}")
    return _standing(result)


async def post(
    scope: WriteScope,
    hold_id: UUID,
    *,
    key: str,
    amounts: Sequence[int] | None = None,
    effective_at: datetime | None = None,
    description: str | None = None,
    reason: dict[str, Any] | None = None,
) -> UUID:
    """Moves what is held, and gives the rest back; gives the id of the entry that does.

    `amounts` are minor units for each of the hold's postings in order (0 leaves one out); None for all of it. The entry
    has the hold's kind and source. Raises NotFound, InvalidInput, HoldExceeded, HoldNotOpen (none, resolved, expired)
    and what else the journal refuses.
    """
    held = await _hold(scope, hold_id, key)
    entry = JournalEntry(
        key=key,
        kind=held.kind,
        source=held.source,
        postings=held.postings if amounts is None else _part(held, amounts),
        effective_at=effective_at or scope.now,
        description=held.description if description is None else description,
        reason={"hold": held.public_id} | (reason or {}),
        resolves=held.id,
    )
    [result] = await journal.post(scope, [entry])
    return _standing(result)


async def void(scope: WriteScope, hold_id: UUID, *, by: str, reason: str) -> UUID:
    """Gives all of a hold back; a second time changes nothing. Gives the id of the entry that does.

    Raises InvalidInput without a reason, NotFound, and HoldNotOpen when it was posted or has expired.
    """
    held = await _hold(scope, hold_id, "")
    told = {"hold": held.public_id, "by": by, "why": checked_reason(reason)}
    [result] = await journal.post(scope, [_release(held.id, held.source, VOIDED, scope.now, told)])
    return _standing(result)


async def expire_due(db: Database, platform: PlatformId) -> int:
    """Gives back the platform's holds whose end has come, the oldest first, in batches; gives their number.

    Safe in many workers at once, and beside whoever posts or voids the same hold: it is resolved once, by whoever comes
    first.
    """
    expired = 0
    for _ in range(_ROUNDS_MAX):
        async with db.write(platform) as scope:
            due = await scope.rows(_DUE, {"platform": platform, "now": scope.now, "limit": BATCH_MAX})
            results = await journal.post(
                scope,
                [
                    _release(
                        row.entry_id,
                        journal.Source(row.source_type, row.source_id),
                        EXPIRED,
                        row.expires_at,
                        {"hold": public_id("journal entry", row.entry_id)},
                    )
                    for row in due
                ],
            )
        expired += sum(result.outcome is Outcome.POSTED for result in results)
        if len(due) < BATCH_MAX:
            break
    return expired


async def open_holds(scope: Scope, request: PageRequest) -> Page:
    """The holds that are open, the newest first: the ids of their entries, as `id`."""
    statement = select(ledger_hold.c.entry_id.label("id")).where(ledger_hold.c.platform_id == scope.platform)
    return await newest_first(scope, statement, ledger_hold.c.entry_id, request)


async def _hold(scope: Scope, id: UUID, key: str) -> Original:
    held = await original.load(scope, id)
    if held.phase is not Phase.HELD:
        raise HoldNotOpen(entry_key=key, hold_id=id, current_state=held.phase)
    return held


def _part(held: Original, amounts: Sequence[int]) -> tuple[Posting, ...]:
    if len(amounts) != len(held.postings) or min(amounts) < 0:
        raise InvalidInput(
            f"{held.public_id} has {len(held.postings)} postings: give an amount for each, 0 to leave it out.",
            path=("amounts",),
            constraint=f"{len(held.postings)} amounts of 0 or more",
        )
    if not any(amounts):
        raise InvalidInput("A hold of which nothing is posted is voided.", path=("amounts",), constraint="one above 0")
    return tuple(
        replace(posting, amount=amount) for posting, amount in zip(held.postings, amounts, strict=True) if amount
    )


def _release(
    hold_id: UUID, source: journal.Source, kind: str, effective_at: datetime, reason: dict[str, Any]
) -> JournalEntry:
    return JournalEntry(
        key=f"{kind}:{public_id('journal entry', hold_id)}",
        kind=kind,
        source=source,
        postings=(),
        effective_at=effective_at,
        description="Hold expired" if kind == EXPIRED else "Hold voided",
        reason=reason,
        phase=Phase.RELEASED,
        resolves=hold_id,
    )


def _standing(result: journal.Result) -> UUID:
    if result.refusal is not None:
        raise result.refusal
    assert result.entry_id is not None, "an entry that was not refused stands"
    return result.entry_id
