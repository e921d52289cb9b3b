"""Balances: what each account holds, now or at an instant, by id, by code, by seller; and the trial balance.

Every read is bounded, and takes lists where a caller may hold many ids, so that a screen costs one statement.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import BigInteger, Row, Text, Uuid, and_, any_, bindparam, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from marketbill.db import Scope
from marketbill.ids import SellerId
from marketbill.ledger.chart import AccountKind, AccountRef, Guard, Side
from marketbill.ledger.model import ledger_account

#: The most rows or ids of one read.
READ_MAX = 1_000

_LAST = 2**63 - 1
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it stands. `debits` and `credits` are its whole turnover, in minor units of `currency`."""

    id: UUID
    code: str
    currency: str
    kind: AccountKind
    side: Side
    seller: SellerId | None
    guard: Guard
    debits: int
    credits: int
    opened_at: datetime

    @property
    def balance(self) -> int:
        """What the account holds, positive on its own side."""
        return self.debits - self.credits if self.side is Side.DEBIT else self.credits - self.debits


@dataclass(frozen=True, slots=True)
class SellerPosition:
    """Where a seller's money of one currency stands, in minor units.

    `pending` and `payable` are owed by the platform, `available` and `in_transit` are in the seller's account at the
    provider.
    """

    currency: str
    pending: int = 0
    payable: int = 0
    available: int = 0
    in_transit: int = 0

    @property
    def total(self) -> int:
        return self.pending + self.payable + self.available + self.in_transit


@dataclass(frozen=True, slots=True)
class Cut:
    """A place in an account's time: what is effective before `at`, and of `at` itself the postings up to `number`."""

    at: datetime
    number: int = _LAST

    @classmethod
    def before(cls, at: datetime) -> "Cut":
        """Everything strictly before `at`, as at the start of a period."""
        return cls(at, 0)


@dataclass(frozen=True, slots=True)
class TrialRow:
    """Accounts of one family (`seller:*:payable` stands for every seller's) and what they hold together."""

    code: str
    kind: AccountKind
    accounts: int
    debit: int
    credit: int


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """The trial balance of one currency: `debit` equals `credit`, or the books are broken."""

    currency: str
    rows: tuple[TrialRow, ...]

    @property
    def debit(self) -> int:
        return sum(row.debit for row in self.rows)

    @property
    def credit(self) -> int:
        return sum(row.credit for row in self.rows)


_WANTED = (
    func.unnest(bindparam("codes", type_=ARRAY(Text)), bindparam("currencies", type_=ARRAY(Text)))
    .table_valued("code", "currency", name="wanted")
    .render_derived()
)
_OWN = select(ledger_account).where(ledger_account.c.platform_id == bindparam("platform"))
_BY_IDS = _OWN.where(ledger_account.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
_BY_CODES = _OWN.join_from(
    _WANTED,
    ledger_account,
    and_(ledger_account.c.code == _WANTED.c.code, ledger_account.c.currency == _WANTED.c.currency),
)
_BY_SELLERS = _OWN.where(ledger_account.c.seller_id == any_(bindparam("sellers", type_=ARRAY(Uuid)))).order_by(
    ledger_account.c.currency, ledger_account.c.code
)
_PAGE = (
    _OWN.where(tuple_(ledger_account.c.code, ledger_account.c.currency) > tuple_(bindparam("code"), bindparam("after")))
    .where(func.starts_with(ledger_account.c.code, bindparam("prefix", type_=Text)))
    .order_by(ledger_account.c.code, ledger_account.c.currency)
    .limit(bindparam("limit", type_=BigInteger))
)
# The last posting that is not late ends a run in which recording order and effective order agree: its running balance
# holds everything before the cut but the late postings recorded after it, and those are added one by one.
_AT = text(
    """
    select a.id, a.side, coalesce(run.balance, 0) + coalesce(late.net, 0) as net
    from ledger_account a
    left join lateral (
      (select p.effective_at, p.number, p.debit_balance_after as balance from posting p
       where p.platform_id = :platform and p.debit_account_id = a.id and not p.debit_late
         and (p.effective_at, p.number) <= (:at, :number) and p.number <= :as_of
       order by p.effective_at desc, p.number desc limit 1)
      union all
      (select p.effective_at, p.number, p.credit_balance_after from posting p
       where p.platform_id = :platform and p.credit_account_id = a.id and not p.credit_late
         and (p.effective_at, p.number) <= (:at, :number) and p.number <= :as_of
       order by p.effective_at desc, p.number desc limit 1)
      order by 1 desc, 2 desc limit 1
    ) as run on true
    left join lateral (
      select sum(net) as net from (
        select p.amount as net from posting p
        where p.platform_id = :platform and p.debit_account_id = a.id and p.debit_late
          and p.number > coalesce(run.number, 0) and p.number <= :as_of
          and (p.effective_at, p.number) <= (:at, :number)
        union all
        select -p.amount from posting p
        where p.platform_id = :platform and p.credit_account_id = a.id and p.credit_late
          and p.number > coalesce(run.number, 0) and p.number <= :as_of
          and (p.effective_at, p.number) <= (:at, :number)
      ) as tail
    ) as late on true
    where a.platform_id = :platform and a.id = any(cast(:ids as uuid[]))
    """
)
_HEAD = text("select postings from ledger_head where platform_id = :platform")
_TRIAL = text(
    r"""
    select currency, family as code, kind, count(*) as accounts,
           sum(greatest(debits - credits, 0)) as debit, sum(greatest(credits - debits, 0)) as credit
    from (
      select currency, kind, debits, credits,
             case when seller_id is null then code else regexp_replace(code, '\:[^\:]+\:', '\:*\:') end as family
      from ledger_account
      where platform_id = :platform
    ) as accounts
    group by currency, family, kind
    order by currency, family
    limit :limit
    """
)


async def accounts_by_ids(scope: Scope, ids: Sequence[UUID]) -> dict[UUID, Account]:
    """The accounts with these ids (at most `READ_MAX`); an unknown id is missing from the answer."""
    rows = await scope.rows(_BY_IDS, {"platform": scope.platform, "ids": _bounded(ids)})
    return {row.id: _account(row) for row in rows}


async def accounts_by_refs(scope: Scope, refs: Sequence[AccountRef]) -> dict[AccountRef, Account]:
    """The accounts of these descriptions that have been opened (at most `READ_MAX`)."""
    values = {
        "platform": scope.platform,
        "codes": [ref.code for ref in _bounded(refs)],
        "currencies": [ref.currency for ref in refs],
    }
    found = {(row.code, row.currency): _account(row) for row in await scope.rows(_BY_CODES, values)}
    return {ref: found[ref.code, ref.currency] for ref in refs if (ref.code, ref.currency) in found}


async def accounts(
    scope: Scope,
    *,
    code_prefix: str = "",
    currency: str | None = None,
    seller: SellerId | None = None,
    after: tuple[str, str] | None = None,
    limit: int = 100,
) -> list[Account]:
    """Accounts by code and currency; `after` is the last one's (code, currency). At most `READ_MAX` of them."""
    code, after_currency = after or ("", "")
    page = _PAGE
    if currency is not None:
        page = page.where(ledger_account.c.currency == currency)
    if seller is not None:
        page = page.where(ledger_account.c.seller_id == seller)
    values = {
        "platform": scope.platform,
        "prefix": code_prefix,
        "code": code,
        "after": after_currency,
        "limit": _limit(limit),
    }
    return [_account(row) for row in await scope.rows(page, values)]


async def seller_accounts(scope: Scope, sellers: Sequence[SellerId]) -> dict[SellerId, list[Account]]:
    """Every account of each of these sellers (at most `READ_MAX` sellers); a seller without any has an empty list."""
    answer: dict[SellerId, list[Account]] = {seller: [] for seller in _bounded(sellers)}
    rows = await scope.rows(_BY_SELLERS, {"platform": scope.platform, "sellers": list(answer)})
    for row in rows:
        answer[row.seller_id].append(_account(row))
    return answer


async def seller_positions(scope: Scope, sellers: Sequence[SellerId]) -> dict[SellerId, list[SellerPosition]]:
    """Where each seller's money stands now, one position per currency; a seller without accounts has none."""
    return {seller: _positions(owned) for seller, owned in (await seller_accounts(scope, sellers)).items()}


async def balances_at(
    scope: Scope, account_ids: Iterable[UUID], cut: Cut | datetime, *, as_of: int | None = None
) -> dict[UUID, int]:
    """What each account held at a cut of effective time, positive on its own side, in minor units.

    A plain instant includes what is effective at that instant. `as_of` (see `watermark`) leaves out what was recorded
    later, so that several reads tell of the same books. At most `READ_MAX` accounts; unknown ids are missing.
    """
    where = Cut(cut) if isinstance(cut, datetime) else cut
    values = {
        "platform": scope.platform,
        "ids": _bounded(list(account_ids)),
        "at": where.at,
        "number": where.number,
        "as_of": _LAST if as_of is None else as_of,
    }
    return {row.id: int(row.net) if row.side == Side.DEBIT else -int(row.net) for row in await scope.rows(_AT, values)}


async def balance_at(scope: Scope, account_ids: Iterable[UUID], at: datetime) -> dict[UUID, int]:
    """What each account held at the end of the instant `at` (effective time); see `balances_at`."""
    return await balances_at(scope, account_ids, at)


async def watermark(scope: Scope) -> int:
    """The number of the last posting recorded. Postings are never changed, so it names one state of the books."""
    return await scope.scalar(_HEAD, {"platform": scope.platform}) or 0


async def trial_balance(scope: Scope) -> list[TrialBalance]:
    """The trial balance of each currency, sellers' accounts added up by family."""
    rows: dict[str, list[TrialRow]] = {}
    for row in await scope.rows(_TRIAL, {"platform": scope.platform, "limit": READ_MAX * 10}):
        rows.setdefault(row.currency, []).append(
            TrialRow(
                code=row.code,
                kind=AccountKind(row.kind),
                accounts=row.accounts,
                debit=int(row.debit),
                credit=int(row.credit),
            )
        )
    return [TrialBalance(currency=currency, rows=tuple(found)) for currency, found in rows.items()]


def _account(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        code=row.code,
        currency=row.currency,
        kind=AccountKind(row.kind),
        side=Side(row.side),
        seller=row.seller_id,
        guard=Guard(row.guard),
        debits=row.debits,
        credits=row.credits,
        opened_at=row.opened_at,
    )


_BUCKET: Mapping[tuple[str, str], str] = {
    ("seller", "pending"): "pending",
    ("seller", "payable"): "payable",
    ("custody", "available"): "available",
    ("custody", "in-transit"): "in_transit",
}


def _positions(owned: Iterable[Account]) -> list[SellerPosition]:
    held: dict[str, dict[str, int]] = {}
    for account in owned:
        family, _, name = account.code.split(":")
        bucket = _BUCKET.get((family, name))
        if bucket is not None:
            held.setdefault(account.currency, {})[bucket] = account.balance
    return [SellerPosition(currency=currency, **buckets) for currency, buckets in held.items()]


def _bounded(items: Sequence[_T]) -> Sequence[_T]:
    if len(items) > READ_MAX:
        raise ValueError(f"at most {READ_MAX} at once, not {len(items)}")
    return items


def _limit(limit: int) -> int:
    if not 1 <= limit <= READ_MAX:
        raise ValueError(f"a page has 1 to {READ_MAX} rows, not {limit}")
    return limit
