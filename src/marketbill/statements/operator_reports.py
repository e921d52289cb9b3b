"""The operator's reports: fees by rule, category or seller, the take rate, held money, debts and disputes.

Each is made of the business's own rows and stands beside the accounts that it must equal; what the rows do not explain
is a number of its own, so that a report never tells less than the books.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, text

from marketbill.db import ReadScope
from marketbill.errors import InvalidInput, LimitExceeded
from marketbill.ledger import chart
from marketbill.ledger.accounts import accounts_by_refs
from marketbill.ledger.balances import Cut, balances_at, watermark
from marketbill.ledger.chart import AccountRef
from marketbill.statements.fee_report import ROWS_MAX, exchanged, fee_accounts


class Dimension(StrEnum):
    """By what fees are told apart."""

    RULE = "RULE"
    CATEGORY = "CATEGORY"
    SELLER = "SELLER"


@dataclass(frozen=True, slots=True)
class FeesOf:
    """The fees of one rule, category or seller (`sel_…` is made of `seller`), in minor units."""

    name: str
    seller: UUID | None
    charged: int
    given_back: int

    @property
    def net(self) -> int:
        return self.charged - self.given_back


@dataclass(frozen=True, slots=True)
class Fees:
    """Fees of [start, end). `revenue` and `given_back` are what the two accounts moved by; `unexplained` is what of
    their difference belongs to no line of a sale, such as a correction by hand."""

    currency: str
    rows: tuple[FeesOf, ...]
    revenue: int
    given_back: int

    @property
    def net(self) -> int:
        return self.revenue - self.given_back

    @property
    def unexplained(self) -> int:
        return self.net - sum(row.net for row in self.rows)


@dataclass(frozen=True, slots=True)
class TakeRate:
    """What buyers were charged in [start, end), and what the platform kept of it, in minor units.

    `rate` is the percentage that fees less those given back are of what was charged; None where nothing was.
    """

    currency: str
    charged: int
    fees: int
    given_back: int
    provider_fees: int

    @property
    def rate(self) -> Decimal | None:
        if not self.charged:
            return None
        return (Decimal(self.fees - self.given_back) * 100 / self.charged).quantize(Decimal("0.0001"))


@dataclass(frozen=True, slots=True)
class Held:
    """What stands in one place for all sellers together."""

    place: str
    sellers: int
    amount: int


@dataclass(frozen=True, slots=True)
class DisputesOf:
    """The disputes in one state, in minor units. `amount` is what buyers contest, `outstanding` what the provider has
    withdrawn for them and nobody has borne yet, `fees` what it charged for them less what it returned."""

    status: str
    disputes: int
    amount: int
    outstanding: int
    fees: int


@dataclass(frozen=True, slots=True)
class Disputes:
    """All disputes of a currency; `withdrawn` and `fees` are what the accounts hold, as the rows must."""

    currency: str
    rows: tuple[DisputesOf, ...]
    withdrawn: int
    fees: int

    @property
    def agrees(self) -> bool:
        held = sum(row.outstanding for row in self.rows), sum(row.fees for row in self.rows)
        return held == (self.withdrawn, self.fees)


@dataclass(frozen=True, slots=True)
class DebtsOf:
    """Debts of one age, in minor units."""

    days_from: int
    debts: int
    sellers: int
    amount: int


@dataclass(frozen=True, slots=True)
class Debts:
    """What sellers owe, by age; `receivable` is what the accounts hold, as the rows must."""

    currency: str
    rows: tuple[DebtsOf, ...]
    receivable: int

    @property
    def agrees(self) -> bool:
        return sum(row.amount for row in self.rows) == self.receivable


#: The days from which debts are counted together, after the steps of collecting them.
AGES = (0, 7, 14, 30, 60, 120)

# A sale's fees are those of its trace, line by line; what was given back of a line is counted with its first fee.
_FEES = """
    with sold as materialized (
      select distinct e.source_id
      from (
        select distinct p.entry_number from posting p
        where p.platform_id = :platform and p.credit_account_id = any(:accounts) and p.number <= :known and not p.held
          and p.effective_at >= :start and p.effective_at < :end
      ) as fees
      cross join lateral (
        select * from journal_entry e where e.platform_id = :platform and e.number = fees.entry_number limit 1
      ) as e
      where e.kind in ('charge', 'split')
        and not exists (select from journal_entry r where r.platform_id = :platform and r.reverses = e.id)
    ), returned as materialized (
      select distinct e.source_type, e.source_id, e.kind in ('refund-undone', 'dispute-restored') as undoes
      from (
        select p.entry_number from posting p
        where p.platform_id = :platform and p.debit_account_id = :refunded and p.number <= :known and not p.held
          and p.effective_at >= :start and p.effective_at < :end
        union
        select p.entry_number from posting p
        where p.platform_id = :platform and p.credit_account_id = :refunded and p.number <= :known and not p.held
          and p.effective_at >= :start and p.effective_at < :end
      ) as fees
      cross join lateral (
        select * from journal_entry e where e.platform_id = :platform and e.number = fees.entry_number limit 1
      ) as e
      where e.source_type in ('refund', 'dispute')
    ), fee as (
      select fee.told ->> 'rule' as rule, l.category, l.seller_id, cast(fee.told ->> 'amount' as bigint) as charged,
             0 as given_back
      from sold
      join payment y on y.platform_id = :platform and y.id = sold.source_id
      join payment_line l on l.platform_id = :platform and l.payment_id = y.id
      cross join lateral jsonb_array_elements(y.trace -> 'lines' -> l.ordinal -> 'fees') as fee (told)
      where fee.told ->> 'kind' = 'PLATFORM'
      union all
      select (select one.told ->> 'rule' from jsonb_array_elements(y.trace -> 'lines' -> l.ordinal -> 'fees')
                with ordinality as one (told, place) where one.told ->> 'kind' = 'PLATFORM' order by place limit 1),
             l.category, l.seller_id, 0,
             coalesce(cast(r.amounts ->> 'fee' as bigint), 0) + coalesce(cast(r.amounts ->> 'buyer_fee' as bigint), 0)
      from returned
      join sale_return s on s.platform_id = :platform and s.source_type = returned.source_type
        and s.source_id = returned.source_id and s.undoes = returned.undoes
      join line_return r on r.platform_id = :platform and r.payment_id = s.payment_id
        and r.source_type = s.source_type and r.source_id = s.source_id and r.undoes = s.undoes
      join payment y on y.platform_id = :platform and y.id = r.payment_id
      join payment_line l on l.platform_id = :platform and l.payment_id = r.payment_id and l.ordinal = r.ordinal
    )
    select {by} as dimension, sum(charged) as charged, sum(given_back) as given_back
    from fee group by 1 having sum(charged) <> 0 or sum(given_back) <> 0
    order by 2 desc, 1 limit :limit
"""
_BY = {
    Dimension.RULE: "coalesce(rule, '')",
    Dimension.CATEGORY: "category",
    Dimension.SELLER: "cast(seller_id as text)",
}
_FEES_BY = {
    dimension: text(_FEES.replace("{by}", by)).bindparams(
        bindparam("accounts", type_=ARRAY(Uuid)), bindparam("refunded", type_=Uuid)
    )
    for dimension, by in _BY.items()
}
_CHARGED = text(
    """
    select coalesce(sum(p.amount), 0) from posting p
    join journal_entry e on e.platform_id = :platform and e.number = p.entry_number and e.kind = 'charge'
    where p.platform_id = :platform and p.debit_account_id = :account and p.number <= :known and not p.held
      and p.effective_at >= :start and p.effective_at < :end
    """
)
_HELD = text(
    r"""
    select place, count(*) filter (where held <> 0) as sellers, sum(held) as held
    from (
      select case when code like 'seller\:%\:pending' then 'PENDING' when code like 'seller\:%\:payable' then 'PAYABLE'
                  when code like 'seller\:%\:reserve' then 'RESERVE'
                  when code like 'custody\:%\:available' then 'AVAILABLE'
                  when code like 'custody\:%\:in-transit' then 'IN_TRANSIT' else 'DEBT' end as place,
             case when side = 'DEBIT' then debits - credits else credits - debits end as held
      from ledger_account
      where platform_id = :platform and currency = :currency and owner_type = 'seller' and code not like '%\:owed'
    ) as told
    group by 1 order by 1
    """
)
_DISPUTES = text(
    """
    select d.status, count(*) as disputes, sum(d.amount) as amount,
           sum(d.withdrawn - d.reinstated - coalesce(r.taken, 0) - coalesce(rate.amount, 0)) as outstanding,
           sum(d.fees - d.fees_returned) as fees
    from dispute d
    left join lateral (
      select sum(taken) as taken from dispute_recovery r
      where r.platform_id = :platform and r.dispute_id = d.id and r.booked_at is not null and r.undone_at is null
    ) as r on true
    left join lateral (
      select sum(case when starts_with(c.code, 'dispute:') then p.amount else -p.amount end) as amount
      from journal_entry e
      join posting p on p.platform_id = :platform and p.entry_number = e.number
      join ledger_account c on c.platform_id = :platform and c.id = p.credit_account_id
      where e.platform_id = :platform and e.source_id = d.id and e.kind = 'dispute-rate'
    ) as rate on true
    where d.platform_id = :platform and coalesce(d.settlement_currency, d.currency) = :currency
    group by 1 order by 1
    """
)
_DEBTS = text(
    """
    select age.days_from, count(*) as debts, count(distinct d.seller_id) as sellers, sum(d.remaining) as amount
    from debt d
    cross join lateral (
      select max(days) as days_from from unnest(cast(:ages as integer[])) as step (days)
      where d.created_at + make_interval(days => days) <= :now
    ) as age
    where d.platform_id = :platform and d.currency = :currency and d.remaining > 0
    group by 1 order by 1
    """
)
_ACCOUNT_SUM = text(
    """
    select coalesce(sum(debits - credits), 0) from ledger_account
    where platform_id = :platform and currency = :currency and starts_with(code, :code)
    """
)


async def fees_by(scope: ReadScope, dimension: Dimension, *, start: datetime, end: datetime, currency: str) -> Fees:
    """Fees of [start, end) by effective time. Raises InvalidInput for a period that does not run forward,
    LimitExceeded beyond `ROWS_MAX` rows."""
    _forward(start, end)
    known = await watermark(scope)
    revenue, given_back = await _moved(scope, currency, start=start, end=end, known=known)
    ref = chart.account(chart.FEE_REFUNDED, currency)
    refunded = (await accounts_by_refs(scope, [ref])).get(ref)
    values = {
        "platform": scope.platform,
        "accounts": list(await fee_accounts(scope, currency)),
        "refunded": refunded.id if refunded else None,
        "known": known,
        "start": start,
        "end": end,
        "limit": ROWS_MAX + 1,
    }
    rows = await scope.rows(_FEES_BY[dimension], values)
    if len(rows) > ROWS_MAX:
        raise LimitExceeded(f"A report has at most {ROWS_MAX} rows: ask for a shorter period.", path=("period",))
    return Fees(
        currency=currency,
        rows=tuple(
            FeesOf(
                name=row.dimension,
                seller=UUID(row.dimension) if dimension is Dimension.SELLER else None,
                charged=int(row.charged),
                given_back=int(row.given_back),
            )
            for row in rows
        ),
        revenue=revenue,
        given_back=given_back,
    )


async def take_rate(scope: ReadScope, *, start: datetime, end: datetime, currency: str) -> TakeRate:
    """What the platform kept of what buyers were charged in [start, end). Raises InvalidInput for a period that does
    not run forward."""
    _forward(start, end)
    known = await watermark(scope)
    revenue, given_back = await _moved(scope, currency, start=start, end=end, known=known)
    pending, costs = chart.psp_pending(currency), chart.psp_fee(currency)
    account = (await accounts_by_refs(scope, [pending])).get(pending)
    charged = 0
    if account is not None:
        values: dict[str, Any] = {"account": account.id, "start": start, "end": end, "known": known}
        charged = int(await scope.scalar(_CHARGED, {"platform": scope.platform, **values}))
    paid = await _movement(scope, costs, start=start, end=end, known=known)
    return TakeRate(currency=currency, charged=charged, fees=revenue, given_back=given_back, provider_fees=paid)


async def held_money(scope: ReadScope, currency: str) -> tuple[Held, ...]:
    """Where all sellers' money stands now, by the accounts: one row a place, DEBT for what sellers owe."""
    rows = await scope.rows(_HELD, {"platform": scope.platform, "currency": currency})
    return tuple(Held(row.place, row.sellers, int(row.held)) for row in rows)


async def debts(scope: ReadScope, currency: str) -> Debts:
    """What sellers owe now, by the age of the debts, beside what their accounts say."""
    values = {"platform": scope.platform, "currency": currency}
    rows = await scope.rows(_DEBTS, {**values, "ages": list(AGES), "now": scope.now})
    return Debts(
        currency=currency,
        rows=tuple(DebtsOf(row.days_from, row.debts, row.sellers, int(row.amount)) for row in rows),
        receivable=int(await scope.scalar(_ACCOUNT_SUM, {**values, "code": "seller-receivable:"})),
    )


async def disputes(scope: ReadScope, currency: str) -> Disputes:
    """All disputes by state, beside what the accounts of disputes and of their fees hold now."""
    values = {"platform": scope.platform, "currency": currency}
    rows = await scope.rows(_DISPUTES, values)
    fees = chart.account(chart.DISPUTE_FEE, currency).code
    told = tuple(
        DisputesOf(
            status=row.status,
            disputes=row.disputes,
            amount=int(row.amount),
            outstanding=int(row.outstanding),
            fees=int(row.fees),
        )
        for row in rows
    )
    return Disputes(
        currency=currency,
        rows=told,
        withdrawn=int(await scope.scalar(_ACCOUNT_SUM, {**values, "code": "dispute:"})),
        fees=int(await scope.scalar(_ACCOUNT_SUM, {**values, "code": fees})),
    )


async def _moved(scope: ReadScope, currency: str, *, start: datetime, end: datetime, known: int) -> tuple[int, int]:
    """What the fee accounts, and the account of fees given back, moved by in a period."""
    accounts = list(await fee_accounts(scope, currency))
    opening = await balances_at(scope, accounts, Cut.before(start), known=known)
    closing = await balances_at(scope, accounts, Cut.before(end), known=known)
    turned = await exchanged(scope, accounts, currency, start=start, end=end, as_of=known)
    revenue = sum(closing.values()) - sum(opening.values()) - turned
    refunded = await _movement(scope, chart.account(chart.FEE_REFUNDED, currency), start=start, end=end, known=known)
    return revenue, refunded


async def _movement(scope: ReadScope, ref: AccountRef, *, start: datetime, end: datetime, known: int) -> int:
    account = (await accounts_by_refs(scope, [ref])).get(ref)
    if account is None:
        return 0
    opening = await balances_at(scope, [account.id], Cut.before(start), known=known)
    closing = await balances_at(scope, [account.id], Cut.before(end), known=known)
    return closing[account.id] - opening[account.id]


def _forward(start: datetime, end: datetime) -> None:
    if not start < end:
        raise InvalidInput("A period ends after it starts.", path=("period",), constraint="from < until")
