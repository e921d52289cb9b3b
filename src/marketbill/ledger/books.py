"""A platform's books as a batch sees them: the end of the chain, and the accounts that its entries name.

Plain state without rules or database: `store` fills it, `decision` moves it on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from marketbill.ledger.chart import AccountRef, AccountState, Guard, Side
from marketbill.ledger.entry import Phase

AccountKey = tuple[str, str]
"""Code and currency."""


class Totals(NamedTuple):
    """What an account can be set back to."""

    debits: int
    credits: int
    pending_debits: int
    pending_credits: int
    latest_effective_at: datetime | None


@dataclass(slots=True, eq=False)
class OpenAccount:
    """An account under the batch's lock, as it stands after the entries decided so far; amounts in minor units.

    `guard` and `ceiling` are those of its row, which an operator may have set apart from the chart's. `is_new` until
    its row is written.
    """

    id: UUID
    ref: AccountRef
    state: AccountState = AccountState.OPEN
    guard: Guard = Guard.NONE
    ceiling: int | None = None
    debits: int = 0
    credits: int = 0
    pending_debits: int = 0
    pending_credits: int = 0
    latest_effective_at: datetime | None = None
    is_new: bool = False

    def totals(self) -> Totals:
        return Totals(self.debits, self.credits, self.pending_debits, self.pending_credits, self.latest_effective_at)

    def set_back(self, totals: Totals) -> None:
        self.debits, self.credits, self.pending_debits, self.pending_credits, self.latest_effective_at = totals

    @property
    def balance(self) -> int:
        """What is posted, positive on its own side."""
        return self.debits - self.credits if self.ref.side is Side.DEBIT else self.credits - self.debits

    @property
    def available(self) -> int:
        """What is posted less what holds would take."""
        return self.balance - (self.pending_credits if self.ref.side is Side.DEBIT else self.pending_debits)

    @property
    def expected(self) -> int:
        """What is posted and what holds would bring."""
        return self.balance + (self.pending_debits if self.ref.side is Side.DEBIT else self.pending_credits)


class Standing(NamedTuple):
    """An entry that the journal holds already."""

    id: UUID
    body_hash: bytes


class Leg(NamedTuple):
    """A posting of an entry that another names: between which accounts, and how much."""

    debit: AccountKey
    credit: AccountKey
    amount: int


@dataclass(slots=True)
class Named:
    """An entry that another resolves or reverses, and what has become of it; `is_settled` once that has happened."""

    id: UUID
    phase: Phase
    expires_at: datetime | None
    is_settled: bool
    legs: tuple[Leg, ...]


@dataclass(slots=True)
class Books:
    """The end of a platform's chain under its lock, and the accounts; `standing` are the keys that are taken.

    `entries` and `postings` are the last numbers, `hash` the last entry's. `revision` counts the changes of accounts
    and periods, so that a copy in memory knows when it is out of date.
    """

    entries: int
    postings: int
    hash: bytes
    recorded_at: datetime
    closed_until: datetime | None
    revision: int
    accounts: dict[AccountKey, OpenAccount]
    standing: dict[str, Standing] = field(default_factory=dict)
    named: Mapping[UUID, Named] = field(default_factory=dict)
