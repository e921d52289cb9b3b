"""The port to what a provider keeps of money that moved: its balance transactions, each with the object behind it.

What reconciliation compares the books with. Nothing here changes anything, so every method may be asked again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from marketbill.provider.objects import BalanceTransaction, PayoutStatus


class Moving(StrEnum):
    """What kind of object moved the platform's balance; OTHER is none of ours, such as a fee of the provider's."""

    CHARGE = "CHARGE"
    TRANSFER = "TRANSFER"
    REFUND = "REFUND"
    DISPUTE = "DISPUTE"
    TOPUP = "TOPUP"
    PAYOUT = "PAYOUT"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Movement:
    """One balance transaction of the platform and the object that it is of.

    `object_id` is the object's id, or the transaction's own where it has none. `alone`: the object has no other balance
    transaction as far as it tells itself. `payment_id` and `transfer_group` name the payment it belongs to, `metadata`
    holds the names that we gave it (`marketbill_...`); `destination` is the account that a transfer went to.
    """

    transaction: BalanceTransaction
    created: datetime
    category: str
    moving: Moving
    object_id: str
    alone: bool = True
    payment_id: str | None = None
    transfer_group: str | None = None
    destination: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class AccountPayout:
    """A payout of a connected account, with what its bank calls it (`bank_reference`), once the bank told."""

    id: str
    created: datetime
    status: PayoutStatus
    amount: int
    currency: str
    arrival_date: datetime
    failure_code: str | None
    bank_reference: str | None
    balance_transaction: str | None
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AccountMovement:
    """A balance transaction of a connected account. `transfer_id` is the transfer that it came with, `reversal_id` the
    reversal that took it back."""

    transaction: BalanceTransaction
    created: datetime
    transfer_id: str | None
    reversal_id: str | None


class TellsMovements(Protocol):
    """What a provider tells of the money that moved."""

    async def list_movements(self, *, created_from: datetime, created_until: datetime, limit: int) -> list[Movement]:
        """The platform's movements of a time, both ends included, newest first, at most `limit` of them."""
        ...

    async def movements_of(self, object_id: str) -> list[Movement]:
        """Every movement of one object, newest first; none when the provider does not know it."""
        ...

    async def list_account_payouts(
        self, account_id: str, *, created_from: datetime, created_until: datetime, limit: int
    ) -> list[AccountPayout]:
        """An account's payouts that were made in a time, both ends included, newest first, at most `limit`."""
        ...

    async def retrieve_account_payout(self, account_id: str, payout_id: str) -> AccountPayout | None:
        """One payout; None when the provider does not know it."""
        ...

    async def list_account_movements(
        self, account_id: str, *, created_from: datetime, created_until: datetime, limit: int
    ) -> list[AccountMovement]:
        """A connected account's movements of a time, newest first, at most `limit` of them."""
        ...
