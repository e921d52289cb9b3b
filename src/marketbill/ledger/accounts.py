"""Accounts as they stand: by id, by name, by page, by owner; and where a seller's money is.

Every read is bounded, and takes lists where a caller may hold many ids, so that a screen costs one statement.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Text, Uuid, and_, any_, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from marketbill.db import Scope
from marketbill.ids import SellerId
from marketbill.ledger.chart import AccountKind, AccountRef, AccountState, Guard, Owner, Side
from marketbill.ledger.limits import bounded, page_size
from marketbill.ledger.model import ledger_account


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it stands, in minor units of `currency`.

    `debits` and `credits` are its whole posted turnover; the two `pending_…` are what open holds would add to each.
    """

    id: UUID
    code: str
    currency: str
    kind: AccountKind
    side: Side
    owner: Owner | None
    guard: Guard
    ceiling: int | None
    state: AccountState
    debits: int
    credits: int
    pending_debits: int
    pending_credits: int
    opened_at: datetime

    @property
    def balance(self) -> int:
        """What is posted, positive on its own side."""
        return self.debits - self.credits if self.side is Side.DEBIT else self.credits - self.debits

    @property
    def available(self) -> int:
        """What is posted less what open holds would take."""
        return self.balance - (self.pending_credits if self.side is Side.DEBIT else self.pending_debits)

    @property
    def seller(self) -> SellerId | None:
        """The seller whose account it is, if a seller's."""
        return SellerId(self.owner.id) if self.owner is not None and self.owner.type == "seller" else None


@dataclass(frozen=True, slots=True)
class AccountGroup:
    """Some of the platform's accounts; the conditions hold together, and none stands for all accounts."""

    code_prefix: str = ""
    currency: str | None = None
    kind: AccountKind | None = None
    owner: UUID | None = None

    def narrowed(self, statement: str) -> tuple[str, dict[str, Any]]:
        """`statement` with its word `{group}` replaced by this group's conditions on the account `a`, and their values.

        A prefix is a range of codes, which are sorted by byte, so it costs what it finds.
        """
        conditions: list[str] = []
        values: dict[str, Any] = {}
        if self.code_prefix:
            conditions.append("and a.code >= :code_from and a.code < :code_to")
            values |= {"code_from": self.code_prefix, "code_to": self.code_prefix + chr(0x10FFFF)}
        for column, wanted in (("currency", self.currency), ("kind", self.kind), ("owner_id", self.owner)):
            if wanted is not None:
                conditions.append(f"and a.{column} = :{column}")
                values[column] = wanted
        return statement.replace("{group}", " ".join(conditions)), values


@dataclass(frozen=True, slots=True)
class SellerPosition:
    """Where a seller's money of one currency stands, in minor units.

    `pending`, `payable` and `reserve` are owed by the platform, `available` and `in_transit` are in the seller's
    account at the provider. `debt` is what the seller owes the platform: not below zero, and taken from the total.
    """

    currency: str
    pending: int = 0
    payable: int = 0
    reserve: int = 0
    available: int = 0
    in_transit: int = 0
    debt: int = 0

    @property
    def total(self) -> int:
        return self.pending + self.payable + self.reserve + self.available + self.in_transit - self.debt


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
_BY_SELLERS = _OWN.where(
    ledger_account.c.owner_id == any_(bindparam("sellers", type_=ARRAY(Uuid))), ledger_account.c.owner_type == "seller"
).order_by(ledger_account.c.currency, ledger_account.c.code)
_PAGE = """
    select a.* from ledger_account a
    where a.platform_id = :platform and (a.code, a.currency) > (:after_code, :after_currency) {group}
    order by a.code, a.currency
    limit :limit
"""


async def accounts_by_ids(scope: Scope, ids: Sequence[UUID]) -> dict[UUID, Account]:
    """The accounts with these ids (at most `READ_MAX`); an unknown id is missing from the answer."""
    rows = await scope.rows(_BY_IDS, {"platform": scope.platform, "ids": bounded(ids)})
    return {row.id: _account(row) for row in rows}


async def accounts_by_refs(scope: Scope, refs: Sequence[AccountRef]) -> dict[AccountRef, Account]:
    """The accounts of these descriptions that have been opened (at most `READ_MAX`)."""
    values = {
        "platform": scope.platform,
        "codes": [ref.code for ref in bounded(refs)],
        "currencies": [ref.currency for ref in refs],
    }
    found = {(row.code, row.currency): _account(row) for row in await scope.rows(_BY_CODES, values)}
    return {ref: found[ref.code, ref.currency] for ref in refs if (ref.code, ref.currency) in found}


async def accounts(
    scope: Scope,
    *,
    group: AccountGroup = AccountGroup(),
    after: tuple[str, str] | None = None,
    limit: int = 100,
) -> list[Account]:
    """A group's accounts by code and currency; `after` is the last one's (code, currency). At most `READ_MAX`."""
    code, currency = after or ("", "")
    page, values = group.narrowed(_PAGE)
    values |= {"platform": scope.platform, "after_code": code, "after_currency": currency, "limit": page_size(limit)}
    return [_account(row) for row in await scope.rows(text(page), values)]


async def seller_accounts(scope: Scope, sellers: Sequence[SellerId]) -> dict[SellerId, list[Account]]:
    """Every account of each of these sellers (at most `READ_MAX` sellers); a seller without any has an empty list."""
    answer: dict[SellerId, list[Account]] = {seller: [] for seller in bounded(sellers)}
    rows = await scope.rows(_BY_SELLERS, {"platform": scope.platform, "sellers": list(answer)})
    for row in rows:
        answer[row.owner_id].append(_account(row))
    return answer


async def seller_positions(scope: Scope, sellers: Sequence[SellerId]) -> dict[SellerId, list[SellerPosition]]:
    """Where each seller's money stands now, one position per currency; a seller without accounts has none."""
    return {seller: _positions(owned) for seller, owned in (await seller_accounts(scope, sellers)).items()}


def _account(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        code=row.code,
        currency=row.currency,
        kind=AccountKind(row.kind),
        side=Side(row.side),
        owner=None if row.owner_id is None else Owner(row.owner_type, row.owner_id),
        guard=Guard(row.guard),
        ceiling=row.ceiling,
        state=AccountState(row.state),
        debits=row.debits,
        credits=row.credits,
        pending_debits=row.pending_debits,
        pending_credits=row.pending_credits,
        opened_at=row.opened_at,
    )


_BUCKET: Mapping[tuple[str, str], str] = {
    ("seller", "pending"): "pending",
    ("seller", "payable"): "payable",
    ("seller", "reserve"): "reserve",
    ("custody", "available"): "available",
    ("custody", "in-transit"): "in_transit",
}


def _positions(owned: Iterable[Account]) -> list[SellerPosition]:
    held: dict[str, dict[str, int]] = {}
    for account in owned:
        family, *_, name = account.code.split(":")
        bucket = "debt" if family == "seller-receivable" else _BUCKET.get((family, name))
        if bucket is not None:
            held.setdefault(account.currency, {})[bucket] = account.balance
    return [SellerPosition(currency=currency, **buckets) for currency, buckets in held.items()]
