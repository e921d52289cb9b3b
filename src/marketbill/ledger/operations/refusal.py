"""Every way in which an operator's change of the books is refused: what stands against it, and what would be right."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from marketbill.errors import Forbidden, InsufficientFunds, InvalidInput, LimitExceeded, StateConflict
from marketbill.ids import public_id
from marketbill.money import decimal_text

_NAMED_MAX = 3


class AccountBalance(NamedTuple):
    """What an account holds: net debits (debits less credits) in minor units."""

    code: str
    currency: str
    net: int

    def __str__(self) -> str:
        return f"{self.code} {decimal_text(self.net, self.currency)} {self.currency}"


class PeriodNotOver(InvalidInput):
    """A period is closed once it is over: `until` lies in the future."""

    def __init__(self, *, until: datetime, now: datetime) -> None:
        super().__init__(
            f"The books can be closed until now at most, {now.isoformat()}, not until {until.isoformat()}.",
            path=("until",),
            constraint=f"<= {now.isoformat()}",
        )
        self.until = until


class AlreadyClosed(StateConflict):
    """The books are closed until `closed_until` or later already."""

    def __init__(self, *, until: datetime, closed_until: datetime) -> None:
        super().__init__(
            f"The books are closed until {closed_until.isoformat()} already: a period ends after the one before it.",
            current_state="CLOSED",
            path=("until",),
        )
        self.until = until
        self.closed_until = closed_until


class SuspenseNotZero(StateConflict):
    """Suspense accounts hold something at the period's end; `balances` name each of them."""

    def __init__(self, *, until: datetime, balances: Sequence[AccountBalance]) -> None:
        named = ", ".join(map(str, balances[:_NAMED_MAX])) + (", ..." if len(balances) > _NAMED_MAX else "")
        super().__init__(
            f"Suspense is not zero at {until.isoformat()}: {named}. Find where it belongs before the period is closed.",
            current_state="SUSPENSE",
            path=("until",),
        )
        self.until = until
        self.balances = tuple(balances)


class AccountNotChanged(StateConflict):
    """The account is in a state that does not allow the change, or is so already."""

    def __init__(self, account: str, why: str, *, state: str) -> None:
        super().__init__(f"{account} {why}.", current_state=state, path=("id",))
        self.account = account


class AccountNotEmpty(StateConflict):
    """Only an empty account is closed; amounts in minor units, `net` is debits less credits."""

    def __init__(self, account: str, *, state: str, net: int, pending_debits: int, pending_credits: int) -> None:
        super().__init__(
            f"{account} is not empty: net debits {net}, pending debits {pending_debits}, pending credits"
            f" {pending_credits} in minor units. Move what it holds, and resolve its holds, before it is closed.",
            current_state=state,
            path=("id",),
        )
        self.account = account
        self.net = net
        self.pending_debits = pending_debits
        self.pending_credits = pending_credits


class GuardAlreadyBroken(InsufficientFunds):
    """The account is below zero now, so it cannot be kept from it; `available_minor` is what it has available."""

    def __init__(self, account: str, *, available_minor: int, currency: str) -> None:
        super().__init__(
            f"{account} has {available_minor} {currency} available in minor units: bring it to zero or more first.",
            available_minor=available_minor,
            currency=currency,
            path=("guard",),
        )
        self.account = account


class CeilingAlreadyBroken(LimitExceeded):
    """The account holds more than the ceiling now, with what is pending towards it: `held_minor`."""

    def __init__(self, account: str, *, ceiling: int, held_minor: int) -> None:
        super().__init__(
            f"{account} holds {held_minor} in minor units with what is pending, more than a ceiling of {ceiling}.",
            path=("ceiling",),
        )
        self.account = account
        self.held_minor = held_minor


_NOT_CORRECTABLE = {
    "HELD": "is a hold: void it",
    "RELEASED": "gave a hold back and moved nothing",
    "REVERSAL": "is a reversal: book anew what it reversed",
    "REVERSED": "was reversed already",
}


class NotCorrectable(StateConflict):
    """The entry cannot be reversed: `current_state` is HELD, RELEASED, REVERSAL or REVERSED."""

    def __init__(self, entry_id: UUID, *, state: str) -> None:
        super().__init__(
            f"{public_id('journal entry', entry_id)} {_NOT_CORRECTABLE[state]}.", current_state=state, path=("entryId",)
        )
        self.entry_id = entry_id


class SecondPersonNeeded(Forbidden):
    """Whoever asked for a correction does not approve it."""

    def __init__(self, correction_id: UUID, *, by: str) -> None:
        super().__init__(
            f"{public_id('correction', correction_id)} was asked for by {by}: another person approves it.",
            path=("id",),
        )
        self.correction_id = correction_id


class CorrectionDecided(StateConflict):
    """The correction was posted, rejected, or has expired: `current_state`."""

    def __init__(self, correction_id: UUID, *, status: str) -> None:
        super().__init__(
            f"{public_id('correction', correction_id)} is {status.lower()}: it is decided once.",
            current_state=status,
            path=("id",),
        )
        self.correction_id = correction_id


class CorrectionWaits(StateConflict):
    """Another correction of the same entry waits for its approval: `correction_id`."""

    def __init__(self, entry_id: UUID, correction_id: UUID) -> None:
        super().__init__(
            f"{public_id('correction', correction_id)} of {public_id('journal entry', entry_id)} waits for its"
            " approval: approve or reject it first.",
            current_state="PENDING",
            path=("entryId",),
        )
        self.entry_id = entry_id
        self.correction_id = correction_id
