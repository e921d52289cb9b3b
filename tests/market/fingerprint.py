"""The books in a form that two runs of one story share: names instead of ids, no times, no order."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, text

from marketbill.db import Scope
from marketbill.disputes.model import dispute
from marketbill.ids import public_id
from marketbill.ledger import accounts
from marketbill.payments.model import payment
from marketbill.payouts.model import payout, reversal, transfer
from marketbill.refunds.model import refund
from marketbill.sellers.model import seller

_JOURNAL = text(
    """
    select e.key, e.kind, e.phase, array_agg(array[d.code, c.code, p.currency, p.amount::text]) as postings
    from journal_entry e
    join posting p on p.platform_id = e.platform_id and p.entry_number = e.number
    join ledger_account d on d.platform_id = p.platform_id and d.id = p.debit_account_id
    join ledger_account c on c.platform_id = p.platform_id and c.id = p.credit_account_id
    where e.platform_id = :platform
    group by e.id, e.key, e.kind, e.phase
    """
)
#: The provider's own ids, which are others in each run: of a payout that came back, of a movement of a dispute.
_PROVIDER_ID = re.compile(":(po|txn)_[A-Za-z0-9_]+$")


@dataclass(frozen=True)
class Fingerprint:
    """What the books say, a line for each fact; equal for two runs exactly when their ledgers are."""

    lines: tuple[str, ...]

    @cached_property
    def hash(self) -> str:
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


async def fingerprint(scope: Scope) -> Fingerprint:
    """Of the scope's platform: entries with their postings, balances, and where each object stands.

    A payment goes by its reference, a seller by his name, a transfer by both, a payout by seller, money and its turn
    among equal ones; a refund, a dispute and a reversal by their amount and what they are of.
    """
    sellers = await _rows(scope, seller)
    payments = await _rows(scope, payment)
    transfers = await _rows(scope, transfer)
    payouts = await _rows(scope, payout)
    names: dict[UUID, str] = {row["id"]: row["name"] for row in sellers}
    names |= {row["id"]: f"sale {row['reference']}" for row in payments}
    names |= {row["id"]: f"transfer of {names[row['payment_id']]} to {names[row['seller_id']]}" for row in transfers}
    turns: dict[str, int] = {}
    for row in payouts:
        name = f"payout of {row['amount']} {row['currency']} to {names[row['seller_id']]}"
        turns[name] = turns.get(name, 0) + 1
        names[row["id"]] = f"{name} ({turns[name]})"
    assert len(set(names.values())) == len(names), "a story gives its sales and sellers names of their own"
    refunds, reversals = await _rows(scope, refund), await _rows(scope, reversal)
    for row in refunds:
        names[row["id"]] = f"refund of {row['amount']} of {names[row['payment_id']]}"
    disputes = await _rows(scope, dispute)
    for row in disputes:
        names[row["id"]] = f"dispute of {row['amount']} of {names[row['payment_id']]}"
    for row in reversals:
        names[row["id"]] = f"reversal of {row['amount']} of {names[row['transfer_id']]}"
    moved = (
        ("transfer", transfers),
        ("payout", payouts),
        ("refund", refunds),
        ("dispute", disputes),
        ("reversal", reversals),
    )
    public = {
        public_id(kind, row["id"]): names[row["id"]]
        for kind, rows in (("seller", sellers), ("payment", payments), *moved)
        for row in rows
    }
    lines = [
        ["entry", _named(entry.kind, public), _key(entry.key, public), sorted(map(_plain(public), entry.postings))]
        for entry in await scope.rows(_JOURNAL, {"platform": scope.platform})
    ]
    lines += [
        ["balance", _named(account.code, public), account.currency, account.balance]
        for account in await accounts.accounts(scope, limit=1000)
        if account.balance
    ]
    lines += [["seller", names[row["id"]], row["transfers"], row["payouts_enabled"]] for row in sellers]
    for kind, rows in (("payment", payments), *moved):
        lines += [[kind, names[row["id"]], row["status"]] for row in rows]
    return Fingerprint(tuple(sorted(orjson.dumps(line).decode() for line in lines)))


async def _rows(scope: Scope, table: Any) -> list[Mapping[str, Any]]:
    found = await scope.rows(select(table).where(table.c.platform_id == scope.platform).order_by(table.c.id))
    return [dict(row._mapping) for row in found]


def _plain(public: Mapping[str, str]) -> Any:
    return lambda posting: [_named(word, public) for word in posting]


def _key(key: str, public: Mapping[str, str]) -> str:
    """An entry's key with names, without the provider's own ids."""
    return _PROVIDER_ID.sub("", _named(key, public))


def _named(words: str, public: Mapping[str, str]) -> str:
    return ":".join(public.get(word, word) for word in words.split(":"))
