"""What an export tells: entries with their postings, and what accounts held at the period's edges."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from marketbill.ids import PREFIX, public_id
from marketbill.ledger.chart import AccountKind


class Account(NamedTuple):
    """What the accounts of one code have in common; each is of one currency."""

    kind: AccountKind
    code: str


class Posting(NamedTuple):
    """`amount` minor units (never negative) from the account `credit` to the account `debit`."""

    number: int
    debit: Account
    credit: Account
    amount: int
    currency: str


class Entry(NamedTuple):
    """An entry as it stands. The ids of `resolves` and `reverses` name earlier entries."""

    number: int
    id: UUID
    key: str
    kind: str
    source_type: str
    source_id: UUID
    description: str
    effective_at: datetime
    recorded_at: datetime
    occurred_at: datetime | None
    phase: str
    expires_at: datetime | None
    resolves: UUID | None
    reverses: UUID | None
    hash: bytes
    postings: tuple[Posting, ...]

    @property
    def source(self) -> str:
        """The public id of what the entry comes from; `type:uuid` where that kind of object has none."""
        if self.source_type in PREFIX:
            return public_id(self.source_type, self.source_id)
        return f"{self.source_type}:{self.source_id}"


class Balance(NamedTuple):
    """What an account held in one currency, as debits minus credits; `first_at` is its earliest effective time."""

    account: Account
    currency: str
    net: int
    first_at: datetime


class Opened(NamedTuple):
    """An account, the currencies in which it has postings, and the earliest effective time of them."""

    account: Account
    currencies: tuple[str, ...]
    first_at: datetime


def entry_name(id: UUID) -> str:
    """The public id of an entry."""
    return public_id("journal entry", id)
