"""What is asked of the journal: entries of postings, and the answers they get."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from marketbill.errors import ErrorCode, InsufficientFunds, LimitExceeded, Refusal
from marketbill.ledger.chart import AccountRef
from marketbill.money import AMOUNT_MINOR_MAX

#: The most postings that one entry may hold.
POSTINGS_MAX = 2_000

#: The most entries that one call of `journal.post` takes.
ENTRIES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Posting:
    """Moves `amount` minor units (1 to 10^15) from the account `credit` to the account `debit`, of one currency."""

    debit: AccountRef
    credit: AccountRef
    amount: int

    def __post_init__(self) -> None:
        if type(self.amount) is not int or not 0 < self.amount <= AMOUNT_MINOR_MAX:
            raise ValueError(f"a posting's amount is 1 to {AMOUNT_MINOR_MAX} minor units, not {self.amount!r}")
        if self.debit.currency != self.credit.currency:
            raise ValueError(f"a posting has one currency, not {self.debit.currency} and {self.credit.currency}")
        if self.debit.code == self.credit.code:
            raise ValueError(f"a posting needs two accounts, not {self.debit.code} twice")


@dataclass(frozen=True, slots=True)
class Source:
    """The object an entry comes from: its kind as in `ids.PREFIX` ("payment", "transfer", "payout") and its id."""

    type: str
    id: UUID


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One business fact to be booked.

    `key` is unique within the platform and makes the entry safe to post again. `kind` is one of the nouns that the use
    cases book: "charge", "psp-fee", "split", "funds-available", "release", "transfer", "custody", "payout-created",
    "payout-paid", "payout-failed", "payout-reclaimed", "float". `effective_at` is when it happened. `reason` says why,
    in JSON without floats: the rule version and the trace that recomputes the amounts.
    """

    key: str
    kind: str
    source: Source
    postings: tuple[Posting, ...]
    effective_at: datetime
    description: str
    reason: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not 1 <= len(self.postings) <= POSTINGS_MAX:
            raise ValueError(f"an entry has 1 to {POSTINGS_MAX} postings, not {len(self.postings)}")
        if not 1 <= len(self.key) <= 255:
            raise ValueError("an entry's key has 1 to 255 characters")
        if self.effective_at.tzinfo is None:
            raise ValueError("an entry's effective time needs a time zone")
        if _has_float(self.reason):
            raise ValueError("an entry's reason holds no floats: write exact text")


class Outcome(StrEnum):
    """POSTED now; REPLAYED: stood already, the same; REFUSED: broke a guard; CONFLICT: the key holds another body."""

    POSTED = "POSTED"
    REPLAYED = "REPLAYED"
    REFUSED = "REFUSED"
    CONFLICT = "CONFLICT"


class GuardBroken(InsufficientFunds):
    """An account that may not go below zero would; `available_minor` is what it holds, `entry_key` names the entry."""

    def __init__(self, *, entry_key: str, account: AccountRef, available_minor: int, short_minor: int) -> None:
        super().__init__(
            f"{account.code} holds {available_minor} {account.currency} in minor units, {short_minor} too few.",
            available_minor=available_minor,
            currency=account.currency,
        )
        self.entry_key = entry_key
        self.account = account
        self.short_minor = short_minor


class EntryConflict(Refusal):
    """The journal already holds another body under this key; `entry_id` is the entry that stands."""

    code = ErrorCode.IDEMPOTENCY_KEY_REUSED

    def __init__(self, *, entry_key: str, entry_id: UUID) -> None:
        super().__init__(f"The journal already holds another entry under the key {entry_key!r}.")
        self.entry_key = entry_key
        self.entry_id = entry_id


class AccountFull(LimitExceeded):
    """An account's total turnover would exceed 2^63 - 1 minor units."""

    def __init__(self, *, entry_key: str, account: AccountRef) -> None:
        super().__init__(f"The turnover of {account.code} in {account.currency} has reached its limit.")
        self.entry_key = entry_key
        self.account = account


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one entry. `entry_id` is the entry that stands under the key; None when it was refused."""

    entry_id: UUID | None
    outcome: Outcome
    refusal: GuardBroken | AccountFull | EntryConflict | None = None


def _has_float(value: Any) -> bool:
    if isinstance(value, float):
        return True
    if isinstance(value, Mapping):
        return any(map(_has_float, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_float, value))
    return False
