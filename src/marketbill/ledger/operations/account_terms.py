"""Changes of an account by an operator: frozen, opened again, closed; its guard and its ceiling.

Each is made under the lock of the books, refused when the account as it stands would break it, and kept with who made
it and why. An account has terms of its own from its first posting on; before that it is as the chart has it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, select, update

from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, NotFound
from marketbill.ids import new_id, public_id
from marketbill.ledger import head
from marketbill.ledger.chain import terms_hash
from marketbill.ledger.chart import AccountState, Guard, Side
from marketbill.ledger.model import ledger_account
from marketbill.ledger.operations.model import ledger_account_change
from marketbill.ledger.operations.refusal import (
    AccountNotChanged,
    AccountNotEmpty,
    CeilingAlreadyBroken,
    GuardAlreadyBroken,
)
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.text import checked_reason


class Term(StrEnum):
    """What of an account was changed."""

    STATE = "STATE"
    GUARD = "GUARD"
    CEILING = "CEILING"


@dataclass(frozen=True, slots=True)
class AccountChange:
    """A change as it is kept; `was` and `became` are a state, a guard, or a ceiling in minor units (None: no limit)."""

    id: UUID
    account_id: UUID
    term: Term
    was: str | None
    became: str | None
    reason: str
    changed_by: str
    changed_at: datetime


#: The highest ceiling, in minor units.
CEILING_MAX = 2**63 - 1

_COLUMN = {Term.STATE: "state", Term.GUARD: "guard", Term.CEILING: "ceiling"}
_ACCOUNT = select(ledger_account).where(
    ledger_account.c.platform_id == bindparam("platform"), ledger_account.c.id == bindparam("account")
)


async def freeze(scope: WriteScope, account_id: UUID, *, by: str, reason: str) -> AccountChange:
    """From now on the account takes no postings and no new holds; its open holds can still be given back.

    Raises NotFound, and AccountNotChanged unless it is OPEN.
    """
    return await _change(scope, account_id, Term.STATE, AccountState.FROZEN, _is(AccountState.OPEN), by, reason)


async def unfreeze(scope: WriteScope, account_id: UUID, *, by: str, reason: str) -> AccountChange:
    """The account takes postings again. Raises NotFound, and AccountNotChanged unless it is FROZEN."""
    return await _change(scope, account_id, Term.STATE, AccountState.OPEN, _is(AccountState.FROZEN), by, reason)


async def close(scope: WriteScope, account_id: UUID, *, by: str, reason: str) -> AccountChange:
    """The account takes no postings ever again. Raises NotFound, AccountNotChanged when it is CLOSED, and
    AccountNotEmpty unless nothing is posted or pending on it."""
    return await _change(scope, account_id, Term.STATE, AccountState.CLOSED, _is_empty, by, reason)


async def set_guard(scope: WriteScope, account_id: UUID, guard: Guard, *, by: str, reason: str) -> AccountChange:
    """Guards the account against going below zero, or no longer.

    Raises NotFound, AccountNotChanged when it is so already or CLOSED, and GuardAlreadyBroken.
    """
    return await _change(scope, account_id, Term.GUARD, guard, _keeps_guard, by, reason)


async def set_ceiling(
    scope: WriteScope, account_id: UUID, ceiling: int | None, *, by: str, reason: str
) -> AccountChange:
    """The most that the account may hold, in minor units on its own side; None for no limit.

    Raises NotFound, InvalidInput, AccountNotChanged when it is so already or CLOSED, and CeilingAlreadyBroken.
    """
    if ceiling is not None and not 0 <= ceiling <= CEILING_MAX:
        raise InvalidInput("A ceiling is 0 or more.", path=("ceiling",), constraint=f"0..{CEILING_MAX}")
    return await _change(scope, account_id, Term.CEILING, ceiling, _keeps_ceiling, by, reason)


async def load_change(scope: Scope, id: UUID) -> AccountChange:
    """The change with this id. Raises NotFound."""
    own = (ledger_account_change.c.platform_id == scope.platform) & (ledger_account_change.c.id == id)
    row = await scope.first(select(ledger_account_change).where(own))
    if row is None:
        raise NotFound("account change", public_id("account change", id))
    return change_of(row)


async def changes(scope: Scope, request: PageRequest, *, account_id: UUID | None = None) -> Page:
    """What operators changed, the newest first; of one account, or of all. Rows become changes by `change_of`."""
    statement = select(ledger_account_change).where(ledger_account_change.c.platform_id == scope.platform)
    if account_id is not None:
        statement = statement.where(ledger_account_change.c.account_id == account_id)
    return await newest_first(scope, statement, ledger_account_change.c.id, request)


def change_of(row: Row[Any]) -> AccountChange:
    return AccountChange(
        row.id, row.account_id, Term(row.term), row.was, row.became, row.reason, row.changed_by, row.changed_at
    )


Check = Callable[[Row[Any], Any], None]
"""Raises what stands against the change of an account's row to a new value."""


async def _change(
    scope: WriteScope, account_id: UUID, term: Term, became: Any, check: Check, by: str, reason: str
) -> AccountChange:
    reason = checked_reason(reason)
    await head.lock(scope)
    row = await scope.first(_ACCOUNT, {"platform": scope.platform, "account": account_id})
    if row is None:
        raise NotFound("ledger account", public_id("ledger account", account_id), path=("id",))
    was = getattr(row, _COLUMN[term])
    if was == became:
        raise AccountNotChanged(
            _name(row), f"has the {term.lower()} {_text(became) or 'none'} already", state=row.state
        )
    if row.state == AccountState.CLOSED:
        raise AccountNotChanged(_name(row), "is closed for ever", state=row.state)
    check(row, became)
    terms = {name: getattr(row, name) for name in _TERMS} | {_COLUMN[term]: became}
    changed = {_COLUMN[term]: became, "terms_hash": terms_hash(**terms)}
    own = (ledger_account.c.platform_id == scope.platform) & (ledger_account.c.id == account_id)
    await scope.run(update(ledger_account).where(own).values(**changed))
    made = AccountChange(new_id(), account_id, term, _text(was), _text(became), reason, by, scope.now)
    await scope.run(
        insert(ledger_account_change),
        {
            "platform_id": scope.platform,
            "id": made.id,
            "account_id": account_id,
            "term": term,
            "was": made.was,
            "became": made.became,
            "reason": reason,
            "changed_by": by,
            "changed_at": scope.now,
        },
    )
    await head.revise(scope)
    return made


_TERMS = (
    "platform_id",
    "id",
    "code",
    "currency",
    "kind",
    "side",
    "owner_type",
    "owner_id",
    "guard",
    "ceiling",
    "state",
    "opened_at",
)


def _is(needed: AccountState) -> Check:
    def check(row: Row[Any], _: Any) -> None:
        if row.state != needed:
            raise AccountNotChanged(_name(row), f"is {row.state.lower()}, not {needed.lower()}", state=row.state)

    return check


def _is_empty(row: Row[Any], _: Any) -> None:
    if row.debits != row.credits or row.pending_debits or row.pending_credits:
        raise AccountNotEmpty(
            _name(row),
            state=row.state,
            net=row.debits - row.credits,
            pending_debits=row.pending_debits,
            pending_credits=row.pending_credits,
        )


def _keeps_guard(row: Row[Any], guard: Guard) -> None:
    available = _balance(row) - (row.pending_credits if row.side == Side.DEBIT else row.pending_debits)
    if guard is Guard.NOT_NEGATIVE and available < 0:
        raise GuardAlreadyBroken(_name(row), available_minor=available, currency=row.currency)


def _keeps_ceiling(row: Row[Any], ceiling: int | None) -> None:
    held = _balance(row) + (row.pending_debits if row.side == Side.DEBIT else row.pending_credits)
    if ceiling is not None and held > ceiling:
        raise CeilingAlreadyBroken(_name(row), ceiling=ceiling, held_minor=held)


def _balance(row: Row[Any]) -> int:
    return row.debits - row.credits if row.side == Side.DEBIT else row.credits - row.debits


def _name(row: Row[Any]) -> str:
    return f"{row.code} {row.currency}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)
