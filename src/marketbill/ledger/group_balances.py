"""The balances of a group of accounts added up, by currency and kind: now, as of an instant, as known at one.

Now is what the accounts' rows say. Any other instant is one probe or two of each account's postings, however many it
has, so what is limited is the number of accounts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text

from marketbill.db import Scope
from marketbill.errors import LimitExceeded
from marketbill.ledger.accounts import AccountGroup
from marketbill.ledger.balances import asked_cut, cut_values, past, with_held
from marketbill.ledger.chart import AccountKind, Side

#: The most accounts whose balances now are added up in one read.
ACCOUNTS_NOW_MAX = 1_000_000

#: The most accounts whose balances at an instant are added up in one read.
ACCOUNTS_AT_MAX = 50_000


@dataclass(frozen=True, slots=True)
class GroupBalance:
    """What the group's accounts of one currency, kind and side hold together, positive on that side, in minor units.

    `accounts` counts those that had moved by then. `available` is less what open holds would take; None for an instant
    other than now.
    """

    currency: str
    kind: AccountKind
    side: Side
    accounts: int
    balance: int
    available: int | None


_NOW = """
    select a.*, a.debits - a.credits as net,
           greatest(a.debits, a.credits, a.pending_debits, a.pending_credits) > 0 as has_moved
    from ledger_account a
    where a.platform_id = :platform {group}
    limit :most
"""
_AT = """
    select a.*, coalesce(run.balance, 0) + coalesce(late.net, 0) as net,
           run.number is not null or late.net is not null as has_moved
    from (select * from ledger_account a where a.platform_id = :platform {group} limit :most) as a {held}
"""
_BY_KIND = """
    select a.currency, a.kind, a.side, count(*) filter (where has_moved) as accounts, sum(count(*)) over () as read,
           sum(net) as net,
           sum(case a.side when 'DEBIT' then a.pending_credits else a.pending_debits end) as pending_out
    from ({accounts}) as a
    group by a.currency, a.kind, a.side
    order by a.currency, a.kind, a.side
"""


async def group_balances(
    scope: Scope, group: AccountGroup, *, at: datetime | None = None, known_at: datetime | None = None
) -> list[GroupBalance]:
    """The group's balances by currency, kind and side, at the end of `at` (effective time) as known at `known_at`.

    Without both, as they stand now. Raises InvalidInput for an instant in the future, and LimitExceeded when the group
    has more than `ACCOUNTS_NOW_MAX` accounts, or `ACCOUNTS_AT_MAX` for another instant than now.
    """
    is_now = at is None and known_at is None
    rows = await summed(scope, _BY_KIND, group, at=at, known_at=known_at)
    return [
        GroupBalance(
            currency=row.currency,
            kind=AccountKind(row.kind),
            side=Side(row.side),
            accounts=row.accounts,
            balance=(balance := int(row.net) if row.side == Side.DEBIT else -int(row.net)),
            available=balance - int(row.pending_out) if is_now else None,
        )
        for row in rows
    ]


async def summed(
    scope: Scope, sums: str, group: AccountGroup, *, at: datetime | None, known_at: datetime | None
) -> Sequence[Row[Any]]:
    """The rows of `sums`, whose `{accounts}` are the group's: each with `net` (net debits) and `has_moved`.

    Rows in which no account has moved are left out; `read` must count the accounts. Raises as `group_balances`.
    """
    cut, known_at = asked_cut(scope, at), past(scope, known_at, "knownAt")
    is_now = at is None and known_at is None
    most = ACCOUNTS_NOW_MAX if is_now else ACCOUNTS_AT_MAX
    accounts, values = group.narrowed(_NOW if is_now else _AT)
    statement = sums.replace("{accounts}", accounts)
    values |= {"platform": scope.platform, "most": most + 1}
    if is_now:
        rows = await scope.rows(text(statement), values)
    else:
        values |= cut_values(cut, known_at=known_at)
        rows = await scope.rows(with_held("with {known} " + statement, cut, known_at), values)
    if rows and rows[0].read > most:
        raise LimitExceeded(f"These are more than {most} accounts: ask for a narrower group.", path=("filter",))
    return [row for row in rows if row.accounts]
