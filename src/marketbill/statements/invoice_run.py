"""The monthly run: when a month is over, every seller with fees in it gets his invoice, and his credit note.

A month is opened once, with a row for each seller it concerns, which is done in the transaction that issues the
documents. So a run that dies goes on where it stopped, and many workers share it. A seller's months are worked off in
their order, because an invoice charges what earlier ones have not. One whose documents cannot be written waits for the
next run, and keeps nobody else waiting.
"""

from uuid import UUID

import structlog
from sqlalchemy import ARRAY, Uuid, bindparam, text

from marketbill.db import WriteScope
from marketbill.errors import Unavailable, told
from marketbill.ids import PlatformId, SellerId, public_id
from marketbill.services import Services
from marketbill.statements import fee_invoice
from marketbill.statements.fee_invoice import Month

#: Months that one run opens; a platform's clock may have been moved by years.
MONTHS_MAX = 240
#: Documents of one run; the rest is for the next.
SELLERS_MAX = 100_000

#: SQL: whether a platform `p` has invoices to issue; `last_month` is the month before `now`.
DUE = """
    (exists (select from invoice_due d where d.platform_id = p.platform_id and d.done_at is null)
     or p.created_at < :this_month and not exists (
       select from invoice_month m where m.platform_id = p.platform_id and m.month = :last_month))
"""

_NEXT = text(
    """
    select p.created_at, (select max(month) from invoice_month m where m.platform_id = :platform) as last
    from platform p where p.platform_id = :platform
    """
)
_OPEN = text(
    "insert into invoice_month (platform_id, month, opened_at) values (:platform, :month, :now) on conflict do nothing"
)
# Fees by their tax lines; services and costs by the few accounts that they are booked on.
_CONCERNED = text(
    """
    insert into invoice_due (platform_id, month, seller_id, currency)
    select :platform, :month, seller_id, currency from (
      select l.seller_id, l.currency from tax_line l
      where l.platform_id = :platform and l.effective_at >= :start and l.effective_at < :end and l.kind = 'FEE'
      union
      select d.owner_id, p.currency
      from ledger_account c
      cross join lateral (
        select p.debit_account_id, p.entry_number, p.currency from posting p
        where p.platform_id = :platform and p.credit_account_id = c.id
          and p.effective_at >= :start and p.effective_at < :end and not p.held offset 0
      ) as p
      join journal_entry e on e.platform_id = :platform and e.number = p.entry_number
        and e.kind in ('recharge', 'refund', 'dispute-lost')
      join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id and d.owner_type = 'seller'
      where c.platform_id = :platform
        and (starts_with(c.code, 'revenue:platform-fee:') or c.code in ('revenue:dispute-recharge', 'expenses:psp-fee'))
    ) as concerned
    on conflict do nothing
    """
)
_TAKE = text(
    """
    select month, seller_id, currency from invoice_due d
    where platform_id = :platform and done_at is null and not (seller_id = any(:aside)) and (
      select min(e.month) from invoice_due e
      where e.platform_id = :platform and e.done_at is null and e.month < d.month and e.seller_id = d.seller_id
        and e.currency = d.currency
    ) is null
    order by month, seller_id, currency
    limit 1 for update skip locked
    """
).bindparams(bindparam("aside", type_=ARRAY(Uuid)))
_DONE = text(
    """
    update invoice_due set done_at = :now
    where platform_id = :platform and month = :month and seller_id = :seller and currency = :currency
    """
)
log = structlog.get_logger()


async def issue_invoices(services: Services, platform: PlatformId) -> None:
    """Opens the months that are over, and issues what they owe; safe to run in many workers at once."""
    for _ in range(MONTHS_MAX):
        async with services.db.write(platform) as scope:
            if not await _open_next(scope):
                break
    aside: list[UUID] = []
    for _ in range(SELLERS_MAX):
        if not await _issue_next(services, platform, aside):
            break


async def _open_next(scope: WriteScope) -> bool:
    """Opens the first month that is over and was not opened; False when there is none."""
    told = await scope.first(_NEXT, {"platform": scope.platform})
    if told is None:
        return False
    month = Month(told.last).next if told.last else Month.of(told.created_at)
    if month.end > scope.now:
        return False
    values = {"platform": scope.platform, "month": month.first}
    if await scope.run(_OPEN, {**values, "now": scope.now}):
        await scope.run(_CONCERNED, {**values, "start": month.start, "end": month.end})
    return True


async def _issue_next(services: Services, platform: PlatformId, aside: list[UUID]) -> bool:
    """The documents of one seller; False when none are due. A seller who has a defect is put `aside`."""
    seller: UUID | None = None
    try:
        async with services.db.write(platform) as scope:
            row = await scope.first(_TAKE, {"platform": platform, "aside": aside})
            if row is None:
                return False
            seller = row.seller_id
            await fee_invoice.issue(scope, SellerId(row.seller_id), row.currency, Month(row.month))
            done = {"month": row.month, "seller": row.seller_id, "currency": row.currency}
            await scope.run(_DONE, {"platform": platform, "now": scope.now, **done})
    except Unavailable:
        raise
    except Exception as defect:
        if seller is None:
            raise
        log.error("fee invoice not issued", seller=public_id("seller", seller), error=told(defect))
        aside.append(seller)
    return True
