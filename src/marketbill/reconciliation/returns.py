"""What was given back, and what payouts are made of, against the ledger."""

from sqlalchemy import text

from marketbill.db import ReadScope
from marketbill.ids import public_id
from marketbill.reconciliation.check import Check, compared

#: Single sellers, payouts, refunds or payments that are named when they differ.
NAMED_MAX = 20

# Each approved refund is owed to its buyer until it is paid, credited or undone. What it was approved with is settled
# by then, whatever the rate was: the account keeps nothing of it.
_OWED = """
    with moved as (
      select e.source_id, p.currency, cast(sum(case when c.code = 'buyer:refund-payable' then p.amount else 0 end
        - case when d.code = 'buyer:refund-payable' then p.amount else 0 end) as bigint) as amount
      from journal_entry e
      join posting p on p.platform_id = :platform and p.entry_number = e.number and not p.held
      join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id
      join ledger_account c on c.platform_id = :platform and c.id = p.credit_account_id
      where e.platform_id = :platform and e.source_type = 'refund'
      group by e.source_id, p.currency
    ), owed as (
      select r.id, r.settlement_currency as currency, coalesce(m.amount, 0) as found,
        case when r.booked_at is null or r.status in ('REFUSED', 'CREDITED') then 0
             when r.paid_transaction is not null and r.failed_transaction is null then 0
             else r.settlement_amount end as expected
      from refund r left join moved m on m.source_id = r.id and m.currency = r.settlement_currency
      where r.platform_id = :platform
    )
"""
_REFUNDS = text(
    f"""{_OWED}
    select currency, count(*) as things, cast(sum(expected) as bigint) as expected,
      cast(sum(found) as bigint) as found
    from owed group by currency order by currency
    """  # noqa: S608
)
_REFUNDS_DIFFERING = text(
    f"{_OWED} select id, currency, expected, found from owed where expected <> found order by id limit :limit"  # noqa: S608
)
# Of a sale, no more goes back than was paid.
_BEYOND = text(
    """
    select y.id, y.currency, y.gross as expected, cast(sum(r.amount) as bigint) as found
    from refund r join payment y on y.platform_id = :platform and y.id = r.payment_id
    where r.platform_id = :platform and r.status <> 'REFUSED'
    group by y.id, y.currency, y.gross having sum(r.amount) > y.gross limit :limit
    """
)
_SHARES = text(
    """
    select s.payment_id, s.seller_id, s.returned as found, cast(coalesce(sum(c.own), 0) as bigint) as expected,
      coalesce(y.settlement_currency, y.currency) as currency
    from payment_share s
    join payment y on y.platform_id = :platform and y.id = s.payment_id
    left join clawback c on c.platform_id = :platform and c.payment_id = s.payment_id and c.seller_id = s.seller_id
      and c.returned_at is null
    where s.platform_id = :platform
    group by s.payment_id, s.seller_id, s.returned, y.settlement_currency, y.currency
    having s.returned <> coalesce(sum(c.own), 0) limit :limit
    """
)
_LINES = text(
    """
    select o.id, o.currency, o.amount as expected, cast(coalesce(sum(l.amount), 0) as bigint) as found
    from payout o
    left join payout_line l on l.platform_id = :platform and l.payout_id = o.id and l.replaced_at is null
    where o.platform_id = :platform
    group by o.id, o.currency, o.amount having o.amount <> coalesce(sum(l.amount), 0) limit :limit
    """
)
_LINES_TOTAL = text(
    """
    select currency, count(*) as things, cast(sum(amount) as bigint) as amount from payout
    where platform_id = :platform group by currency order by currency
    """
)
# What no payout and no reversal under way holds of the items is what the books say is available.
_ITEMS = text(
    r"""
    with free as (
      select seller_id, currency, sum(amount - claimed) as amount from payout_item
      where platform_id = :platform and rail = 'PROVIDER' group by seller_id, currency
    ), asked as (
      select r.seller_id, r.currency, sum(cast(claim ->> 'amount' as bigint)) as amount
      from reversal r cross join lateral jsonb_array_elements(r.claims) claim
      where r.platform_id = :platform and r.status in ('WAITING', 'PENDING') group by r.seller_id, r.currency
    ), booked as (
      select owner_id as seller_id, currency, debits - credits as amount from ledger_account
      where platform_id = :platform and kind = 'CUSTODY' and code like '%\:available'
    )
    select coalesce(f.seller_id, b.seller_id) as seller_id, coalesce(f.currency, b.currency) as currency,
      cast(coalesce(b.amount, 0) as bigint) as expected,
      cast(coalesce(f.amount, 0) + coalesce(a.amount, 0) as bigint) as found
    from free f
    full join booked b on b.seller_id = f.seller_id and b.currency = f.currency
    left join asked a on a.seller_id = coalesce(f.seller_id, b.seller_id)
      and a.currency = coalesce(f.currency, b.currency)
    """
)


async def prove_refunds(scope: ReadScope) -> list[Check]:
    """Every approved refund is owed until it is paid; none goes beyond its sale; each share knows what it gave back."""
    values = {"platform": scope.platform, "limit": NAMED_MAX}
    checks = [
        compared(
            "refunds owed", f"{row.things:,} refunds", expected=row.expected, found=row.found, currency=row.currency
        )
        for row in await scope.rows(_REFUNDS, {"platform": scope.platform})
    ]
    for row in await scope.rows(_REFUNDS_DIFFERING, values):
        subject = public_id("refund", row.id)
        checks.append(compared("refund owed", subject, expected=row.expected, found=row.found, currency=row.currency))
    for row in await scope.rows(_BEYOND, values):
        subject = public_id("payment", row.id)
        checks.append(
            compared("refunded <= paid", subject, expected=row.expected, found=row.found, currency=row.currency)
        )
    for row in await scope.rows(_SHARES, values):
        subject = f"{public_id('payment', row.payment_id)} {public_id('seller', row.seller_id)}"
        checks.append(
            compared("given back of share", subject, expected=row.expected, found=row.found, currency=row.currency)
        )
    return checks


async def prove_lines(scope: ReadScope) -> list[Check]:
    """Every payout is the sum of its lines, and what is held of no item is what is available by the books."""
    checks: list[Check] = []
    wrong = await scope.rows(_LINES, {"platform": scope.platform, "limit": NAMED_MAX})
    for row in wrong:
        subject = public_id("payout", row.id)
        checks.append(
            compared("payout = its lines", subject, expected=row.expected, found=row.found, currency=row.currency)
        )
    if not wrong:
        checks += [
            compared(
                "payouts = their lines",
                f"{row.things:,} payouts",
                expected=row.amount,
                found=row.amount,
                currency=row.currency,
            )
            for row in await scope.rows(_LINES_TOTAL, {"platform": scope.platform})
        ]
    rows = await scope.rows(_ITEMS, {"platform": scope.platform})
    for currency in sorted({row.currency for row in rows}):
        mine = [row for row in rows if row.currency == currency]
        expected, found = sum(row.expected for row in mine), sum(row.found for row in mine)
        checks.append(
            compared("items to pay out", f"{len(mine):,} sellers", expected=expected, found=found, currency=currency)
        )
    for row in [row for row in rows if row.expected != row.found][:NAMED_MAX]:
        subject = public_id("seller", row.seller_id)
        checks.append(
            compared("items to pay out", subject, expected=row.expected, found=row.found, currency=row.currency)
        )
    return checks
