"""The business against the ledger: every payment, transfer and payout has its entries, with its amounts."""

from typing import Any

from sqlalchemy import Row, text

from marketbill.db import ReadScope
from marketbill.ids import public_id
from marketbill.money import decimal_text
from marketbill.reconciliation.check import Check, broken, compared, warning

#: Single payments, transfers or payouts that are named when they differ.
NAMED_MAX = 20

# What was reversed is not booked any more. Where an operator corrected the books of a thing, they differ from what
# happened on purpose: that is told, but nothing is broken.
_STANDS = """
      not exists (select from journal_entry r where r.platform_id = :platform and r.reverses = e.id)
"""
_CORRECTED = """
    with corrected as (
      select distinct e.source_id, case e.kind when 'payout-reclaimed' then 'payout-failed' else e.kind end as kind
      from journal_entry r
      join journal_entry e on e.platform_id = :platform and e.id = r.reverses
      where r.platform_id = :platform and r.reverses is not null
    )
"""
# What each milestone must have booked, per payment; postings are added up once for all of them. From its settlement on
# a payment is in the currency that the provider settled; of the exchange itself, what came to the provider counts.
_PAYMENTS = f"""
    {_CORRECTED}, moved as (
      select e.source_id, case e.kind when 'processor-fee' then 'split' else e.kind end as kind,
             case when e.kind = 'processor-fee' and d.code = 'expenses:psp-fee' then - p.amount
                  when e.kind = 'fx-conversion' and d.code <> 'psp:pending' then 0 else p.amount end as amount
      from journal_entry e
      join posting p on p.platform_id = :platform and p.entry_number = e.number and not p.held
      join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id
      where e.platform_id = :platform and e.source_type = 'payment' and {_STANDS}
    ), booked as (
      select source_id, kind, sum(amount) as amount from moved group by source_id, kind
    ), passed as (
      select s.payment_id, cast(sum(s.passed_on) as bigint) as amount from payment_share s
      where s.platform_id = :platform and s.passed_on > 0 group by s.payment_id
    ), freed as (
      select s.payment_id, cast(sum(s.released) as bigint) as amount from payment_share s
      where s.platform_id = :platform and s.released_at is not null group by s.payment_id
    ), due as (
      select y.id, k.currency, k.kind, k.amount as expected, coalesce(b.amount, 0) as found
      from payment y
      left join passed on passed.payment_id = y.id
      left join freed on freed.payment_id = y.id
      cross join lateral (
        select coalesce(y.settlement_currency, y.currency) as currency, coalesce(y.settlement_gross, y.gross) as gross
      ) as settled
      cross join lateral (values
        ('charge', y.currency, case when y.booked_at is null then 0 else y.gross end),
        ('promo', y.currency, case when y.booked_at is null then 0 else y.promo end),
        ('split', y.currency, case when y.booked_at is null then 0 else
          y.fee + y.fee_tax + y.deemed_tax + y.withheld + y.processor_fee + coalesce(passed.amount, 0) end),
        ('fx-conversion', settled.currency, coalesce(y.settlement_gross, 0)),
        ('psp-fee', settled.currency, case when y.settled_at is null then 0 else y.provider_fee end),
        ('funds-available', settled.currency,
         case when y.available_at is null then 0 else greatest(settled.gross - y.provider_fee, 0) end),
        ('release', settled.currency, coalesce(freed.amount, 0))
      ) as k (kind, currency, amount)
      left join booked b on b.source_id = y.id and b.kind = k.kind
      where y.platform_id = :platform
    )
"""  # noqa: S608
_TRANSFERS = f"""
    {_CORRECTED}, booked as (
      select e.source_id, e.kind, sum(p.amount) as amount
      from journal_entry e
      join posting p on p.platform_id = :platform and p.entry_number = e.number and not p.held
      join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id and d.kind <> 'CUSTODY'
      where e.platform_id = :platform and e.source_type = 'transfer' and {_STANDS}
      group by e.source_id, e.kind
    ), due as (
      select t.id, t.currency, 'transfer' as kind, case when t.status = 'SENT' then t.amount else 0 end as expected,
             coalesce(b.amount, 0) as found
      from transfer t left join booked b on b.source_id = t.id and b.kind = 'transfer'
      where t.platform_id = :platform
    )
"""  # noqa: S608
# A payout that came back and was claimed again has not come back.
_PAYOUTS = f"""
    {_CORRECTED}, moved as (
      select e.source_id, case e.kind when 'payout-reclaimed' then 'payout-failed'
               else regexp_replace(e.kind, '^bank-', '') end as kind,
             case e.kind when 'payout-reclaimed' then - p.amount else p.amount end as amount
      from journal_entry e
      join posting p on p.platform_id = :platform and p.entry_number = e.number and not p.held
      where e.platform_id = :platform and e.source_type = 'payout' and {_STANDS}
    ), booked as (
      select source_id, kind, sum(amount) as amount from moved group by source_id, kind
    ), due as (
      select y.id, y.currency, k.kind, k.amount as expected, coalesce(b.amount, 0) as found
      from payout y
      cross join lateral (values
        ('payout-created', y.amount),
        ('payout-paid', case when y.paid_at is null then 0 else y.amount end),
        ('payout-failed', case when y.status in ('FAILED', 'CANCELED', 'REFUSED') then y.amount else 0 end)
      ) as k (kind, amount)
      left join booked b on b.source_id = y.id and b.kind = k.kind
      where y.platform_id = :platform
    )
"""  # noqa: S608
_TOTALS = """
    select due.kind, due.currency, count(*) filter (where expected > 0) as things, sum(expected) as expected,
           sum(case when corrected.kind is null then found else expected end) as found,
           count(*) filter (where expected <> found) as differing
    from due left join corrected on corrected.source_id = due.id and corrected.kind = due.kind
    group by due.kind, due.currency having sum(expected) > 0 or sum(found) > 0
    order by due.currency, due.kind
"""
_DIFFERING = """
    select due.id, due.kind, due.currency, expected, found, corrected.kind is not null as is_corrected
    from due left join corrected on corrected.source_id = due.id and corrected.kind = due.kind
    where expected <> found order by is_corrected, due.id limit :limit
"""
_SPLITS = text(
    """
    select y.id, y.currency, y.gross + y.promo as expected,
           coalesce((select sum(l.seller_net + l.fee + l.fee_tax + l.buyer_fee + l.buyer_fee_tax + l.deemed_tax
                                + l.withheld + l.processor_fee + l.passed_on)
                     from payment_line l where l.platform_id = :platform and l.payment_id = y.id), 0) as lines,
           coalesce((select sum(s.seller_net + s.fee + s.fee_tax + s.deemed_tax + s.withheld + s.processor_fee
                                + s.passed_on - s.received)
                     from payment_share s where s.platform_id = :platform and s.payment_id = y.id), 0)
           + y.buyer_fee + y.buyer_fee_tax as shares
    from payment y where y.platform_id = :platform
    """
)
_SPLITS_DIFFERING = text(
    f"select * from ({_SPLITS.text}) as split where expected <> lines or expected <> shares limit :limit"  # noqa: S608
)
_STRANGERS = text(
    """
    select e.id, e.kind, e.source_type from journal_entry e
    where e.platform_id = :platform and not exists (
      select from payment y where y.platform_id = :platform and e.source_type = 'payment' and y.id = e.source_id
      union all
      select from transfer t where t.platform_id = :platform and e.source_type = 'transfer' and t.id = e.source_id
      union all
      select from payout o where o.platform_id = :platform and e.source_type = 'payout' and o.id = e.source_id
      union all
      select from refund r where r.platform_id = :platform and e.source_type = 'refund' and r.id = e.source_id
      union all
      select from dispute d where d.platform_id = :platform and e.source_type = 'dispute' and d.id = e.source_id)
      and e.source_type in ('payment', 'transfer', 'payout', 'refund', 'dispute')
    limit :limit
    """
)


async def prove_payments(scope: ReadScope) -> list[Check]:
    """Charge, split, provider fee, funds and release of every payment, and its lines and shares make its price."""
    checks = await _prove(scope, "payment", _PAYMENTS)
    for row in await scope.rows(_SPLITS_DIFFERING, {"platform": scope.platform, "limit": NAMED_MAX}):
        subject = public_id("payment", row.id)
        for part in ("lines", "shares"):
            found = int(getattr(row, part))
            if found != row.expected:
                checks.append(
                    compared(f"{part} of payment", subject, expected=row.expected, found=found, currency=row.currency)
                )
    return checks


async def prove_transfers(scope: ReadScope) -> list[Check]:
    """Every transfer that was sent is booked, and no other."""
    return await _prove(scope, "transfer", _TRANSFERS)


async def prove_payouts(scope: ReadScope) -> list[Check]:
    """Every payout's way is booked, and every entry belongs to a payment, transfer or payout that there is."""
    checks = await _prove(scope, "payout", _PAYOUTS)
    for row in await scope.rows(_STRANGERS, {"platform": scope.platform, "limit": NAMED_MAX}):
        entry = public_id("journal entry", row.id)
        checks.append(broken("source of entry", f"{entry} ({row.kind})", expected=f"a {row.source_type}", found="none"))
    return checks


async def _prove(scope: ReadScope, what: str, due: str) -> list[Check]:
    totals = await scope.rows(text(due + _TOTALS), {"platform": scope.platform})
    checks = [
        compared(
            f"{what}s booked",
            f"{row.things:,} x {row.kind}",
            expected=int(row.expected),
            found=int(row.found),
            currency=row.currency,
        )
        for row in totals
    ]
    if any(row.differing for row in totals) or not totals:
        values = {"platform": scope.platform, "limit": NAMED_MAX}
        checks += [_named(what, row) for row in await scope.rows(text(due + _DIFFERING), values)]
    return checks


def _named(what: str, row: Row[Any]) -> Check:
    subject = f"{public_id(what, row.id)} {row.kind}"
    if row.is_corrected:
        amounts = [f"{decimal_text(int(amount), row.currency)}" for amount in (row.found, row.expected)]
        return warning(f"{what} corrected", f"{subject} {row.currency}", f"{amounts[0]} booked, {amounts[1]} happened")
    return compared(f"{what} booked", subject, expected=int(row.expected), found=int(row.found), currency=row.currency)
