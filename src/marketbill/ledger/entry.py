"""What is asked of the journal: entries of postings, and the answers they get."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from marketbill.errors import Refusal
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.flows import FLOWS
from marketbill.ledger.flows.template import LEGS, MIRROR, RELEASE
from marketbill.ledger.refusal import EntryInvalid, PostingInvalid, UnknownKind
from marketbill.money import AMOUNT_MINOR_MAX

#: The most postings that one entry may hold.
POSTINGS_MAX = 2_000

#: The longest key, in characters.
KEY_LENGTH_MAX = 255

#: The years of an entry's times: beyond them the database knows days, and an infinity, that Python does not.
YEAR_MIN, YEAR_MAX = 1970, 9998

#: The most entries that one call of `journal.post` takes.
ENTRIES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Posting:
    """Moves `amount` minor units (1 to 10^15) from the account `credit` to the account `debit`, of one currency.

    Raises PostingInvalid."""

    debit: AccountRef
    credit: AccountRef
    amount: int

    def __post_init__(self) -> None:
        if type(self.amount) is not int or not 0 < self.amount <= AMOUNT_MINOR_MAX:
            raise self._invalid("amount", f"an amount of 1 to {AMOUNT_MINOR_MAX} minor units", repr(self.amount))
        if self.debit.currency != self.credit.currency:
            raise self._invalid("currency", "one currency", f"{self.debit.currency} and {self.credit.currency}")
        if self.debit.code == self.credit.code:
            raise self._invalid("debit", "two accounts", f"{self.debit.code} twice")

    def _invalid(self, field: str, rule: str, found: object) -> PostingInvalid:
        return PostingInvalid(debit=self.debit, credit=self.credit, field=field, rule=rule, found=found)


@dataclass(frozen=True, slots=True)
class Source:
    """The object an entry comes from: its kind as in `ids.PREFIX` ("payment", "transfer", "payout") and its id."""

    type: str
    id: UUID


class Phase(StrEnum):
    """POSTED moves money. HELD keeps it aside (a hold): it is pending until resolved. RELEASED gives a hold back whole.

    A hold is resolved once, by an entry that names it in `resolves`: POSTED takes all or a part of what was held and
    gives the rest back, RELEASED takes nothing (it was voided, or it expired).
    """

    POSTED = "POSTED"
    HELD = "HELD"
    RELEASED = "RELEASED"


# Under names of their own, as in `flows.template`: every entry asks for them.
_POSTED, _HELD, _RELEASED = Phase


class IfClosed(StrEnum):
    """What becomes of an entry that is effective in a closed period.

    MOVE makes it effective at the first open instant and keeps when it happened; REFUSE refuses it.
    """

    MOVE = "MOVE"
    REFUSE = "REFUSE"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One business fact to be booked.

    `key` is unique within the platform and makes the entry safe to post again. `kind` is one of `flows.FLOWS`, whose
    template says what sources and postings the entry may have. `effective_at` is when it happened. `reason` says why,
    in JSON without floats: the rule version and the trace that recomputes the amounts.

    `phase` HELD makes it a hold, which may have an end (`expires_at`); `resolves` names the hold that it posts or
    releases, `reverses` the entry whose postings it mirrors. Raises EntryInvalid for what no entry can be, and what its
    kind does not allow: UnknownKind, SourceNotAllowed, KindMisused, LegNotAllowed, LegRepeated,
    LegMissing.
    """

    key: str
    kind: str
    source: Source
    postings: tuple[Posting, ...]
    effective_at: datetime
    description: str
    reason: Mapping[str, Any]
    phase: Phase = Phase.POSTED
    expires_at: datetime | None = None
    resolves: UUID | None = None
    reverses: UUID | None = None
    if_closed: IfClosed = IfClosed.MOVE

    def __post_init__(self) -> None:
        if not 1 <= len(self.key) <= KEY_LENGTH_MAX:
            raise self._invalid("key", f"its key has 1 to {KEY_LENGTH_MAX} characters", len(self.key))
        flaw = _flaw(self.key) or _flaw(self.description) or (_flaw(self.reason) if self.reason else None)
        if flaw is not None:
            raise self._invalid("reason", f"its key, description and reason hold no {flaw}")
        self._check_time("effective_at", self.effective_at)
        if self.resolves is not None and self.reverses is not None:
            raise self._invalid("reverses", "it resolves a hold or reverses an entry, not both")
        if self.phase is not _POSTED or self.expires_at is not None:
            self._check_two_phase()
        if self.phase is not _RELEASED and not 1 <= len(self.postings) <= POSTINGS_MAX:
            raise self._invalid("postings", f"it has 1 to {POSTINGS_MAX} postings", len(self.postings))
        self._check_kind()

    def _check_two_phase(self) -> None:
        if self.phase is _RELEASED and (self.postings or self.resolves is None):
            raise self._invalid("postings", "a release names the hold it resolves and has no postings")
        if self.phase is _HELD and (self.resolves is not None or self.reverses is not None):
            raise self._invalid("resolves", "a hold resolves and reverses nothing")
        if self.expires_at is not None:
            if self.phase is not _HELD:
                raise self._invalid("expires_at", "only a hold expires")
            self._check_time("expires_at", self.expires_at)

    def _check_time(self, field: str, at: datetime) -> None:
        if at.tzinfo is None:
            raise self._invalid(field, "its times have a time zone", at.isoformat())
        if not YEAR_MIN <= at.year <= YEAR_MAX:
            raise self._invalid(field, f"its times lie from {YEAR_MIN} to {YEAR_MAX}", at.isoformat())

    def _invalid(self, field: str, rule: str, found: object = None) -> EntryInvalid:
        return EntryInvalid(entry_key=self.key, field=field, rule=rule, found=found)

    def _check_kind(self) -> None:
        template = FLOWS.get(self.kind)
        if template is None:
            raise UnknownKind(entry_key=self.key, kind=self.kind)
        form = RELEASE if self.phase is _RELEASED else LEGS if self.reverses is None else MIRROR
        template.judge(self.key, form, self.source.type, self.postings, self.resolves is not None)


class Outcome(StrEnum):
    """POSTED now; REPLAYED: stood already, the same; REFUSED by a rule; CONFLICT: the key holds another body."""

    POSTED = "POSTED"
    REPLAYED = "REPLAYED"
    REFUSED = "REFUSED"
    CONFLICT = "CONFLICT"


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one entry. `entry_id` is the entry that stands under the key; None when it was refused."""

    entry_id: UUID | None
    outcome: Outcome
    refusal: Refusal | None = None


def _flaw(value: Any) -> str | None:
    """What JSON, or the database, could not give back as it was: floats, and characters that are none."""
    if isinstance(value, str):
        if "\x00" in value:
            return "NUL characters"
        return None if value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value) else "lone surrogates"
    if isinstance(value, float):
        return "floats: write exact text"
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        return next(filter(None, map(_flaw, value)), None)
    return None
