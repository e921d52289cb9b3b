"""The operator's fee report: fees by seller and version of the fee schedule, equal to the fee revenue account.

It is read from the postings that touch `revenue:platform-fee`, or one of its names, in the period: the seller is the
other account of the posting, the schedule is what the entry's reason names. Tax on fees comes from the same entries,
the sales from the charges of the same payments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, text

from marketbill.db import ReadScope
from marketbill.errors import InvalidInput, LimitExceeded
from marketbill.ids import SellerId
from marketbill.ledger import chart
from marketbill.ledger.accounts import accounts_by_refs
from marketbill.ledger.balances import Cut, balances_at, watermark

#: The most rows of one report.
ROWS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class FeeRow:
    """One seller under one version of the fee schedule. Amounts in minor units; a fee given back counts negative.

    `seller` is None for a fee that came from no seller's account, the schedule for an entry that names none.
    """

    seller: SellerId | None
    fee_schedule: str | None
    fee_schedule_version: int | None
    sales: int
    gross: int
    fee: int
    fee_tax: int


@dataclass(frozen=True, slots=True)
class FeeReport:
    """The rows of [start, end) in one currency. `revenue` is the movement of the fee revenue account, told apart.

    Fees are those of the currency in which they were charged: what the provider's settlement in another currency made
    of them since is no fee.
    """

    currency: str
    start: datetime
    end: datetime
    rows: tuple[FeeRow, ...]
    revenue: int

    @property
    def fee(self) -> int:
        return sum(row.fee for row in self.rows)

    @property
    def agrees(self) -> bool:
        """The rows make the movement of the account; false means the books are broken."""
        return self.fee == self.revenue


# What is joined laterally, and computed in a step before it is compared, is looked up in an index: a period costs what
# it holds, not what the journal holds.
_ROWS = text(
    """
    with fees as (
      select p.entry_number, p.debit_account_id as payer_id, p.amount
      from posting p
      where p.platform_id = :platform and p.credit_account_id = any(:accounts) and p.number <= :as_of and not p.held
        and p.effective_at >= :start and p.effective_at < :end
      union all
      select p.entry_number, p.credit_account_id, -p.amount
      from posting p
      where p.platform_id = :platform and p.debit_account_id = any(:accounts) and p.number <= :as_of and not p.held
        and p.effective_at >= :start and p.effective_at < :end
    ), paid as (
      select f.entry_number, case a.owner_type when 'seller' then a.owner_id end as seller_id, sum(f.amount) as fee
      from fees f
      join ledger_account a on a.platform_id = :platform and a.id = f.payer_id
      group by 1, 2
    ), booked as materialized (
      select e.number, e.source_id, e.kind = 'split' and not exists (
               select from journal_entry r where r.platform_id = :platform and r.reverses = e.id) as is_sale,
             coalesce(e.reason ->> 'fee_schedule', e.reason ->> 'fee_rule') as fee_schedule,
             cast(coalesce(e.reason ->> 'fee_schedule_version', e.reason ->> 'fee_rule_version') as integer)
               as fee_schedule_version,
             e.first_posting, e.first_posting + e.posting_count - 1 as last_posting
      from (select distinct entry_number from fees) as f
      cross join lateral (
        select * from journal_entry e where e.platform_id = :platform and e.number = f.entry_number limit 1
      ) as e
      where e.kind <> 'fx-conversion'
    ), taxed as (
      select p.entry_number, coalesce(d.owner_id, c.owner_id) as seller_id,
             sum(case when starts_with(c.code, 'tax:output-vat:') then p.amount else -p.amount end) as fee_tax
      from booked e
      cross join lateral (
        select * from posting p
        where p.platform_id = :platform and p.number between e.first_posting and e.last_posting offset 0
      ) as p
      join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id
      join ledger_account c on c.platform_id = :platform and c.id = p.credit_account_id
      where starts_with(c.code, 'tax:output-vat:') or starts_with(d.code, 'tax:output-vat:')
      group by 1, 2
    ), charged as materialized (
      select e.source_id, e.first_posting, e.first_posting + e.posting_count - 1 as last_posting
      from (select distinct source_id from booked where is_sale) as sale
      cross join lateral (
        select * from journal_entry e
        where e.platform_id = :platform and e.source_id = sale.source_id and e.kind = 'charge' and e.phase = 'POSTED'
          and not exists (select from journal_entry r where r.platform_id = :platform and r.reverses = e.id)
        offset 0
      ) as e
    ), sold as (
      select e.source_id, a.owner_id as seller_id, sum(p.amount) as gross
      from charged e
      cross join lateral (
        select * from posting p
        where p.platform_id = :platform and p.number between e.first_posting and e.last_posting offset 0
      ) as p
      join ledger_account a on a.platform_id = :platform and a.id = p.credit_account_id
      where a.owner_type = 'seller'
      group by 1, 2
    )
    select paid.seller_id, e.fee_schedule, e.fee_schedule_version,
           count(distinct e.source_id) filter (where e.is_sale) as sales,
           coalesce(sum(sold.gross) filter (where e.is_sale), 0) as gross,
           sum(paid.fee) as fee, coalesce(sum(taxed.fee_tax), 0) as fee_tax
    from paid
    join booked e on e.number = paid.entry_number
    left join taxed on taxed.entry_number = paid.entry_number and taxed.seller_id is not distinct from paid.seller_id
    left join sold on sold.source_id = e.source_id and sold.seller_id = paid.seller_id
    group by 1, 2, 3
    order by 1, 3, 2
    limit :limit
    """
).bindparams(bindparam("accounts", type_=ARRAY(Uuid)))
_ACCOUNTS = text(
    """
    select id, credits - debits as balance from ledger_account
    where platform_id = :platform and currency = :currency
      and (code = 'revenue:platform-fee' or starts_with(code, 'revenue:platform-fee:'))
    order by code
    """
)
# What is exchanged stands between the accounts and the open position, and nothing else does.
_EXCHANGED = text(
    """
    select coalesce(sum(case when p.credit_account_id = any(:accounts) then p.amount else -p.amount end), 0) as amount
    from posting p
    where p.platform_id = :platform and p.number <= :as_of and not p.held
      and p.effective_at >= :start and p.effective_at < :end
      and (p.debit_account_id = :position and p.credit_account_id = any(:accounts)
           or p.debit_account_id = any(:accounts) and p.credit_account_id = :position)
    """
).bindparams(bindparam("accounts", type_=ARRAY(Uuid)))


async def fee_report(scope: ReadScope, *, start: datetime, end: datetime, currency: str) -> FeeReport:
    """The fees of [start, end) by effective time, by seller and schedule version.

    Raises InvalidInput for a period that does not run forward, LimitExceeded beyond `ROWS_MAX` rows.
    """
    if not start < end:
        raise InvalidInput("A period ends after it starts.", path=("period",), constraint="from < until")
    accounts = list(await fee_accounts(scope, currency))
    if not accounts:
        return FeeReport(currency=currency, start=start, end=end, rows=(), revenue=0)
    as_of = await watermark(scope)
    rows = await _rows(scope, accounts, start=start, end=end, as_of=as_of)
    opening = await balances_at(scope, accounts, Cut.before(start), known=as_of)
    closing = await balances_at(scope, accounts, Cut.before(end), known=as_of)
    moved = await exchanged(scope, accounts, currency, start=start, end=end, as_of=as_of)
    revenue = sum(closing.values()) - sum(opening.values()) - moved
    return FeeReport(currency=currency, start=start, end=end, rows=rows, revenue=revenue)


async def fee_accounts(scope: ReadScope, currency: str) -> dict[UUID, int]:
    """The accounts of the platform's own fees, those with a name of their own too, and their balances now."""
    rows = await scope.rows(_ACCOUNTS, {"platform": scope.platform, "currency": currency})
    return {row.id: row.balance for row in rows}


async def exchanged(
    scope: ReadScope, accounts: Sequence[UUID], currency: str, *, start: datetime, end: datetime, as_of: int
) -> int:
    """What came into accounts in [start, end) because the provider settled another currency, less what went out."""
    ref = chart.account(chart.FX_POSITION, currency)
    position = (await accounts_by_refs(scope, [ref])).get(ref)
    if position is None or not accounts:
        return 0
    values = {"platform": scope.platform, "accounts": list(accounts), "position": position.id}
    return int(await scope.scalar(_EXCHANGED, {**values, "start": start, "end": end, "as_of": as_of}))


async def _rows(
    scope: ReadScope, accounts: Sequence[UUID], *, start: datetime, end: datetime, as_of: int
) -> tuple[FeeRow, ...]:
    values = {
        "platform": scope.platform,
        "accounts": list(accounts),
        "start": start,
        "end": end,
        "as_of": as_of,
        "limit": ROWS_MAX + 1,
    }
    rows = await scope.rows(_ROWS, values)
    if len(rows) > ROWS_MAX:
        raise LimitExceeded(f"A fee report has at most {ROWS_MAX} rows: ask for a shorter period.", path=("period",))
    return tuple(
        FeeRow(
            seller=row.seller_id,
            fee_schedule=row.fee_schedule,
            fee_schedule_version=row.fee_schedule_version,
            sales=row.sales,
            gross=int(row.gross),
            fee=int(row.fee),
            fee_tax=int(row.fee_tax),
        )
        for row in rows
    )
