"""The books of one platform, read in pages: the entries of a period, and what every account held at its edges.

All pages tell of one state, the one at which the reading began: entries are never changed, so their numbers up to the
chain's end at that moment name it, and no transaction stays open while a slow reader takes the pages. Memory is bounded
by a page, whatever the length of the books.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from marketbill.clock import rfc3339
from marketbill.db import ReadScope
from marketbill.errors import ErrorCode, Refusal
from marketbill.ids import PlatformId, public_id
from marketbill.ledger.balances import Cut, cut_values, with_held
from marketbill.ledger.chart import AccountKind
from marketbill.ledger.export.period import Period
from marketbill.ledger.export.record import Account, Balance, Entry, Opened, Posting
from marketbill.money import exponent

#: The most entries of one page, and the most postings; an entry that has more by itself is a page.
ENTRIES_MAX = 1_000
POSTINGS_MAX = 10_000
#: The most accounts of one page.
ACCOUNTS_MAX = 500
#: Accounts that are remembered between pages, so that hot ones are not looked up again.
_KNOWN_MAX = 50_000

Read = Callable[[], AbstractAsyncContextManager[ReadScope]]
Report = Callable[[int, int], None]
"""How far the reading is: entries that were passed, and all of them."""

_HEAD = "select entries, postings, hash, recorded_at from ledger_head where platform_id = $1"
_LATEST = "select max(latest_effective_at) as at from ledger_account where platform_id = $1"
_ENTRIES = """
select number, id, key, kind, source_type, source_id, description, effective_at, recorded_at, occurred_at, phase,
       expires_at, resolves, reverses, hash, first_posting, posting_count
from journal_entry
where platform_id = $1 and number > $2 and number <= $3 and effective_at >= $4 and effective_at < $5
order by number limit $6
"""
# The numbers span what lies between two entries of a page; the effective time leaves out again what is not of it.
_POSTINGS = """
select entry_number, number, debit_account_id, credit_account_id, amount, currency
from posting
where platform_id = $1 and number between $2 and $3 and effective_at >= $4 and effective_at < $5
  and ($6::text is null or currency = $6)
order by number
"""
_ACCOUNTS = "select id, kind, code from ledger_account where platform_id = $1 and id = any($2::uuid[])"
# The balances do not add up what the export lists, so the two can prove each other.
_BALANCES = """
    with {known}
    select a.kind, a.code, a.currency, first.at as first_at, coalesce(run.balance, 0) + coalesce(late.net, 0) as net
    from (
      select id, kind, code, currency from ledger_account
      where platform_id = :platform and (code, currency) > (:after_code, :after_currency)
        and (cast(:only as text) is null or currency = :only)
      order by code, currency limit :limit
    ) as a
    left join lateral (
      select min(at) as at from (
        (select p.effective_at as at from posting p
         where p.platform_id = :platform and p.debit_account_id = a.id and not p.held and p.number <= :known
         order by p.effective_at, p.number limit 1)
        union all
        (select p.effective_at from posting p
         where p.platform_id = :platform and p.credit_account_id = a.id and not p.held and p.number <= :known
         order by p.effective_at, p.number limit 1)
      ) as firsts
    ) as first on true
    {held}
    order by a.code, a.currency
"""
# Accounts under which others lie: `a:b` is one where there is an `a:b:c`.
_PARENTS = """
select distinct p.kind, p.code
from ledger_account c
cross join lateral unnest(string_to_array(c.code, ':')) with ordinality as part (word, place)
join ledger_account p
  on p.platform_id = $1 and p.code = array_to_string((string_to_array(c.code, ':'))[:part.place], ':')
  and p.code <> c.code and p.kind = c.kind
where c.platform_id = $1
"""


class NothingToExport(Refusal):
    """There is no posting before the end of the period, in the wanted currency."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, period: Period, currency: str | None) -> None:
        until = "" if period.end is None else f" before {period.end}"
        money = "" if currency is None else f" in {currency}"
        super().__init__(f"There is nothing to export: nothing is booked{until}{money}.")


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain at which the reading began: the last entry, its hash, and when it was recorded."""

    entries: int
    postings: int
    hash: bytes
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """One state of a platform's books, in one period. `latest_at` is the latest effective time of all."""

    read: Read
    platform: PlatformId
    name: str
    period: Period
    currency: str | None
    head: Head
    latest_at: datetime

    def facts(self) -> dict[str, str]:
        """What the export is of, for its head."""
        facts = {
            "platform": public_id("platform", self.platform),
            "name": self.name,
            "from": str(self.period.first or ""),
            "to": str(self.period.end or ""),
            "currency": self.currency or "",
            "chain-entries": str(self.head.entries),
            "chain-hash": self.head.hash.hex(),
            "chain-recorded-at": rfc3339(self.head.recorded_at),
        }
        return {name: fact for name, fact in facts.items() if fact}

    async def entries(self, report: Report | None = None) -> AsyncGenerator[Sequence[Entry]]:
        """The entries that are effective in the period, in the order of the chain, page by page.

        With a currency: the entries with a posting in it, and of them these postings only.
        """
        accounts: dict[UUID, Account] = {}
        after = 0
        while after < self.head.entries:
            if len(accounts) > _KNOWN_MAX:
                accounts.clear()
            async with self.read() as scope:
                rows, after = await self._entry_rows(scope, after)
                entries = await self._with_postings(scope, rows, accounts)
            if report is not None:
                report(after, self.head.entries)
            if entries:
                yield entries

    async def _entry_rows(self, scope: ReadScope, after: int) -> tuple[list[Any], int]:
        """A page, and the number up to which everything was seen."""
        start, end = self.period.start_at, self.period.end_at
        rows = await scope.fetch(_ENTRIES, self.platform, after, self.head.entries, start, end, ENTRIES_MAX)
        page, postings = [], 0
        for row in rows:
            postings += row["posting_count"]
            if page and postings > POSTINGS_MAX:
                return page, page[-1]["number"]
            page.append(row)
        return page, page[-1]["number"] if len(page) == ENTRIES_MAX else self.head.entries

    async def _with_postings(self, scope: ReadScope, rows: Sequence[Any], accounts: dict[UUID, Account]) -> list[Entry]:
        if not rows:
            return []
        last = rows[-1]
        found = await scope.fetch(
            _POSTINGS,
            self.platform,
            rows[0]["first_posting"],
            last["first_posting"] + last["posting_count"] - 1,
            self.period.start_at,
            self.period.end_at,
            self.currency,
        )
        await self._look_up(scope, found, accounts)
        of_entry: dict[int, list[Posting]] = {}
        for entry_number, number, debit, credit, amount, currency in found:
            posting = Posting(number, accounts[debit], accounts[credit], amount, currency)
            of_entry.setdefault(entry_number, []).append(posting)
        return [
            Entry._make((*row[:15], tuple(of_entry.get(row["number"], ()))))
            for row in rows
            if self.currency is None or row["number"] in of_entry
        ]

    async def _look_up(self, scope: ReadScope, found: Sequence[Any], accounts: dict[UUID, Account]) -> None:
        wanted = {row["debit_account_id"] for row in found} | {row["credit_account_id"] for row in found}
        missing = wanted - accounts.keys()
        if missing:
            for id, kind, code in await scope.fetch(_ACCOUNTS, self.platform, list(missing)):
                accounts[id] = Account(AccountKind(kind), code)

    async def accounts(self) -> AsyncGenerator[Sequence[Opened]]:
        """Every account that has a posting before the period's end, once, by code, page by page."""
        waiting: list[Balance] = []
        async with aclosing(self.closings()) as pages:
            async for page in pages:
                # An account's currencies may go on in the next page: the last code of a page waits for it.
                last = page[-1].account.code
                seen = [*waiting, *page]
                waiting = [balance for balance in seen if balance.account.code == last]
                if len(waiting) < len(seen):
                    yield _opened(balance for balance in seen if balance.account.code != last)
        if waiting:
            yield _opened(waiting)

    async def openings(self) -> AsyncGenerator[Sequence[Balance]]:
        """What each account held, if anything, when the period began, by code and currency, page by page."""
        if self.period.first is None:
            return
        async for page in self._balances(Cut.before(self.period.start_at)):
            if held := [balance for balance in page if balance.net]:
                yield held

    async def closings(self) -> AsyncGenerator[Sequence[Balance]]:
        """What every account held when the period ended, by code and currency, page by page."""
        async for page in self._balances(Cut.before(self.period.end_at)):
            yield page

    async def parents(self) -> list[Account]:
        """The accounts under which others lie."""
        async with self.read() as scope:
            return [Account(AccountKind(kind), code) for kind, code in await scope.fetch(_PARENTS, self.platform)]

    async def _balances(self, cut: Cut) -> AsyncGenerator[Sequence[Balance]]:
        """Accounts without a posting before the period's end are left out."""
        code, currency, more = "", "", True
        while more:
            async with self.read() as scope:
                values = {
                    "platform": self.platform,
                    "after_code": code,
                    "after_currency": currency,
                    "only": self.currency,
                    "limit": ACCOUNTS_MAX,
                    **cut_values(cut, known=self.head.postings),
                }
                rows = await scope.rows(with_held(_BALANCES, cut), values)
            more = len(rows) == ACCOUNTS_MAX
            if more:
                code, currency = rows[-1].code, rows[-1].currency
            page = [
                Balance(Account(AccountKind(row.kind), row.code), row.currency, int(row.net), row.first_at)
                for row in rows
                if row.first_at is not None and row.first_at < self.period.end_at
            ]
            if page:
                yield page


def _opened(balances: Iterable[Balance]) -> list[Opened]:
    of_account: dict[Account, list[Balance]] = {}
    for balance in balances:
        of_account.setdefault(balance.account, []).append(balance)
    return [
        Opened(account, tuple(one.currency for one in own), min(one.first_at for one in own))
        for account, own in of_account.items()
    ]


async def open_books(read: Read, *, name: str, period: Period, currency: str | None = None) -> Books:
    """The books as they stand now; `name` is the platform's.

    Raises PeriodReversed, PeriodInFuture, `money.UnknownCurrency`, and NothingToExport where nothing is booked before
    the period's end.
    """
    if currency is not None:
        exponent(currency, path=("currency",))
    async with read() as scope:
        period.check(scope.now.date())
        heads = await scope.fetch(_HEAD, scope.platform)
        [latest] = await scope.fetch(_LATEST, scope.platform)
        platform = scope.platform
    if not heads or latest["at"] is None:
        raise NothingToExport(period, currency)
    books = Books(
        read=read,
        platform=platform,
        name=name,
        period=period,
        currency=currency,
        head=Head(*heads[0]),
        latest_at=latest["at"],
    )
    async with aclosing(books.closings()) as pages:
        async for _ in pages:
            return books
    raise NothingToExport(period, currency)
