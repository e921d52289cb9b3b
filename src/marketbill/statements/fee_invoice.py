"""The platform's invoices for its fees, month by month, and the credit notes for fees that it gave back.

What is invoiced are the decisions on the tax of fees (`tax_line`), so invoices, the tax report and the tax accounts
hold the same amounts. A month's invoice charges all fees up to its end that no invoice has charged yet: what is
recorded late for a month that was invoiced comes with the next one. Fees given back are credited the same way, by a
document of their own that names the invoices it corrects. Nothing is to be paid on either: the amounts were kept from
the sales.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, insert, select, text

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import NotFound
from marketbill.ids import SellerId, new_id, parse_id
from marketbill.ledger import chart
from marketbill.ledger.accounts import accounts_by_refs
from marketbill.ledger.balances import watermark
from marketbill.paging import Page, PageRequest, newest_first
from marketbill.payments.model import TaxKind
from marketbill.statements import numbers
from marketbill.statements.document import parties
from marketbill.statements.model import InvoiceKind, fee_invoice, fee_invoice_line

#: What the numbers begin with.
SERIES = {InvoiceKind.INVOICE: "INV", InvoiceKind.CREDIT_NOTE: "CRN"}
#: What services and costs that a seller was charged for are called in a line; fees on sales are FEE.
RECHARGE = "RECHARGE"
#: A service that is recorded later than this after the end of its month is not looked for any more.
LATE_MAX = timedelta(days=92)

# By the sign of the amounts: a return that was taken back again charges its fee anew.
_FEES = text(
    """
    with told as (
      select case when net < 0 or tax < 0 then 'CREDIT_NOTE' else 'INVOICE' end as kind,
             jurisdiction, liable, rate, rule, sum(abs(net)) as net, sum(abs(tax)) as tax
      from tax_line
      where platform_id = :platform and seller_id = :seller and currency = :currency and kind = 'FEE'
        and effective_at < :end
      group by 1, 2, 3, 4, 5
    ), invoiced as (
      select i.kind, l.jurisdiction, l.liable, l.rate, l.rule, sum(l.net) as net, sum(l.tax) as tax
      from fee_invoice i
      join fee_invoice_line l on l.platform_id = :platform and l.invoice_id = i.id
      where i.platform_id = :platform and i.seller_id = :seller and i.currency = :currency and l.service = 'FEE'
      group by 1, 2, 3, 4, 5
    )
    select kind, jurisdiction, liable, rate, rule, told.net - coalesce(invoiced.net, 0) as net,
           told.tax - coalesce(invoiced.tax, 0) as tax
    from told left join invoiced using (kind, jurisdiction, liable, rate, rule)
    where told.net <> coalesce(invoiced.net, 0) or told.tax <> coalesce(invoiced.tax, 0)
    order by jurisdiction, rate desc, rule, liable
    """
)
# What a seller was charged for beside his fees: services with their tax, and costs of the provider's.
_RECHARGES = text(
    """
    select max(split_part(c.code, 'tax:output-vat:', 2)) as jurisdiction, e.reason ->> 'tax_rate' as rate,
           coalesce(sum(p.amount) filter (where not starts_with(c.code, 'tax:')), 0) as net,
           coalesce(sum(p.amount) filter (where starts_with(c.code, 'tax:')), 0) as tax
    from posting p
    join journal_entry e on e.platform_id = :platform and e.number = p.entry_number
    join ledger_account c on c.platform_id = :platform and c.id = p.credit_account_id
    where p.platform_id = :platform and p.debit_account_id = any(:accounts) and not p.held
      and p.effective_at >= :late_from and p.effective_at < :end and p.number <= :known
      and (p.number > :known_before or p.effective_at >= :end_before)
      and (e.kind = 'recharge' or e.kind in ('refund', 'dispute-lost') and c.code = 'expenses:psp-fee')
    group by e.id, 2
    """
).bindparams(bindparam("accounts", type_=ARRAY(Uuid)))
_BEFORE = text(
    """
    select coalesce(max(known), 0) as known, max(period_end) as period_end from fee_invoice
    where platform_id = :platform and seller_id = :seller and currency = :currency
    """
)
# The invoices that charged the fees of the sales from which fees were given back in the month.
_CORRECTED = text(
    """
    select distinct i.number
    from tax_line back
    join tax_line sold on sold.platform_id = :platform and sold.payment_id = back.payment_id and sold.kind = 'FEE'
      and sold.seller_id = :seller and sold.cause_id is null
    join fee_invoice i on i.platform_id = :platform and i.seller_id = :seller and i.currency = :currency
      and i.kind = 'INVOICE' and sold.effective_at >= i.period_start and sold.effective_at < i.period_end
    where back.platform_id = :platform and back.seller_id = :seller and back.currency = :currency
      and back.kind = 'FEE' and back.cause_id is not null
      and back.effective_at >= :start and back.effective_at < :end
    order by 1
    limit 1000
    """
)


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in UTC."""

    first: date

    @classmethod
    def of(cls, at: datetime) -> "Month":
        day = at.astimezone(UTC).date()
        return cls(day.replace(day=1))

    @property
    def start(self) -> datetime:
        return datetime(self.first.year, self.first.month, 1, tzinfo=UTC)

    @property
    def next(self) -> "Month":
        return Month((self.first + timedelta(days=31)).replace(day=1))

    @property
    def previous(self) -> "Month":
        return Month((self.first - timedelta(days=1)).replace(day=1))

    @property
    def end(self) -> datetime:
        return self.next.start


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One service under one decision on its tax, in minor units; `rate` is a percentage."""

    service: str
    jurisdiction: str
    liable: str
    rate: Decimal | None
    rule: str
    net: int
    tax: int


async def issue(scope: WriteScope, seller: SellerId, currency: str, month: Month) -> list[UUID]:
    """Writes the seller's invoice and his credit note of a month, as far as there is anything on them; gives their ids.

    To be called once for a seller, currency and month, by who has locked its row of `invoice_due`.
    """
    known = await watermark(scope)
    found = await _uninvoiced(scope, seller, currency, month, known)
    made: list[UUID] = []
    for kind in InvoiceKind:
        lines = found[kind]
        if not any(line.net or line.tax for line in lines):
            continue
        corrects: list[str] = []
        if kind is InvoiceKind.CREDIT_NOTE:
            corrects = [row.number for row in await scope.rows(_CORRECTED, _values(scope, seller, currency, month))]
        made.append(await _write(scope, kind, seller, currency, month, lines, corrects=corrects, known=known))
    return made


async def lines_of(scope: Scope, invoices: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The lines of each of these, in one statement."""
    statement = (
        select(fee_invoice_line)
        .where(
            fee_invoice_line.c.platform_id == scope.platform,
            fee_invoice_line.c.invoice_id == bindparam("ids", type_=ARRAY(Uuid)).any_(),
        )
        .order_by(fee_invoice_line.c.ordinal)
    )
    found: dict[UUID, list[Row[Any]]] = {id: [] for id in invoices}
    for row in await scope.rows(statement, {"ids": list(found)}):
        found[row.invoice_id].append(row)
    return found


async def page(
    scope: Scope, actor: Actor, request: PageRequest, *, seller: UUID | None = None, kind: InvoiceKind | None = None
) -> Page:
    """Invoices and credit notes, newest first; a seller sees his own."""
    found = select(fee_invoice).where(fee_invoice.c.platform_id == scope.platform)
    for only in (seller, actor.seller):
        if only is not None:
            found = found.where(fee_invoice.c.seller_id == only)
    if kind is not None:
        found = found.where(fee_invoice.c.kind == kind.value)
    return await newest_first(scope, found, fee_invoice.c.id, request)


async def by_id(scope: Scope, actor: Actor, id: str) -> Row[Any]:
    """One invoice or credit note. Raises NotFound."""
    found = select(fee_invoice).where(
        fee_invoice.c.platform_id == scope.platform, fee_invoice.c.id == parse_id("fee invoice", id, path=("id",))
    )
    row = await scope.first(found)
    if row is None or actor.seller not in (None, row.seller_id):
        raise NotFound("fee invoice", id, path=("id",))
    return row


async def _uninvoiced(
    scope: WriteScope, seller: SellerId, currency: str, month: Month, known: int
) -> dict[InvoiceKind, list[InvoiceLine]]:
    found: dict[InvoiceKind, list[InvoiceLine]] = {kind: [] for kind in InvoiceKind}
    for row in await scope.rows(_FEES, _values(scope, seller, currency, month)):
        found[InvoiceKind(row.kind)].append(
            InvoiceLine(
                TaxKind.FEE, row.jurisdiction, row.liable, row.rate, row.rule, net=int(row.net), tax=int(row.tax)
            )
        )
    found[InvoiceKind.INVOICE] += await _recharges(scope, seller, currency, month, known)
    return found


async def _recharges(scope: WriteScope, seller: SellerId, currency: str, month: Month, known: int) -> list[InvoiceLine]:
    refs = [chart.seller_pending(seller, currency), chart.seller_payable(seller, currency)]
    accounts = [account.id for account in (await accounts_by_refs(scope, refs)).values()]
    if not accounts:
        return []
    values = _values(scope, seller, currency, month)
    before = await scope.one(_BEFORE, values)
    rows = await scope.rows(
        _RECHARGES,
        {
            **values,
            "accounts": accounts,
            "late_from": month.start - LATE_MAX,
            "known": known,
            "known_before": before.known,
            "end_before": before.period_end or month.start - LATE_MAX,
        },
    )
    # An entry's tax is of the same service as its net amount; services of one rate and place are one line.
    by: dict[tuple[str, Decimal | None], list[int]] = {}
    for row in rows:
        amounts = by.setdefault((row.jurisdiction, Decimal(row.rate) if row.rate else None), [0, 0])
        amounts[0] += int(row.net)
        amounts[1] += int(row.tax)
    return [
        InvoiceLine(RECHARGE, jurisdiction, "PLATFORM", rate, "", net=net, tax=tax)
        for (jurisdiction, rate), (net, tax) in sorted(by.items(), key=lambda one: (one[0][0], one[0][1] or 0))
    ]


async def _write(
    scope: WriteScope,
    kind: InvoiceKind,
    seller: SellerId,
    currency: str,
    month: Month,
    lines: Sequence[InvoiceLine],
    *,
    corrects: Sequence[str],
    known: int,
) -> UUID:
    own, customer = await parties(scope, seller)
    entity, issuer = await numbers.issuer_for(scope, own, customer.country)
    number = await numbers.take(scope, entity, SERIES[kind])
    id = new_id()
    await scope.run(
        insert(fee_invoice).values(
            platform_id=scope.platform,
            id=id,
            kind=kind.value,
            seller_id=seller,
            currency=currency,
            period_start=month.start,
            period_end=month.end,
            legal_entity=number.legal_entity,
            series=number.series,
            number=number.text,
            net=sum(line.net for line in lines),
            tax=sum(line.tax for line in lines),
            corrects=list(corrects),
            known=known,
            issuer=asdict(issuer),
            seller=asdict(customer),
            issued_at=scope.now,
        )
    )
    await scope.run(
        insert(fee_invoice_line),
        [
            {"platform_id": scope.platform, "invoice_id": id, "ordinal": ordinal, **asdict(line)}
            for ordinal, line in enumerate(lines)
        ],
    )
    return id


def _values(scope: Scope, seller: SellerId, currency: str, month: Month) -> dict[str, Any]:
    return {
        "platform": scope.platform,
        "seller": seller,
        "currency": currency,
        "start": month.start,
        "end": month.end,
    }
