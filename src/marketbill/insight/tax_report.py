"""The tax report: what was taxed in a period by jurisdiction, tied to the tax accounts to the cent.

It is summed from the tax lines that are kept with the entries of each sale. What the platform owes by it is set against
the movement of each tax account in the same period; where the two differ, the difference is told.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ARRAY, Uuid, bindparam, text

from marketbill.db import ReadScope
from marketbill.errors import InvalidInput, LimitExceeded
from marketbill.ledger.accounts import Account, AccountGroup, accounts
from marketbill.ledger.balances import Cut, balances_at, watermark
from marketbill.ledger.limits import READ_MAX
from marketbill.payments.model import TaxKind
from marketbill.payments.tax_lines import TRACE_VERSION_MIN
from marketbill.rules.tax.line_tax import Liable

#: The most rows of one report.
ROWS_MAX = 10_000

_TAX_ACCOUNTS = AccountGroup(code_prefix="tax:")


@dataclass(frozen=True, slots=True)
class TaxRow:
    """The lines of one treatment together, in minor units; what was taken back counts negative.

    `jurisdiction` is empty where nobody told it: a line whose rate the seller stated. `liable` says who owes the tax.
    `rate` is in percent, `base` without tax, `category` that of the rates, or the scheme of what is withheld.
    """

    jurisdiction: str
    kind: TaxKind
    liable: Liable
    category: str
    rate: Decimal
    currency: str
    base: int
    tax: int
    lines: int


@dataclass(frozen=True, slots=True)
class TaxAccount:
    """A tax account in the period, in minor units. `reported` is what the lines say was booked on it, `moved` its own
    movement, and `other` the part of that which is no sale's: corrections by operators, and sales from before tax lines
    were kept."""

    code: str
    currency: str
    reported: int
    moved: int
    other: int

    @property
    def difference(self) -> int:
        """What neither explains; anything but zero means that the books are broken."""
        return self.moved - self.other - self.reported


@dataclass(frozen=True, slots=True)
class TaxReport:
    """[start, end) by effective time; `jurisdiction` None for all. The accounts are told whole in either case."""

    start: datetime
    end: datetime
    jurisdiction: str | None
    rows: tuple[TaxRow, ...]
    accounts: tuple[TaxAccount, ...]

    @property
    def agrees(self) -> bool:
        """The lines make the movement of every tax account."""
        return not any(account.difference for account in self.accounts)


_ROWS = text(
    """
    select jurisdiction, kind, liable, category, rate, currency, sum(net) as base, sum(tax) as tax, count(*) as lines
    from tax_line
    where platform_id = :platform and effective_at >= :start and effective_at < :end
      and (cast(:jurisdiction as text) is null or jurisdiction = :jurisdiction)
    group by jurisdiction, kind, liable, category, rate, currency
    order by jurisdiction, kind, liable, category, rate, currency
    limit :limit
    """
)
_REPORTED = text(
    """
    select account, currency, sum(tax) as tax from tax_line
    where platform_id = :platform and effective_at >= :start and effective_at < :end and account <> ''
    group by account, currency
    """
)
# What is no sale's own entry and none that took back of one, or the entry of a sale without tax lines.
_OTHER = text(
    """
    with moved as (
      select p.credit_account_id as account_id, p.entry_number, p.amount from posting p
      where p.platform_id = :platform and p.credit_account_id = any(:accounts) and not p.held
        and p.effective_at >= :start and p.effective_at < :end
      union all
      select p.debit_account_id, p.entry_number, - p.amount from posting p
      where p.platform_id = :platform and p.debit_account_id = any(:accounts) and not p.held
        and p.effective_at >= :start and p.effective_at < :end
    )
    select moved.account_id, sum(moved.amount) as amount
    from moved
    join journal_entry e on e.platform_id = :platform and e.number = moved.entry_number
    where not (e.source_type = 'payment' and e.kind in ('charge', 'split') and not starts_with(e.key, 'correction:')
               and not exists (select from payment y where y.platform_id = :platform and y.id = e.source_id
                               and cast(y.trace ->> 'trace_version' as integer) < :version))
      and not (e.source_type in ('refund', 'dispute') and not starts_with(e.key, 'correction:')
               and exists (select from tax_line l where l.platform_id = :platform and l.cause_id = e.source_id
                           and l.account <> ''))
    group by moved.account_id
    """
).bindparams(bindparam("accounts", type_=ARRAY(Uuid)))


async def tax_report(scope: ReadScope, *, start: datetime, end: datetime, jurisdiction: str | None = None) -> TaxReport:
    """The taxes of [start, end) by effective time.

    Raises InvalidInput for a period that does not run forward, LimitExceeded beyond `ROWS_MAX` rows.
    """
    if not start < end:
        raise InvalidInput("A period ends after it starts.", path=("period",), constraint="from < until")
    period = {"platform": scope.platform, "start": start, "end": end}
    rows = await scope.rows(_ROWS, {**period, "jurisdiction": jurisdiction, "limit": ROWS_MAX + 1})
    if len(rows) > ROWS_MAX:
        raise LimitExceeded(f"A tax report has at most {ROWS_MAX} rows: ask for a shorter period.", path=("period",))
    return TaxReport(
        start=start,
        end=end,
        jurisdiction=jurisdiction,
        rows=tuple(
            TaxRow(
                jurisdiction=row.jurisdiction,
                kind=TaxKind(row.kind),
                liable=Liable(row.liable),
                category=row.category,
                rate=row.rate.normalize(),
                currency=row.currency,
                base=int(row.base),
                tax=int(row.tax),
                lines=row.lines,
            )
            for row in rows
        ),
        accounts=await tax_accounts(scope, start=start, end=end),
    )


async def tax_accounts(scope: ReadScope, *, start: datetime, end: datetime) -> tuple[TaxAccount, ...]:
    """Every tax account that moved in [start, end), or that a line says did."""
    period = {"platform": scope.platform, "start": start, "end": end}
    reported = {(row.account, row.currency): int(row.tax) for row in await scope.rows(_REPORTED, period)}
    held = await _tax_accounts(scope)
    as_of = await watermark(scope)
    moved: dict[tuple[str, str], int] = {}
    for first in range(0, len(held), READ_MAX):
        ids = [account.id for account in held[first : first + READ_MAX]]
        opening = await balances_at(scope, ids, Cut.before(start), known=as_of)
        closing = await balances_at(scope, ids, Cut.before(end), known=as_of)
        for account in held[first : first + READ_MAX]:
            moved[account.code, account.currency] = closing[account.id] - opening[account.id]
    doubtful = [one for one in held if moved[one.code, one.currency] != reported.get((one.code, one.currency), 0)]
    other: dict[tuple[str, str], int] = {}
    if doubtful:
        names = {account.id: (account.code, account.currency) for account in doubtful}
        values = {**period, "accounts": list(names), "version": TRACE_VERSION_MIN}
        other = {names[row.account_id]: int(row.amount) for row in await scope.rows(_OTHER, values)}
    told = [
        TaxAccount(
            code=code,
            currency=currency,
            reported=reported.get((code, currency), 0),
            moved=moved.get((code, currency), 0),
            other=other.get((code, currency), 0),
        )
        for code, currency in sorted(moved.keys() | reported.keys())
    ]
    return tuple(one for one in told if one.reported or one.moved or one.other)


async def _tax_accounts(scope: ReadScope) -> list[Account]:
    found: list[Account] = []
    while True:
        after = (found[-1].code, found[-1].currency) if found else None
        page = await accounts(scope, group=_TAX_ACCOUNTS, after=after, limit=READ_MAX)
        found += page
        if len(page) < READ_MAX:
            return found
