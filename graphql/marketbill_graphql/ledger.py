"""The books, read: accounts, journal entries, postings and movements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry

from marketbill.db import ReadScope
from marketbill.errors import InvalidInput, NotFound
from marketbill.ids import KIND, PREFIX, SellerId, parse_id, public_id
from marketbill.ledger import balances, entries
from marketbill.ledger.balances import Account, Cut
from marketbill.ledger.chart import AccountKind, AccountRef, Side
from marketbill.ledger.entries import Movement, RecordedEntry, RecordedPosting
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS, TENANT, access
from marketbill_graphql.connections import Connection, Position, page, window
from marketbill_graphql.context import Context, Info
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds, or_null
from marketbill_graphql.scalars import JSON, BigInt, CurrencyCode
from marketbill_graphql.sellers import Seller, load_seller

strawberry.enum(AccountKind, name="AccountKind", description="What an account counts.")
strawberry.enum(Side, name="AccountSide", description="The side on which an account's balance is read as positive.")

_CODE_LENGTH_MAX = 100


@dataclass(frozen=True, slots=True)
class _At:
    """An account at an instant, or a page of an account: the key of a batch."""

    account: UUID
    at: datetime


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
    balance: Money = strawberry.field(description="What it holds now, positive on its own side.")
    debits: Money = strawberry.field(description="Its whole turnover on the debit side.")
    credits: Money = strawberry.field(description="Its whole turnover on the credit side.")
    opened_at: datetime

    @declare.computed
    async def seller(self, info: Info) -> Seller | None:
        """Whose account it is; null for the platform's own."""
        owner = self.account.seller
        return await load_seller(info.context, owner) if owner is not None else None

    @declare.computed
    async def balance_at(self, info: Info, at: datetime) -> Money:
        """What it held at the end of an instant, by effective time."""
        held = await info.context.load(_balances_at, _At(self.account.id, at))
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
class Posting(Node):
    """A positive amount moved from one account (credit) to another (debit) of the same currency."""

    posting: strawberry.Private[RecordedPosting]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="pst_…")
    amount: Money

    @declare.computed
    async def debit(self, info: Info) -> LedgerAccount:
        """The account that is debited."""
        return await _load_account(info.context, self.posting.debit_account_id)

    @declare.computed
    async def credit(self, info: Info) -> LedgerAccount:
        """The account that is credited."""
        return await _load_account(info.context, self.posting.credit_account_id)


@declare.output(PLATFORM_READERS)
class EntrySource:
    """The business object that an entry is about."""

    type: str = strawberry.field(description="payment, transfer, payout and so on.")
    id: strawberry.ID


@declare.output(PLATFORM_READERS)
class JournalEntry(Node):
    """One business fact: one or more postings, recorded together and never changed."""

    entry: strawberry.Private[RecordedEntry]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="ent_…")
    number: BigInt = strawberry.field(description="Its place in the platform's journal.")
    kind: str = strawberry.field(description="charge, split, release, transfer, payout-paid and so on.")
    key: str = strawberry.field(description="Names the fact; the journal holds it once.")
    description: str
    source: EntrySource
    reason: JSON = strawberry.field(description="What the amounts come from: rule versions, provider objects.")
    effective_at: datetime = strawberry.field(description="When it happened.")
    recorded_at: datetime = strawberry.field(description="When it was written down.")

    @declare.computed
    async def postings(self, info: Info) -> list[Posting]:
        """The entry's postings, in order."""
        found = await info.context.load(entries.postings_by_entries, self.entry.id)
        return [_posting(posting) for posting in found or []]


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
        return _entry(await info.context.load(entries.entries_by_ids, self.movement.posting.entry_id))

    @declare.computed
    async def counter_account(self, info: Info) -> LedgerAccount:
        """The other account."""
        return await _load_account(info.context, self.movement.counter_account_id)


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
        # Only code and currency name an account; the kind is not looked at.
        ref = AccountRef(by.code.code[:_CODE_LENGTH_MAX], by.code.currency, AccountKind.ASSET)
        found = await info.context.read(lambda scope: balances.accounts_by_refs(scope, [ref]))
        return account_of(found[ref]) if ref in found else None

    @declare.query(PLATFORM_READERS)
    async def ledger_accounts(
        self, info: Info, first: int | None = None, after: str | None = None, filter: LedgerAccountFilter | None = None
    ) -> Connection[LedgerAccount]:
        """The platform's accounts by code and currency."""
        asked = window(list_name="ledgerAccounts", first=first, after=after, last=None, before=None)
        only = filter or LedgerAccountFilter()
        seller = SellerId(parse_id("seller", only.seller_id, path=("filter", "sellerId"))) if only.seller_id else None
        found = await info.context.read(
            lambda scope: balances.accounts(
                scope,
                code_prefix=(only.code_prefix or "")[:_CODE_LENGTH_MAX],
                currency=only.currency,
                seller=seller,
                after=_code(asked.after),
                limit=asked.rows_wanted,
            )
        )
        return page(
            found,
            asked,
            list_name="ledgerAccounts",
            node=account_of,
            position=lambda account: Position((account.code, account.currency), account.id),
        )

    @declare.query(PLATFORM_READERS)
    async def journal_entry(self, info: Info, id: strawberry.ID) -> JournalEntry | None:
        """An entry of the journal."""
        return await or_null(_find_entry(info.context, id))

    @declare.query(PLATFORM_READERS)
    async def journal_entries(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        source: strawberry.ID | None = None,
        kind: str | None = None,
    ) -> Connection[JournalEntry]:
        """The journal, newest first; with `source`, the entries of one payment, transfer or payout, oldest first."""
        if source is not None and kind is not None:
            raise InvalidInput("Give either source or kind.", path=("kind",), constraint="source or kind")
        asked = window(list_name="journalEntries", first=first, after=after, last=None, before=None)
        number = _number(asked.after)
        if source is None:
            found: Sequence[RecordedEntry] = await info.context.read(
                lambda scope: entries.entry_page(scope, kind=kind, before=number, limit=asked.rows_wanted)
            )
        else:
            source_id = _source_id(source)
            by_source = await info.context.read(
                lambda scope: entries.entries_by_sources(scope, [source_id], after=number or 0, limit=asked.rows_wanted)
            )
            found = by_source[source_id]
        return page(
            found,
            asked,
            list_name="journalEntries",
            node=_entry,
            position=lambda entry: Position((entry.number,), entry.id),
        )


async def entries_of(context: Context, source: UUID) -> list[JournalEntry]:
    """The entries about one business object, oldest first, at most a hundred."""
    return [_entry(entry) for entry in await context.load(entries.entries_by_sources, source) or []]


def account_of(account: Account) -> LedgerAccount:
    return LedgerAccount(
        account=account,
        id=strawberry.ID(public_id("ledger account", account.id)),
        code=account.code,
        currency=CurrencyCode(account.currency),
        kind=account.kind,
        side=account.side,
        balance=amount(account.balance, account.currency),
        debits=amount(account.debits, account.currency),
        credits=amount(account.credits, account.currency),
        opened_at=account.opened_at,
    )


@finds("ledger account", PLATFORM_READERS)
async def _find_account(context: Context, id: str) -> LedgerAccount | None:
    account = await context.load(balances.accounts_by_ids, parse_id("ledger account", id))
    return account_of(account) if account is not None else None


@finds("journal entry", PLATFORM_READERS)
async def _find_entry(context: Context, id: str) -> JournalEntry | None:
    entry = await context.load(entries.entries_by_ids, parse_id("journal entry", id))
    return _entry(entry) if entry is not None else None


@finds("posting", PLATFORM_READERS)
async def _find_posting(context: Context, id: str) -> Posting | None:
    posting = await context.load(entries.postings_by_ids, parse_id("posting", id))
    return _posting(posting) if posting is not None else None


async def _load_account(context: Context, id: UUID) -> LedgerAccount:
    return account_of(await context.load(balances.accounts_by_ids, id))


async def _balances_at(scope: ReadScope, keys: Sequence[_At]) -> Mapping[_At, int]:
    answer: dict[_At, int] = {}
    for at in {key.at for key in keys}:
        accounts = [key.account for key in keys if key.at == at]
        held = await balances.balance_at(scope, accounts, at)
        answer |= {_At(account, at): balance for account, balance in held.items()}
    return answer


async def _movements(scope: ReadScope, keys: Sequence[_Page]) -> Mapping[_Page, list[Movement]]:
    answer: dict[_Page, list[Movement]] = {}
    for before, limit in {(key.before, key.rows) for key in keys}:
        accounts = [key.account for key in keys if (key.before, key.rows) == (before, limit)]
        found = await entries.movements(scope, accounts, before=before, limit=limit)
        answer |= {_Page(account, before, limit): moved for account, moved in found.items()}
    return answer


def _entry(entry: RecordedEntry) -> JournalEntry:
    return JournalEntry(
        entry=entry,
        id=strawberry.ID(public_id("journal entry", entry.id)),
        number=BigInt(entry.number),
        kind=entry.kind,
        key=entry.key,
        description=entry.description,
        source=EntrySource(type=entry.source.type, id=strawberry.ID(_source_text(entry.source))),
        reason=JSON(entry.reason),
        effective_at=entry.effective_at,
        recorded_at=entry.recorded_at,
    )


def _posting(posting: RecordedPosting) -> Posting:
    return Posting(
        posting=posting,
        id=strawberry.ID(public_id("posting", posting.id)),
        amount=amount(posting.amount, posting.currency),
    )


def _movement(movement: Movement, currency: str) -> AccountMovement:
    return AccountMovement(
        movement=movement,
        amount=amount(movement.amount, currency),
        balance_after=amount(movement.balance_after, currency),
        effective_at=movement.posting.effective_at,
    )


def _source_text(source: Any) -> str:
    return public_id(source.type, source.id) if source.type in PREFIX else str(source.id)


def _source_id(text: str) -> UUID:
    kind = KIND.get(text[:64].partition("_")[0])
    if kind is None:
        raise NotFound("source", text[:64], path=("source",))
    return parse_id(kind, text, path=("source",))


def _cut(position: Position | None) -> Cut | None:
    if position is None:
        return None
    at, number = _sorted_by(position, str, int)
    try:
        return Cut(datetime.fromisoformat(at), number)
    except ValueError:
        raise _bad_cursor() from None


def _code(position: Position | None) -> tuple[str, str] | None:
    if position is None:
        return None
    code, currency = _sorted_by(position, str, str)
    return code, currency


def _number(position: Position | None) -> int | None:
    return None if position is None else _sorted_by(position, int)[0]


def _sorted_by(position: Position, *types: type) -> tuple[Any, ...]:
    if [type(value) for value in position.sort] != list(types):
        raise _bad_cursor()
    return position.sort


def _bad_cursor() -> InvalidInput:
    return InvalidInput("after is not a cursor of this list.", path=("after",), constraint="a cursor of this list")
