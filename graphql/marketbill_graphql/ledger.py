"""The accounts of the books, read: what they hold, held and were known to hold, and their movements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import strawberry

from marketbill.db import ReadScope
from marketbill.ids import parse_id, public_id
from marketbill.ledger import accounts, balances, entries, movements
from marketbill.ledger.accounts import Account, AccountGroup
from marketbill.ledger.balances import Cut
from marketbill.ledger.chart import AccountKind, AccountState, Guard, Side, UnknownAccount, named
from marketbill.ledger.movements import Movement
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, TENANT, access
from marketbill_graphql.connections import Connection, Position, bad_cursor, page, sorted_by, window
from marketbill_graphql.context import Context, Info
from marketbill_graphql.journal import JournalEntry, entry_of
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds, or_null
from marketbill_graphql.scalars import CurrencyCode
from marketbill_graphql.sellers import Seller, load_seller

strawberry.enum(AccountKind, name="AccountKind", description="What an account counts.")
strawberry.enum(
    AccountState,
    name="LedgerAccountState",
    description="OPEN takes postings, FROZEN none until it is opened again, CLOSED none ever.",
)
strawberry.enum(Side, name="AccountSide", description="The side on which an account's balance is read as positive.")
strawberry.enum(
    Guard,
    name="LedgerAccountGuard",
    description="NOT_NEGATIVE: an entry after which less than nothing were available is refused.",
)

_CODE_LENGTH_MAX = 100


@dataclass(frozen=True, slots=True)
class _At:
    """An account at an instant, or a page of an account: the key of a batch."""

    account: UUID
    at: datetime | None
    known_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Page:
    account: UUID
    before: Cut | None
    rows: int


@declare.output(PLATFORM_READERS)
class LedgerAccount(Node):
    """An account of the platform's books, in one currency."""

    account: strawberry.Private[Account]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="acc_…")
    code: str = strawberry.field(description="Such as psp:available or seller:sel_…:payable.")
    currency: CurrencyCode
    kind: AccountKind
    side: Side
    state: AccountState
    guard: Guard
    ceiling: Money | None = strawberry.field(description="The most it may hold, with what holds would bring.")
    balance: Money = strawberry.field(description="What it holds now, positive on its own side; holds do not count.")
    available: Money = strawberry.field(description="Its balance less what open holds would take.")
    debits: Money = strawberry.field(description="Its whole turnover on the debit side.")
    credits: Money = strawberry.field(description="Its whole turnover on the credit side.")
    pending_debits: Money = strawberry.field(description="What open holds would debit.")
    pending_credits: Money = strawberry.field(description="What open holds would credit.")
    opened_at: datetime

    @declare.computed
    async def seller(self, info: Info) -> Seller | None:
        """Whose account it is; null for the platform's own."""
        seller = self.account.seller
        return await load_seller(info.context, seller) if seller is not None else None

    @declare.computed
    async def balance_at(self, info: Info, at: datetime | None = None, known_at: datetime | None = None) -> Money:
        """What it held at the end of the instant `at`, by effective time; without it, by all that is known.

        With `knownAt`, as it was known then: whatever was recorded later is left out. Neither may lie in the future.
        """
        held = await info.context.load(_balances_at, _At(self.account.id, at, known_at))
        return amount(held or 0, self.account.currency)

    @declare.computed
    async def movements(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection["AccountMovement"]:
        """Its postings as it sees them, newest effective time first, with the balance after each."""
        asked = window(list_name="movements", first=first, after=after, last=None, before=None)
        found = await info.context.load(_movements, _Page(self.account.id, _cut(asked.after), asked.rows_wanted))
        currency = self.account.currency
        return page(
            found or [],
            asked,
            list_name="movements",
            node=lambda movement: _movement(movement, currency),
            position=lambda movement: Position(
                (movement.place.at.isoformat(), movement.place.number), movement.posting.id
            ),
        )


@declare.output(PLATFORM_READERS)
class AccountMovement:
    """A posting as one of its two accounts sees it."""

    movement: strawberry.Private[Movement]
    amount: Money = strawberry.field(description="Positive when it adds to the account's balance.")
    balance_after: Money
    effective_at: datetime

    @declare.computed
    async def entry(self, info: Info) -> JournalEntry:
        """The entry it belongs to."""
        return entry_of(await info.context.load(entries.entries_by_ids, self.movement.posting.entry_id))

    @declare.computed
    async def counter_account(self, info: Info) -> LedgerAccount:
        """The other account."""
        return await load_account(info.context, self.movement.counter_account_id)


@declare.lookup
class LedgerAccountLookup:
    """How to find an account."""

    id: strawberry.ID | None = strawberry.UNSET
    code: "AccountCodeInput | None" = strawberry.UNSET


@declare.input
class AccountCodeInput:
    """An account's name in the chart of accounts."""

    code: str
    currency: CurrencyCode


@declare.input
class LedgerAccountFilter:
    """Which accounts; the conditions hold together."""

    code_prefix: str | None = strawberry.field(default=None, description="Such as psp: or seller:.")
    currency: CurrencyCode | None = None
    kind: AccountKind | None = None
    seller_id: strawberry.ID | None = None


@strawberry.type
class LedgerQueries:
    @declare.query(PLATFORM_READERS)
    async def ledger_account(self, info: Info, by: LedgerAccountLookup) -> LedgerAccount | None:
        """An account, or null before its first posting."""
        if by.id:
            return await or_null(_find_account(info.context, by.id))
        if not by.code:
            return None
        try:
            ref = named(by.code.code[:_CODE_LENGTH_MAX], by.code.currency)
        except UnknownAccount:
            return None
        found = await info.context.read(lambda scope: accounts.accounts_by_refs(scope, [ref]))
        return account_of(found[ref]) if ref in found else None

    @declare.query(PLATFORM_READERS)
    async def ledger_accounts(
        self, info: Info, first: int | None = None, after: str | None = None, filter: LedgerAccountFilter | None = None
    ) -> Connection[LedgerAccount]:
        """The platform's accounts by code and currency."""
        asked = window(list_name="ledgerAccounts", first=first, after=after, last=None, before=None)
        group = group_of(filter)
        found = await info.context.read(
            lambda scope: accounts.accounts(scope, group=group, after=_code(asked.after), limit=asked.rows_wanted)
        )
        return page(
            found,
            asked,
            list_name="ledgerAccounts",
            node=account_of,
            position=lambda account: Position((account.code, account.currency), account.id),
        )


def group_of(filter: LedgerAccountFilter | None) -> AccountGroup:
    """Raises NotFound for what is no seller's id."""
    only = filter or LedgerAccountFilter()
    return AccountGroup(
        code_prefix=(only.code_prefix or "")[:_CODE_LENGTH_MAX],
        currency=only.currency,
        kind=only.kind,
        owner=parse_id("seller", only.seller_id, path=("filter", "sellerId")) if only.seller_id else None,
    )


def account_of(account: Account) -> LedgerAccount:
    return LedgerAccount(
        account=account,
        id=strawberry.ID(public_id("ledger account", account.id)),
        code=account.code,
        currency=CurrencyCode(account.currency),
        kind=account.kind,
        side=account.side,
        state=account.state,
        guard=account.guard,
        ceiling=amount(account.ceiling, account.currency) if account.ceiling is not None else None,
        balance=amount(account.balance, account.currency),
        available=amount(account.available, account.currency),
        debits=amount(account.debits, account.currency),
        credits=amount(account.credits, account.currency),
        pending_debits=amount(account.pending_debits, account.currency),
        pending_credits=amount(account.pending_credits, account.currency),
        opened_at=account.opened_at,
    )


@finds("ledger account", PLATFORM_READERS)
async def _find_account(context: Context, id: str) -> LedgerAccount | None:
    account = await context.load(accounts.accounts_by_ids, parse_id("ledger account", id))
    return account_of(account) if account is not None else None


async def load_account(context: Context, id: UUID) -> LedgerAccount:
    return account_of(await context.load(accounts.accounts_by_ids, id))


async def _balances_at(scope: ReadScope, keys: Sequence[_At]) -> Mapping[_At, int]:
    answer: dict[_At, int] = {}
    for at, known_at in {(key.at, key.known_at) for key in keys}:
        ids = [key.account for key in keys if (key.at, key.known_at) == (at, known_at)]
        held = await balances.balance_at(scope, ids, at, known_at=known_at)
        answer |= {_At(account, at, known_at): balance for account, balance in held.items()}
    return answer


async def _movements(scope: ReadScope, keys: Sequence[_Page]) -> Mapping[_Page, list[Movement]]:
    answer: dict[_Page, list[Movement]] = {}
    for before, limit in {(key.before, key.rows) for key in keys}:
        ids = [key.account for key in keys if (key.before, key.rows) == (before, limit)]
        found = await movements.movements(scope, ids, before=before, limit=limit)
        answer |= {_Page(account, before, limit): moved for account, moved in found.items()}
    return answer


def _movement(movement: Movement, currency: str) -> AccountMovement:
    return AccountMovement(
        movement=movement,
        amount=amount(movement.amount, currency),
        balance_after=amount(movement.balance_after, currency),
        effective_at=movement.posting.effective_at,
    )


def _cut(position: Position | None) -> Cut | None:
    if position is None:
        return None
    at, number = sorted_by(position, str, int)
    try:
        return Cut(datetime.fromisoformat(at), number)
    except ValueError:
        raise bad_cursor() from None


def _code(position: Position | None) -> tuple[str, str] | None:
    if position is None:
        return None
    code, currency = sorted_by(position, str, str)
    return code, currency
