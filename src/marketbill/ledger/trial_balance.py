"""The trial balance: all accounts of a currency together, debit against credit, now or at an instant."""

from dataclasses import dataclass
from datetime import datetime

from marketbill.db import Scope
from marketbill.errors import LimitExceeded
from marketbill.ledger.accounts import AccountGroup
from marketbill.ledger.chart import AccountKind
from marketbill.ledger.group_balances import summed

#: The most rows of one trial balance.
ROWS_MAX = 10_000


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


_BY_FAMILY = f"""
    select a.currency, a.family, a.kind, count(*) filter (where has_moved) as accounts, sum(count(*)) over () as read,
           sum(greatest(net, 0)) as debit, sum(greatest(-net, 0)) as credit
    from (
      select *, case when owner_id is null then code
                     else regexp_replace(code, '[a-z]{{3}}_[0-9a-hjkmnp-tv-z]{{26}}', '*') end as family
      from ({{accounts}}) as a
    ) as a
    group by a.currency, a.family, a.kind
    order by a.currency, a.family
    limit {ROWS_MAX + 1}
"""  # noqa: S608


async def trial_balance(
    scope: Scope, *, at: datetime | None = None, known_at: datetime | None = None
) -> list[TrialBalance]:
    """The trial balance of each currency at the end of `at` (effective time) as known at `known_at`; without both, now.

    An owner's accounts are added up by family. Raises InvalidInput for an instant in the future, and LimitExceeded
    beyond `ROWS_MAX` rows or the accounts that `group_balances` takes.
    """
    found = await summed(scope, _BY_FAMILY, AccountGroup(), at=at, known_at=known_at)
    if len(found) > ROWS_MAX:
        raise LimitExceeded(f"A trial balance has at most {ROWS_MAX} rows.")
    rows: dict[str, list[TrialRow]] = {}
    for row in found:
        rows.setdefault(row.currency, []).append(
            TrialRow(
                code=row.family,
                kind=AccountKind(row.kind),
                accounts=row.accounts,
                debit=int(row.debit),
                credit=int(row.credit),
            )
        )
    return [TrialBalance(currency=currency, rows=tuple(made)) for currency, made in rows.items()]
