"""The movements of an account: its postings as it sees them, with what it held after each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Select,
    Uuid,
    bindparam,
    column,
    func,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from marketbill.db import Instant, Scope
from marketbill.ledger.accounts import Account, accounts_by_ids
from marketbill.ledger.balances import END_OF_TIME, Cut, balances_at, watermark
from marketbill.ledger.chart import Side
from marketbill.ledger.entries import RecordedPosting, entry_numbered, posting_of
from marketbill.ledger.limits import bounded, page_size
from marketbill.ledger.model import posting


@dataclass(frozen=True, slots=True)
class Movement:
    """A posting as one of its two accounts sees it.

    `amount` is positive when it adds to the balance on the account's own side; `balance_after` is what the account held
    after it, in the order of effective time.
    """

    posting: RecordedPosting
    account_id: UUID
    counter_account_id: UUID
    amount: int
    balance_after: int

    @property
    def place(self) -> Cut:
        """The cursor: pass it as `before` to go on."""
        return Cut(self.posting.effective_at, self.posting.number)


_LIMIT = bindparam("limit", type_=BigInteger)
_WANTED = (
    func.unnest(bindparam("ids", type_=ARRAY(Uuid))).table_valued(column("id", Uuid), name="wanted").render_derived()
)


def _newest(account: Column[Any]) -> Select[Any]:
    place = tuple_(posting.c.effective_at, posting.c.number)
    return (
        select(posting)
        .where(posting.c.platform_id == bindparam("platform"), account == _WANTED.c.id, ~posting.c.held)
        .where(place < tuple_(bindparam("at", type_=Instant), bindparam("number", type_=BigInteger)))
        .where(posting.c.number <= bindparam("known", type_=BigInteger))
        .order_by(posting.c.effective_at.desc(), posting.c.number.desc())
        .limit(_LIMIT)
    )


_BOTH_SIDES = union_all(_newest(posting.c.debit_account_id), _newest(posting.c.credit_account_id))
_OF_ACCOUNT = (
    _BOTH_SIDES.order_by(_BOTH_SIDES.selected_columns.effective_at.desc(), _BOTH_SIDES.selected_columns.number.desc())
    .limit(_LIMIT)
    .lateral("movement")
)
_ENTRY = entry_numbered(_OF_ACCOUNT.c.entry_number)
_MOVEMENTS = (
    select(_WANTED.c.id.label("account_id"), _OF_ACCOUNT, _ENTRY.c.id.label("entry_id"), _ENTRY.c.first_posting)
    .select_from(_WANTED.join(_OF_ACCOUNT, true()).join(_ENTRY, true()))
    .order_by(_WANTED.c.id, _OF_ACCOUNT.c.effective_at.desc(), _OF_ACCOUNT.c.number.desc())
)


async def movements(
    scope: Scope, account_ids: Sequence[UUID], *, before: Cut | None = None, limit: int = 100
) -> dict[UUID, list[Movement]]:
    """The movements of each account, newest effective time first, at most `limit` each, with the balance after each.

    Holds are not among them until they are posted. `before` is the `place` of the last one seen. At most `READ_MAX`
    accounts; unknown ids answer an empty list.
    """
    cut = before or Cut(END_OF_TIME)
    ids = list(dict.fromkeys(bounded(account_ids)))
    found = await accounts_by_ids(scope, ids)
    known = await watermark(scope)
    values = {
        "platform": scope.platform,
        "ids": ids,
        "at": cut.at,
        "number": cut.number,
        "known": known,
        "limit": page_size(limit),
    }
    pages: dict[UUID, list[RecordedPosting]] = {id: [] for id in ids}
    for row in await scope.rows(_MOVEMENTS, values):
        pages[row.account_id].append(posting_of(row))
    top = Cut(cut.at, cut.number - 1) if before else cut
    held = await balances_at(scope, [id for id, page in pages.items() if page], top, known=known)
    return {id: _movements(found[id], page, held[id]) if page else [] for id, page in pages.items()}


def _movements(account: Account, page: Sequence[RecordedPosting], balance: int) -> list[Movement]:
    """Walks from the newest to the oldest, taking each amount off the balance."""
    answer = []
    for moved in page:
        is_debit = moved.debit_account_id == account.id
        amount = moved.amount if is_debit == (account.side is Side.DEBIT) else -moved.amount
        answer.append(
            Movement(
                posting=moved,
                account_id=account.id,
                counter_account_id=moved.credit_account_id if is_debit else moved.debit_account_id,
                amount=amount,
                balance_after=balance,
            )
        )
        balance -= amount
    return answer
