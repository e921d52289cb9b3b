"""The hash chain over a platform's entries: each is sealed onto the one before.

An entry's hash is SHA-256 over the previous entry's hash and its own canonical JSON line, so an auditor can recompute
it from an export with any tool, and a change names the very entry. The line names accounts by code and times in
microseconds since 1970; running balances are not in it, because they follow from the amounts (the proof recomputes
them).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson

GENESIS = bytes(32)
"""The hash before the first entry."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Instant = datetime | int
"""A time with its zone, or microseconds since 1970."""

PostingFact = tuple[str, str, int, str]
"""A posting as the chain sees it: debit code, credit code, amount in minor units, currency."""


def entry_line(
    *,
    number: int,
    id: UUID,
    key: str,
    kind: str,
    source_type: str,
    source_id: UUID,
    description: str,
    reason: Mapping[str, Any],
    effective_at: Instant,
    occurred_at: Instant | None,
    recorded_at: Instant,
    phase: str,
    expires_at: Instant | None,
    resolves: UUID | None,
    reverses: UUID | None,
    postings: Sequence[PostingFact],
) -> bytes:
    """The canonical JSON line of an entry, keys of `reason` sorted, ended by a newline."""
    return orjson.dumps(
        [
            number,
            id,
            key,
            kind,
            source_type,
            source_id,
            description,
            reason,
            microseconds(effective_at),
            None if occurred_at is None else microseconds(occurred_at),
            microseconds(recorded_at),
            phase,
            None if expires_at is None else microseconds(expires_at),
            resolves,
            reverses,
            postings,
        ],
        default=str,  # the driver's own kind of UUID
        option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE,
    )


def seal(previous: bytes, line: bytes) -> bytes:
    """An entry's hash: SHA-256 over the hash of the entry before it and its own line."""
    return sha256(previous + line).digest()


def body_hash(
    *,
    kind: str,
    source_type: str,
    source_id: UUID,
    phase: str,
    resolves: UUID | None,
    reverses: UUID | None,
    movements: Iterable[PostingFact],
) -> bytes:
    """What makes two entries of one key the same: kind, source, phase, the entry named, and the movements in any order.

    Effective time, a hold's end, description and reason stay out: a retry may come from another clock reading or
    another event that tells the same fact, and what stands in the books is what the first one said.
    """
    body = [kind, source_type, source_id, phase, resolves, reverses, sorted(movements)]
    return sha256(orjson.dumps(body, default=str)).digest()


def terms_hash(
    *,
    platform_id: UUID,
    id: UUID,
    code: str,
    currency: str,
    kind: str,
    side: str,
    owner_type: str | None,
    owner_id: UUID | None,
    guard: str,
    ceiling: int | None,
    state: str,
    opened_at: Instant,
) -> bytes:
    """What an account's row says beside its totals, which follow from the journal; made anew when a term changes."""
    terms = [platform_id, id, code, currency, kind, side, owner_type, owner_id, guard, ceiling, state]
    return sha256(orjson.dumps([*terms, microseconds(opened_at)], default=str)).digest()


def period_line(
    *,
    closed_until: Instant,
    closed_at: Instant,
    closed_by: str,
    entries: int,
    entry_hash: bytes,
    balances: Iterable[tuple[str, str, int]],
) -> bytes:
    """The canonical JSON line of a closed period; sealed onto the period before it, it is the period's `trial_hash`.

    `entry_hash` is that of the last of the `entries` which the journal held when the period was closed; `balances` are
    code, currency and net debits of every account whose postings before `closed_until` do not net to zero.
    """
    return orjson.dumps(
        [
            microseconds(closed_until),
            microseconds(closed_at),
            closed_by,
            entries,
            entry_hash.hex(),
            sorted(balances),
        ],
        option=orjson.OPT_APPEND_NEWLINE,
    )


def microseconds(at: Instant) -> int:
    """Microseconds since 1970, as the canonical lines write a time."""
    return at if isinstance(at, int) else (at - _EPOCH) // _MICROSECOND
