"""Follows a chain of hashes and says which link was altered."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from marketbill.ledger.audit.finding import Findings, Rule, entry_name
from marketbill.ledger.audit.history import StoredEntry
from marketbill.ledger.chain import GENESIS, PostingFact, body_hash, entry_line, seal


class Broken(NamedTuple):
    """A link whose stored hash is not the one that follows: both in hex."""

    stored: str
    computed: str


class Links:
    """A chain of hashes from its beginning on.

    `stored` is the last hash as it stands, `computed` as it follows from the hash before, `proven` as it follows from
    the lines alone, without any stored hash: three times the same in an unharmed chain.
    """

    def __init__(self) -> None:
        self.stored = self.computed = self.proven = GENESIS
        self._is_torn = False

    def follow(self, line: bytes, stored: bytes) -> Broken | None:
        """Goes on by one link. A link whose own hash was altered is broken, the one after it is not."""
        computed = seal(self.stored, line)
        self.proven = computed if self.proven == self.stored else seal(self.proven, line)
        holds = computed == stored or self._is_torn
        if not holds and self.computed != self.stored:
            holds = seal(self.computed, line) == stored
        self.stored, self.computed, self._is_torn = stored, computed if not holds else stored, False
        return None if holds else Broken(stored.hex(), computed.hex())

    def tear(self) -> None:
        """A link is missing: what the next one was sealed onto is unknown."""
        self._is_torn = True


class EntryChain(Links):
    """The chain of the journal's entries."""

    def check(self, entry: StoredEntry, facts: Sequence[PostingFact], findings: Findings) -> None:
        """Whether an entry and its postings are what was sealed, and its body what its key stands for."""
        broken = self.follow(sealed_line(entry, facts), entry.hash)
        if broken is not None:
            findings.add(
                Rule.CHAIN,
                f"{entry_name(entry.id, entry.number)}, hash",
                expected=broken.stored,
                found=broken.computed,
            )
        body = body_hash(
            kind=entry.kind,
            source_type=entry.source_type,
            source_id=entry.source_id,
            phase=entry.phase,
            resolves=entry.resolves,
            reverses=entry.reverses,
            movements=facts,
        )
        if body != entry.body_hash:
            findings.add(
                Rule.CHAIN,
                f"{entry_name(entry.id, entry.number)}, body",
                expected=entry.body_hash.hex(),
                found=body.hex(),
            )


def sealed_line(entry: StoredEntry, facts: Sequence[PostingFact]) -> bytes:
    """The canonical line of an entry as it is stored."""
    try:
        return _line(entry, orjson.loads(entry.reason), facts)
    except (ValueError, TypeError):
        # JSON that the journal would never have taken (numbers or nesting beyond all bounds): it seals to another hash.
        return _line(entry, {"": entry.reason}, facts)


def _line(entry: StoredEntry, reason: Mapping[str, Any], facts: Sequence[PostingFact]) -> bytes:
    return entry_line(
        number=entry.number,
        id=entry.id,
        key=entry.key,
        kind=entry.kind,
        source_type=entry.source_type,
        source_id=entry.source_id,
        description=entry.description,
        reason=reason,
        effective_at=entry.effective_at,
        occurred_at=entry.occurred_at,
        recorded_at=entry.recorded_at,
        phase=entry.phase,
        expires_at=entry.expires_at,
        resolves=entry.resolves,
        reverses=entry.reverses,
        postings=facts,
    )
