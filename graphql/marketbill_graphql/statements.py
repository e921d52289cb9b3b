"""Sellers' statements and the operator's fee report, both read from the ledger's own postings."""

from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry

from marketbill.errors import InvalidInput
from marketbill.ids import SellerId, public_id
from marketbill.sellers import queries as sellers
from marketbill.statements import fee_report
from marketbill.statements import statement as statements
from marketbill.statements.model import FileFormat
from marketbill.statements.statement import Bucket, Line, Place, Section
from marketbill.statements.words import Language, language_of
from marketbill_graphql import declare, downloads
from marketbill_graphql.access import PLATFORM_READERS, SELLER
from marketbill_graphql.connections import Connection, Position, page, window
from marketbill_graphql.context import Info
from marketbill_graphql.downloads import DownloadLink
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import or_null
from marketbill_graphql.scalars import CurrencyCode
from marketbill_graphql.sellers import Seller, SellerBalance, balance_of, load_seller, seller_of

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(
    Section,
    name="StatementSection",
    description="What kind of movement a line is. RELEASES, RESERVE and TRANSFERS only move the total about.",
)
strawberry.enum(Language, name="DocumentLanguage", description="The languages of documents.")
strawberry.enum(
    Bucket,
    name="BalanceBucket",
    description="Where a seller's money stands: with the platform, at the provider, or owed to the platform (DEBT).",
)


@declare.input
class PeriodInput:
    """From one instant, and before another, by effective time."""

    start: datetime = strawberry.field(name="from")
    end: datetime = strawberry.field(name="until")


@declare.output(PARTIES)
class StatementTotal:
    """All lines of one section in the period."""

    section: Section
    lines: int = strawberry.field(description="How many.")
    amount: Money = strawberry.field(description="Their effect on the total.")


@declare.output(PARTIES)
class StatementLine:
    """One movement of a seller's money."""

    effective_at: datetime
    section: Section
    kind: str = strawberry.field(description="The kind of the journal entry behind it.")
    description: str
    source_id: strawberry.ID = strawberry.field(description="The payment, transfer or payout behind it.")
    entry_id: strawberry.ID = strawberry.field(description="The journal entry behind it.")
    amount: Money = strawberry.field(description="Its effect on the total.")
    moved: Money = strawberry.field(description="What went from `origin` to `target`.")
    origin: Bucket | None = strawberry.field(description="Null for outside.")
    target: Bucket | None = strawberry.field(description="Null for outside.")
    balance_after: Money = strawberry.field(description="The total after it.")


@declare.output(PARTIES)
class Statement:
    """A seller's period in one currency: what stood at its start, every movement, what stands at its end."""

    statement: strawberry.Private[statements.Statement]
    seller: Seller
    currency: CurrencyCode
    start: datetime = strawberry.field(name="from")
    end: datetime = strawberry.field(name="until")
    opening: SellerBalance
    closing: SellerBalance
    totals: list[StatementTotal] = strawberry.field(description="By section, of the whole period.")
    agrees: bool = strawberry.field(description="Opening and lines make the closing; false means the books are broken.")

    @declare.computed
    async def lines(self, info: Info, first: int | None = None, after: str | None = None) -> Connection[StatementLine]:
        """The movements, oldest first. All pages show one state of the books."""
        asked = window(list_name="statement", first=first, after=after, last=None, before=None)
        told, place = self.statement, _place(asked.after)
        found = await info.context.read(
            lambda scope: statements.lines_after(
                scope,
                place or Place(told.start, 0, Section.SALES, told.as_of),
                seller=told.seller,
                currency=told.currency,
                start=told.start,
                end=told.end,
                limit=asked.limit,
            )
        )
        lines, more = found
        return page(
            lines,
            asked,
            list_name="statement",
            node=lambda line: _line(line, told.currency),
            position=_position,
            more=more,
        )

    @declare.computed
    def csv(self, info: Info) -> DownloadLink:
        """A link to the same statement as a CSV file."""
        return self._link(info, FileFormat.CSV, None)

    @declare.computed
    def xlsx(self, info: Info, language: Language | None = None) -> DownloadLink:
        """A link to the same statement as a workbook, in the seller's language or another."""
        return self._link(info, FileFormat.XLSX, language)

    @declare.computed
    def pdf(self, info: Info, language: Language | None = None) -> DownloadLink:
        """A link to the same statement as a PDF, in the seller's language or another; at most 5,000 lines."""
        return self._link(info, FileFormat.PDF, language)

    def _link(self, info: Info, format: FileFormat, language: Language | None) -> DownloadLink:
        context, own = info.context, language_of(self.seller.country)
        return downloads.statement_link(context.services, context.platform, self.statement, format, language or own)


@declare.output(PLATFORM_READERS)
class FeeReportRow:
    """One seller under one version of the fee schedule; a fee that was given back counts negative."""

    seller_id: strawberry.Private[UUID | None]
    fee_schedule_id: strawberry.ID | None
    fee_schedule_version: int | None
    sales: int = strawberry.field(description="How many payments.")
    gross: Money = strawberry.field(description="What buyers paid.")
    fee: Money
    fee_tax: Money

    @declare.computed
    async def seller(self, info: Info) -> Seller | None:
        """Who was charged; null for a fee that came from no seller."""
        return await load_seller(info.context, self.seller_id) if self.seller_id else None


@declare.output(PLATFORM_READERS)
class FeeReport:
    """The platform's fees of a period in one currency, by seller and schedule version."""

    currency: CurrencyCode
    start: datetime = strawberry.field(name="from")
    end: datetime = strawberry.field(name="until")
    rows: list[FeeReportRow]
    fee: Money = strawberry.field(description="The rows together.")
    revenue: Money = strawberry.field(description="The movement of the fee revenue account.")
    agrees: bool = strawberry.field(description="`fee` equals `revenue`; false means the books are broken.")


@strawberry.type
class StatementQueries:
    @declare.query(PARTIES)
    async def statement(
        self,
        info: Info,
        seller_id: strawberry.ID,
        currency: CurrencyCode,
        period: PeriodInput,
        known_at: datetime | None = None,
    ) -> Statement | None:
        """A seller's statement, or null when there is no such seller for this caller; a seller sees his own.

        With `knownAt` it tells what was recorded by that instant, as it was told to who asked then.
        """
        actor = info.context.actor
        row = await or_null(info.context.read(lambda scope: sellers.by_id(scope, actor, seller_id, path=("sellerId",))))
        if row is None:
            return None
        told = await info.context.read(
            lambda scope: statements.statement(
                scope,
                seller=SellerId(row.id),
                currency=currency,
                start=period.start,
                end=period.end,
                limit=1,
                known_at=known_at,
            )
        )
        return Statement(
            statement=told,
            seller=seller_of(row),
            currency=currency,
            start=told.start,
            end=told.end,
            opening=balance_of(told.opening),
            closing=balance_of(told.closing),
            totals=[
                StatementTotal(section=total.section, lines=total.lines, amount=amount(total.amount, currency))
                for total in told.totals
            ],
            agrees=told.agrees,
        )

    @declare.query(PLATFORM_READERS)
    async def fee_report(self, info: Info, currency: CurrencyCode, period: PeriodInput) -> FeeReport:
        """The platform's fees by seller and schedule version, equal to the fee revenue account."""
        told = await info.context.read(
            lambda scope: fee_report.fee_report(scope, start=period.start, end=period.end, currency=currency)
        )
        return FeeReport(
            currency=currency,
            start=told.start,
            end=told.end,
            rows=[
                FeeReportRow(
                    seller_id=row.seller,
                    fee_schedule_id=strawberry.ID(row.fee_schedule) if row.fee_schedule else None,
                    fee_schedule_version=row.fee_schedule_version,
                    sales=row.sales,
                    gross=amount(row.gross, currency),
                    fee=amount(row.fee, currency),
                    fee_tax=amount(row.fee_tax, currency),
                )
                for row in told.rows
            ],
            fee=amount(told.fee, currency),
            revenue=amount(told.revenue, currency),
            agrees=told.agrees,
        )


def _line(line: Line, currency: str) -> StatementLine:
    return StatementLine(
        effective_at=line.effective_at,
        section=line.section,
        kind=line.kind,
        description=line.description,
        source_id=strawberry.ID(line.source_id),
        entry_id=strawberry.ID(public_id("journal entry", line.entry_id)),
        amount=amount(line.amount, currency),
        moved=amount(line.moved, currency),
        origin=line.origin,
        target=line.target,
        balance_after=amount(line.balance_after, currency),
    )


def _position(line: Line) -> Position:
    place = line.place
    return Position((place.effective_at.isoformat(), place.number, place.section.value, place.as_of), line.entry_id)


def _place(position: Position | None) -> Place | None:
    if position is None:
        return None
    sort: tuple[Any, ...] = position.sort
    try:
        at, number, section, as_of = sort
        if not (type(number) is int and type(as_of) is int):
            raise ValueError
        return Place(datetime.fromisoformat(at), number, Section(section), as_of)
    except (ValueError, TypeError):
        raise InvalidInput("after is not a cursor of this list.", path=("after",)) from None
