"""Taxes by jurisdiction and period, and the platform's return of the One Stop Shop."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import strawberry

from marketbill.insight import oss_return, tax_report
from marketbill.insight.oss_return import SalesListRow
from marketbill.payments.model import TaxKind
from marketbill.rules.tax import oss
from marketbill.rules.tax.line_tax import Liable
from marketbill.rules.tax.oss import EURO, Quarter, SupplyType
from marketbill_graphql import declare, exchange_rates
from marketbill_graphql.access import PLATFORM_READERS
from marketbill_graphql.context import Info
from marketbill_graphql.exchange_rates import ExchangeRate
from marketbill_graphql.money import Money, amount
from marketbill_graphql.sellers import Seller, load_seller
from marketbill_graphql.statements import PeriodInput

strawberry.enum(
    TaxKind,
    name="TaxKind",
    description="A seller's SALE, the platform's FEE to a seller, its BUYER_FEE, or what was WITHHELD from a seller.",
)
strawberry.enum(Liable, name="TaxLiable", description="Who accounts for a tax. BUYER: by reverse charge.")
strawberry.enum(SupplyType, name="TaxSupplyType", description="What a return tells apart.")


@declare.output(PLATFORM_READERS)
class TaxReportRow:
    """Everything of one treatment in the period; what was taken back counts negative."""

    jurisdiction: str = strawberry.field(description="Empty for lines whose rate was stated and whose place was not.")
    kind: TaxKind
    liable: Liable
    category: str = strawberry.field(description="Of the rate, or the scheme of what is withheld.")
    rate: Decimal = strawberry.field(description="Percent.")
    base: Money = strawberry.field(description="Without tax.")
    tax: Money
    lines: int = strawberry.field(description="How many tax lines.")


@declare.output(PLATFORM_READERS)
class TaxReportAccount:
    """A tax account in the period: `moved` is `reported` and `other` together, or the books are broken."""

    code: str
    reported: Money = strawberry.field(description="What the tax lines say was booked on it.")
    moved: Money = strawberry.field(description="Its own movement.")
    other: Money = strawberry.field(description="The part that is no sale's, such as corrections.")
    difference: Money = strawberry.field(description="What neither explains.")


@declare.output(PLATFORM_READERS)
class TaxReport:
    """The taxes of a period, tied to the tax accounts."""

    start: datetime = strawberry.field(name="from")
    end: datetime = strawberry.field(name="until")
    rows: list[TaxReportRow]
    accounts: list[TaxReportAccount] = strawberry.field(description="Every tax account that moved, of all places.")
    agrees: bool = strawberry.field(description="No account has a difference.")


@declare.output(PLATFORM_READERS)
class OssPart:
    """One currency's part of a line, and the rate that made euro of it; null for euro."""

    base: Money
    tax: Money
    rate: ExchangeRate | None


@declare.output(PLATFORM_READERS)
class OssLine:
    """One line of the return, in euro."""

    consumed_in: str = strawberry.field(description="The member state of consumption.")
    supply: SupplyType
    sent_from: str = strawberry.field(description="Where goods were dispatched; empty for services.")
    rate: Decimal = strawberry.field(description="Percent.")
    base: Money
    tax: Money
    parts: list[OssPart]


@declare.output(PLATFORM_READERS)
class OssCorrection:
    """What changes of an earlier quarter in one member state, in euro."""

    quarter: str
    consumed_in: str
    base: Money
    tax: Money


@declare.output(PLATFORM_READERS)
class OssBalance:
    """One member state's tax with its corrections."""

    consumed_in: str
    tax: Money


@declare.output(PLATFORM_READERS)
class SalesListEntry:
    """A row of the EC sales list: fees that a seller accounts for himself."""

    seller_id: strawberry.Private[UUID]
    country: str
    vat_number: str
    net: Money

    @declare.computed
    async def seller(self, info: Info) -> Seller | None:
        """Whose VAT number it is."""
        return await load_seller(info.context, self.seller_id)


@declare.output(PLATFORM_READERS)
class OssReturn:
    """The platform's own return of the One Stop Shop (Union scheme) for a quarter, in euro."""

    quarter: str
    first_day: date
    last_day: date
    lines: list[OssLine]
    corrections: list[OssCorrection] = strawberry.field(description="Of earlier quarters, by their quarter.")
    balances: list[OssBalance] = strawberry.field(description="One below zero is a claim on that member state.")
    tax: Money = strawberry.field(description="Of the quarter's own supplies.")
    payable: Money = strawberry.field(description="The balances above zero.")
    sales_list: list[SalesListEntry] = strawberry.field(description="The EC sales list of the same quarter.")


@strawberry.type
class TaxReportQueries:
    @declare.query(PLATFORM_READERS)
    async def tax_report(self, info: Info, period: PeriodInput, jurisdiction: str | None = None) -> TaxReport:
        """Taxes by jurisdiction, kind, who owes them and rate, of one jurisdiction or all."""
        told = await info.context.read(
            lambda scope: tax_report.tax_report(scope, start=period.start, end=period.end, jurisdiction=jurisdiction)
        )
        return TaxReport(
            start=told.start,
            end=told.end,
            rows=[_row(row) for row in told.rows],
            accounts=[_account(account) for account in told.accounts],
            agrees=told.agrees,
        )

    @declare.query(PLATFORM_READERS)
    async def oss_return(self, info: Info, year: int, quarter: int) -> OssReturn:
        """What the platform declares in the One Stop Shop for a quarter (1 to 4).

        Other currencies are converted at the European Central Bank's rate of the quarter's last day, or of the next day
        of publication.
        """
        asked = Quarter(year, quarter)
        told = await info.context.read(lambda scope: oss_return.quarterly_return(scope, asked))
        listed = await info.context.read(lambda scope: oss_return.sales_list(scope, asked))
        return _return(told, listed)


def _row(row: tax_report.TaxRow) -> TaxReportRow:
    return TaxReportRow(
        jurisdiction=row.jurisdiction,
        kind=row.kind,
        liable=row.liable,
        category=row.category,
        rate=row.rate,
        base=amount(row.base, row.currency),
        tax=amount(row.tax, row.currency),
        lines=row.lines,
    )


def _account(account: tax_report.TaxAccount) -> TaxReportAccount:
    return TaxReportAccount(
        code=account.code,
        reported=amount(account.reported, account.currency),
        moved=amount(account.moved, account.currency),
        other=amount(account.other, account.currency),
        difference=amount(account.difference, account.currency),
    )


def _return(told: oss.OssReturn, listed: list[SalesListRow]) -> OssReturn:
    return OssReturn(
        quarter=str(told.quarter),
        first_day=told.quarter.first_day,
        last_day=told.quarter.last_day,
        lines=[
            OssLine(
                consumed_in=line.consumed_in,
                supply=line.supply,
                sent_from=line.sent_from,
                rate=line.rate,
                base=amount(line.base, EURO),
                tax=amount(line.tax, EURO),
                parts=[_part(part) for part in line.parts],
            )
            for line in told.lines
        ],
        corrections=[
            OssCorrection(
                quarter=str(one.quarter),
                consumed_in=one.consumed_in,
                base=amount(one.base, EURO),
                tax=amount(one.tax, EURO),
            )
            for one in told.corrections
        ],
        balances=[OssBalance(consumed_in=place, tax=amount(tax, EURO)) for place, tax in told.balances.items()],
        tax=amount(told.tax, EURO),
        payable=amount(told.payable, EURO),
        sales_list=[
            SalesListEntry(
                seller_id=row.seller,
                country=row.country,
                vat_number=row.vat_number,
                net=amount(row.net, row.currency),
            )
            for row in listed
        ],
    )


def _part(part: oss.OssPart) -> OssPart:
    return OssPart(
        base=amount(part.base, part.currency),
        tax=amount(part.tax, part.currency),
        rate=None if part.rate is None else exchange_rates.told(part.rate),
    )
