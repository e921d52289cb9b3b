"""The tax report against the tax accounts: what sales say is owed is what the accounts took, to the cent."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from marketbill.db import ReadScope
from marketbill.ids import public_id
from marketbill.insight.tax_report import tax_accounts
from marketbill.payments.tax_lines import TRACE_VERSION_MIN
from marketbill.reconciliation.check import Check, broken, compared

#: Payments that are named when they differ.
NAMED_MAX = 20

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
# Each payment against its own lines: the sum over all may hide two that differ.
_PAYMENTS = text(
    """
    with told as (
      select payment_id, sum(tax) filter (where kind = 'SALE') as tax,
             sum(tax) filter (where kind = 'FEE') as fee_tax, sum(tax) filter (where kind = 'BUYER_FEE') as buyer_tax,
             sum(tax) filter (where kind = 'WITHHELD') as withheld
      from tax_line where platform_id = :platform and cause_id is null group by payment_id
    )
    select y.id from payment y
    left join told t on t.payment_id = y.id
    where y.platform_id = :platform and y.booked_at is not null
      and cast(y.trace ->> 'trace_version' as integer) >= :version
      and (y.tax, y.fee_tax, y.buyer_fee_tax, y.withheld) is distinct from
          (cast(coalesce(t.tax, 0) as bigint), cast(coalesce(t.fee_tax, 0) as bigint),
           cast(coalesce(t.buyer_tax, 0) as bigint), cast(coalesce(t.withheld, 0) as bigint))
    order by y.id limit :limit
    """
)


async def prove_taxes(scope: ReadScope) -> list[Check]:
    """Every tax account holds what the tax lines say, and every payment's lines make its taxes."""
    checks: list[Check] = []
    for account in await tax_accounts(scope, start=_BEGINNING, end=scope.now + timedelta(days=1)):
        checks.append(
            compared(
                "tax report = tax accounts",
                account.code,
                expected=account.moved - account.other,
                found=account.reported,
                currency=account.currency,
            )
        )
    values = {"platform": scope.platform, "version": TRACE_VERSION_MIN, "limit": NAMED_MAX}
    for row in await scope.rows(_PAYMENTS, values):
        subject = public_id("payment", row.id)
        checks.append(broken("tax lines of payment", subject, expected="its taxes", found="other amounts, or none"))
    return checks
