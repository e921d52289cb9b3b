"""Accounts' terms: frozen, closed, guarded, limited by operators; and what they changed."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

import strawberry

from marketbill.ids import parse_id, public_id
from marketbill.interventions import books
from marketbill.interventions.books import Change
from marketbill.ledger.chart import AccountState, Guard
from marketbill.ledger.operations import account_terms
from marketbill.ledger.operations.account_terms import AccountChange, Term
from marketbill_graphql import declare
from marketbill_graphql.access import OPERATOR, OPERATORS, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, InsufficientFunds, RefusalsAsData
from marketbill_graphql.ledger import LedgerAccount, load_account
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.scalars import BigInt

strawberry.enum(Term, name="LedgerAccountTerm", description="What of an account was changed.")

_REASON = "1 to 500 characters; kept with the change."
_STATE: dict[AccountState, Change] = {
    AccountState.OPEN: account_terms.unfreeze,
    AccountState.FROZEN: account_terms.freeze,
    AccountState.CLOSED: account_terms.close,
}


@declare.output(OPERATORS)
class LedgerAccountChange(Node):
    """What an operator changed of an account, and why."""

    change: strawberry.Private[AccountChange]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="chg_…")
    term: Term
    was: str | None = strawberry.field(description="A state, a guard, or a ceiling in minor units; null for none.")
    became: str | None
    reason: str
    changed_by: str = strawberry.field(description="key_…, or terminal:… for a user of the machine.")
    changed_at: datetime

    @declare.computed
    async def account(self, info: Info) -> LedgerAccount:
        """The account."""
        return await load_account(info.context, self.change.account_id)


@declare.input
class LedgerAccountStateSetInput:
    """Which account, and its new state."""

    idempotency_key: str
    id: strawberry.ID
    state: AccountState
    reason: str = strawberry.field(description=_REASON)


@declare.input
class LedgerAccountGuardSetInput:
    """Which account, and its new guard."""

    idempotency_key: str
    id: strawberry.ID
    guard: Guard
    reason: str = strawberry.field(description=_REASON)


@declare.input
class LedgerAccountCeilingSetInput:
    """Which account, and its new ceiling."""

    idempotency_key: str
    id: strawberry.ID
    ceiling: BigInt | None = strawberry.field(description="Minor units of the account's currency; null for no limit.")
    reason: str = strawberry.field(description=_REASON)


LedgerAccountStateSetError = Annotated[AnyMutationError, strawberry.union("LedgerAccountStateSetError")]
LedgerAccountGuardSetError = Annotated[
    AnyMutationError | InsufficientFunds, strawberry.union("LedgerAccountGuardSetError")
]
LedgerAccountCeilingSetError = Annotated[AnyMutationError, strawberry.union("LedgerAccountCeilingSetError")]


@declare.output(OPERATOR)
class LedgerAccountStateSetPayload:
    """What was changed."""

    change: LedgerAccountChange | None = None
    errors: list[LedgerAccountStateSetError]


@declare.output(OPERATOR)
class LedgerAccountGuardSetPayload:
    """What was changed."""

    change: LedgerAccountChange | None = None
    errors: list[LedgerAccountGuardSetError]


@declare.output(OPERATOR)
class LedgerAccountCeilingSetPayload:
    """What was changed."""

    change: LedgerAccountChange | None = None
    errors: list[LedgerAccountCeilingSetError]


@strawberry.type
class AccountTermsQueries:
    @declare.query(OPERATORS)
    async def ledger_account_changes(
        self,
        info: Info,
        account_id: strawberry.ID | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[LedgerAccountChange]:
        """What operators changed of accounts, newest first; of one account, or of all."""
        asked = page_request(list_name="ledgerAccountChanges", first=first, after=after, last=last, before=before)
        account = parse_id("ledger account", account_id, path=("accountId",)) if account_id else None
        found = await info.context.read(lambda scope: account_terms.changes(scope, asked, account_id=account))
        return connection(
            found, list_name="ledgerAccountChanges", node=lambda row: _change_of(account_terms.change_of(row))
        )


@strawberry.type
class AccountTermsCommands:
    @declare.command(OPERATOR, RefusalsAsData())
    async def ledger_account_state_set(
        self, info: Info, input: LedgerAccountStateSetInput
    ) -> LedgerAccountStateSetPayload:
        """Freezes an account (FROZEN), opens it again (OPEN), or closes it for ever (CLOSED), which must be empty.

        A frozen account takes no postings and no new holds; its open holds are given back when they end.
        """
        change = await _changed(
            info.context, "ledgerAccountStateSet", input, _STATE[input.state], became=input.state.value
        )
        return LedgerAccountStateSetPayload(change=change, errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def ledger_account_guard_set(
        self, info: Info, input: LedgerAccountGuardSetInput
    ) -> LedgerAccountGuardSetPayload:
        """Guards an account against going below zero, or no longer; refused while it is below zero."""
        change = partial(account_terms.set_guard, guard=input.guard)
        made = await _changed(info.context, "ledgerAccountGuardSet", input, change, became=input.guard.value)
        return LedgerAccountGuardSetPayload(change=made, errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def ledger_account_ceiling_set(
        self, info: Info, input: LedgerAccountCeilingSetInput
    ) -> LedgerAccountCeilingSetPayload:
        """Sets the most that an account may hold; refused while it holds more."""
        change = partial(account_terms.set_ceiling, ceiling=input.ceiling)
        made = await _changed(info.context, "ledgerAccountCeilingSet", input, change, became=input.ceiling)
        return LedgerAccountCeilingSetPayload(change=made, errors=[])


async def _changed(
    context: Context, operation: str, input: Any, change: Change, *, became: object
) -> LedgerAccountChange:
    id = await books.change_account(
        context.services,
        context.actor,
        operation=operation,
        idempotency_key=input.idempotency_key,
        id=input.id,
        reason=input.reason,
        change=change,
        became=became,
    )
    return _change_of(await context.read(lambda scope: account_terms.load_change(scope, id)))


def _change_of(change: AccountChange) -> LedgerAccountChange:
    return LedgerAccountChange(
        change=change,
        id=strawberry.ID(public_id("account change", change.id)),
        term=change.term,
        was=change.was,
        became=change.became,
        reason=change.reason,
        changed_by=change.changed_by,
        changed_at=change.changed_at,
    )


@finds("account change", OPERATORS)
async def _find_change(context: Context, id: str) -> LedgerAccountChange:
    change_id = parse_id("account change", id)
    return _change_of(await context.read(lambda scope: account_terms.load_change(scope, change_id)))
