"""What was taken back against the ledger: debts are what sellers owe, and every reversal that is done is booked."""

from sqlalchemy import text

from marketbill.db import ReadScope
from marketbill.ids import public_id
from marketbill.reconciliation.check import Check, compared

#: Single sellers, transfers or reversals that are named when they differ.
NAMED_MAX = 20
_DEBTS = text(
    """
    with owed as (
      select seller_id, currency, cast(sum(remaining) as bigint) as amount from debt
      where platform_id = :platform group by seller_id, currency
    ), booked as (
      select owner_id as seller_id, currency, debits - credits as amount from ledger_account
      where platform_id = :platform and code >= 'seller-receivable:' and code < 'seller-receivable;'
    )
    select coalesce(o.seller_id, b.seller_id) as seller_id, coalesce(o.currency, b.currency) as currency,
      coalesce(o.amount, 0) as expected, coalesce(b.amount, 0) as found
    from owed o full join booked b on b.seller_id = o.seller_id and b.currency = o.currency
    """
)
_REVERSED = text(
    """
    select t.id, t.currency, t.reversed as expected, cast(coalesce(sum(r.amount), 0) as bigint) as found
    from transfer t
    left join reversal r on r.platform_id = :platform and r.transfer_id = t.id and r.status = 'DONE'
    where t.platform_id = :platform
    group by t.id, t.currency, t.reversed having t.reversed <> coalesce(sum(r.amount), 0) limit :limit
    """
)
_BOOKED = text(
    """
    with done as (
      select currency, cast(sum(amount) as bigint) as amount from reversal
      where platform_id = :platform and status = 'DONE' group by currency
    ), booked as (
      select p.currency, cast(sum(p.amount) as bigint) as amount from journal_entry e
      join posting p on p.platform_id = :platform and p.entry_number = e.number and not p.held
      join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id and d.kind <> 'CUSTODY'
      where e.platform_id = :platform and e.kind = 'transfer-reversal'
        and not exists (select from journal_entry r where r.platform_id = :platform and r.reverses = e.id)
      group by p.currency
    )
    select coalesce(d.currency, b.currency) as currency, coalesce(d.amount, 0) as expected,
      coalesce(b.amount, 0) as found
    from done d full join booked b on b.currency = d.currency
    """
)


async def prove_recovery(scope: ReadScope) -> list[Check]:
    """What remains of each seller's debts is what he owes by the books; reversals are booked, and their transfers know
    of them."""
    checks: list[Check] = []
    rows = await scope.rows(_DEBTS, {"platform": scope.platform})
    for currency in sorted({row.currency for row in rows}):
        mine = [row for row in rows if row.currency == currency]
        expected, found = sum(row.expected for row in mine), sum(row.found for row in mine)
        checks.append(compared("debts", f"{len(mine):,} sellers", expected=expected, found=found, currency=currency))
    for row in [row for row in rows if row.expected != row.found][:NAMED_MAX]:
        subject = public_id("seller", row.seller_id)
        checks.append(compared("debt", subject, expected=row.expected, found=row.found, currency=row.currency))
    for row in await scope.rows(_BOOKED, {"platform": scope.platform}):
        checks.append(
            compared("reversals booked", "all", expected=row.expected, found=row.found, currency=row.currency)
        )
    for row in await scope.rows(_REVERSED, {"platform": scope.platform, "limit": NAMED_MAX}):
        subject = public_id("transfer", row.id)
        checks.append(compared("reversed", subject, expected=row.expected, found=row.found, currency=row.currency))
    return checks
