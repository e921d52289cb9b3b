"""The hash chain over a platform's entries: one block per call of `journal.post`, each sealed onto the one before.

A block's hash is SHA-256 over the previous block's hash and one JSON line per entry, so an auditor can recompute it
from an export with any tool. The line names accounts by code and times in microseconds since 1970; running balances are
not in it, because they follow from the amounts (the proof recomputes them).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson

GENESIS = bytes(32)
"""The hash before the first block."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

PostingFact = tuple[str, str, str, int, str]
"""A posting as the chain sees it: id, debit code, credit code, amount in minor units, currency."""


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
    effective_at: datetime,
    recorded_at: datetime,
    postings: Sequence[PostingFact],
) -> bytes:
    """The canonical JSON line of an entry, keys of `reason` sorted."""
    return orjson.dumps(
        [
            number,
            str(id),
            key,
            kind,
            source_type,
            str(source_id),
            description,
            reason,
            _microseconds(effective_at),
            _microseconds(recorded_at),
            postings,
        ],
        option=orjson.OPT_SORT_KEYS,
    )


def block_hash(previous: bytes, lines: Iterable[bytes]) -> bytes:
    """The seal of a block: SHA-256 over the previous hash and the lines, each ended by a newline."""
    seal = sha256(previous)
    for line in lines:
        seal.update(line)
        seal.update(b"\n")
    return seal.digest()


def body_hash(kind: str, source_type: str, source_id: UUID, movements: Iterable[tuple[str, str, int, str]]) -> bytes:
    """What makes two entries of one key the same: kind, source and the movements, in any order.

    Effective time, description and reason stay out: a retry may come from another clock reading or another event that
    tells the same fact, and what stands in the books is what the first one said.
    """
    return sha256(orjson.dumps([kind, source_type, str(source_id), sorted(movements)])).digest()


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
