"""Every way in which the journal says no: each names the entry, the account if it is one, and what would be right."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from marketbill.errors import ErrorCode, InsufficientFunds, InvalidInput, LimitExceeded, Refusal, StateConflict
from marketbill.ids import public_id
from marketbill.ledger.chart import AccountRef, AccountState

_SHOWN_MAX = 100
_FORMS = {
    "LEGS": "moves money by its own legs: it reverses nothing and releases nothing",
    "MIRROR": "reverses another entry and names it",
    "FREE": "moves money by itself: it reverses nothing and releases nothing",
    "RELEASE": "gives a hold back and moves nothing",
}


class GuardBroken(InsufficientFunds):
    """An account that may not go below zero would: `available_minor` is what it has, `short_minor` what lacks."""

    def __init__(self, *, entry_key: str, account: AccountRef, available_minor: int, short_minor: int) -> None:
        super().__init__(
            f"{account.code} has {available_minor} {account.currency} available in minor units, {short_minor} too few.",
            available_minor=available_minor,
            currency=account.currency,
        )
        self.entry_key = entry_key
        self.account = account
        self.short_minor = short_minor


class CeilingBroken(LimitExceeded):
    """An account would hold more than its ceiling: `room_minor` is what it can still take."""

    def __init__(self, *, entry_key: str, account: AccountRef, room_minor: int) -> None:
        super().__init__(
            f"{account.code} may hold {account.ceiling} {account.currency} in minor units at most; it can take"
            f" {room_minor} more."
        )
        self.entry_key = entry_key
        self.account = account
        self.room_minor = room_minor


class AccountFull(LimitExceeded):
    """An account's total turnover would exceed 2^63 - 1 minor units."""

    def __init__(self, *, entry_key: str, account: AccountRef) -> None:
        super().__init__(f"The turnover of {account.code} in {account.currency} has reached its limit, 2^63 - 1.")
        self.entry_key = entry_key
        self.account = account


class AccountNotOpen(StateConflict):
    """An account is FROZEN or CLOSED and takes no postings."""

    def __init__(self, *, entry_key: str, account: AccountRef, state: AccountState) -> None:
        super().__init__(
            f"{account.code} in {account.currency} is {state.lower()} and takes no postings.", current_state=state
        )
        self.entry_key = entry_key
        self.account = account


class EntryConflict(Refusal):
    """The journal already holds another body under this key; `entry_id` is the entry that stands."""

    code = ErrorCode.IDEMPOTENCY_KEY_REUSED

    def __init__(self, *, entry_key: str, entry_id: UUID) -> None:
        super().__init__(f"The journal already holds another entry under the key {entry_key!r}.")
        self.entry_key = entry_key
        self.entry_id = entry_id


class PeriodClosed(StateConflict):
    """The entry is effective in a closed period and asked not to be moved; `closed_until` is the first open instant."""

    def __init__(self, *, entry_key: str, closed_until: datetime) -> None:
        super().__init__(
            f"The books are closed until {closed_until.isoformat()}: an entry is effective from then on.",
            current_state="CLOSED",
            path=("effectiveAt",),
        )
        self.entry_key = entry_key
        self.closed_until = closed_until


class HoldNotOpen(StateConflict):
    """The hold that an entry resolves is none, has been resolved, or has expired; `current_state` says which."""

    def __init__(self, *, entry_key: str, hold_id: UUID, current_state: str) -> None:
        super().__init__(
            f"{public_id('journal entry', hold_id)} is no open hold ({current_state.lower()}): a hold is posted or"
            " released once.",
            current_state=current_state,
        )
        self.entry_key = entry_key
        self.hold_id = hold_id


class HoldExceeded(LimitExceeded):
    """An entry posts more of a hold than was held between two accounts; `held_minor` is what was."""

    def __init__(self, *, entry_key: str, debit: AccountRef, credit: AccountRef, held_minor: int) -> None:
        super().__init__(
            f"{held_minor} {debit.currency} in minor units are held from {credit.code} to {debit.code}:"
            " post at most that."
        )
        self.entry_key = entry_key
        self.held_minor = held_minor


class NotReversible(StateConflict):
    """The entry that another reverses is unknown, is a hold, or was reversed already; `current_state` says which."""

    def __init__(self, *, entry_key: str, reversed_id: UUID, current_state: str) -> None:
        super().__init__(
            f"{public_id('journal entry', reversed_id)} cannot be reversed ({current_state.lower()}): a posted entry is"
            " reversed once, in whole.",
            current_state=current_state,
        )
        self.entry_key = entry_key
        self.reversed_id = reversed_id


class LinkRefused(StateConflict):
    """The entry itself was good, but one that stands or falls with it was refused; `cause` is that refusal."""

    def __init__(self, *, entry_key: str, cause: Refusal) -> None:
        super().__init__(f"A linked entry was refused: {cause.message}", current_state="REFUSED")
        self.entry_key = entry_key
        self.cause = cause


class PostingInvalid(InvalidInput, ValueError):
    """What no posting can be, whatever the books hold: names both accounts, and the rule (`constraint`)."""

    def __init__(self, *, debit: AccountRef, credit: AccountRef, field: str, rule: str, found: object) -> None:
        super().__init__(
            f"A posting from {credit.code} to {debit.code} has {rule}, not {str(found)[:_SHOWN_MAX]}.",
            path=(field,),
            constraint=rule,
        )
        self.debit = debit
        self.credit = credit


class EntryInvalid(InvalidInput, ValueError):
    """What no entry can be, whatever the books hold: names the entry, the field, and the rule (`constraint`)."""

    def __init__(self, *, entry_key: str, field: str, rule: str, found: object = None) -> None:
        shown = "" if found is None else f", not {str(found)[:_SHOWN_MAX]}"
        super().__init__(
            f"The entry {entry_key[:_SHOWN_MAX]!a} is wrong: {rule}{shown}.", path=(field,), constraint=rule
        )
        self.entry_key = entry_key


class UnknownKind(InvalidInput):
    """No flow of money has this name; the kinds are the keys of `flows.FLOWS`."""

    def __init__(self, *, entry_key: str, kind: str) -> None:
        super().__init__(f"There is no kind of entry named {kind[:_SHOWN_MAX]!r}.", constraint="a kind of ledger.flows")
        self.entry_key = entry_key
        self.kind = kind


class KindMisused(InvalidInput):
    """An entry of this kind has another form (`template.Form`)."""

    def __init__(self, *, entry_key: str, kind: str, form: str) -> None:
        rule = _FORMS[form]
        super().__init__(f"An entry of kind {kind!r} {rule}.", constraint=rule)
        self.entry_key = entry_key
        self.kind = kind


class SourceNotAllowed(InvalidInput):
    """An entry of this kind comes from another sort of object: one of `allowed`."""

    def __init__(self, *, entry_key: str, kind: str, source_type: str, allowed: Sequence[str]) -> None:
        rule = f"a source of type {' or '.join(allowed)}"
        super().__init__(f"An entry of kind {kind!r} has {rule}, not {source_type[:_SHOWN_MAX]!r}.", constraint=rule)
        self.entry_key = entry_key
        self.kind = kind
        self.allowed = tuple(allowed)


class LegNotAllowed(InvalidInput):
    """An entry of this kind does not move money between these accounts; `allowed` are the legs it may have."""

    def __init__(
        self, *, entry_key: str, kind: str, debit: AccountRef, credit: AccountRef, allowed: Sequence[str]
    ) -> None:
        rule = "; ".join(allowed)
        super().__init__(
            f"An entry of kind {kind!r} does not debit {debit.code} and credit {credit.code}: it may {rule}.",
            constraint=rule,
        )
        self.entry_key = entry_key
        self.kind = kind
        self.debit = debit
        self.credit = credit
        self.allowed = tuple(allowed)


class LegRepeated(InvalidInput):
    """An entry of this kind has this leg once at most."""

    def __init__(self, *, entry_key: str, kind: str, leg: str) -> None:
        super().__init__(f"An entry of kind {kind!r} has this leg once: {leg}.", constraint=f"once: {leg}")
        self.entry_key = entry_key
        self.kind = kind
        self.leg = leg


class LegMissing(InvalidInput):
    """An entry of this kind has this leg always."""

    def __init__(self, *, entry_key: str, kind: str, leg: str) -> None:
        super().__init__(f"An entry of kind {kind!r} needs this leg: {leg}.", constraint=f"needed: {leg}")
        self.entry_key = entry_key
        self.kind = kind
        self.leg = leg
