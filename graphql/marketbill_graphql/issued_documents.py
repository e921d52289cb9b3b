"""Documents as issued: statements, fee invoices and credit notes, their files, and the company that issues them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.ids import parse_id, public_id
from marketbill.statements import entities, fee_invoice, issued
from marketbill.statements.entities import EntityDraft
from marketbill.statements.issued import IssueDraft
from marketbill.statements.model import FileFormat, InvoiceKind
from marketbill.statements.words import Language, language_of
from marketbill_graphql import declare, downloads
from marketbill_graphql.access import OPERATOR, PLATFORM_READERS, PLATFORM_WRITERS, SELLER, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.downloads import DownloadLink
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.scalars import CurrencyCode
from marketbill_graphql.sellers import Seller, load_seller
from marketbill_graphql.statements import PeriodInput

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(FileFormat, name="DocumentFormat", description="What a document can be downloaded as.")
strawberry.enum(
    InvoiceKind, name="FeeInvoiceKind", description="INVOICE charges the fees of a month, CREDIT_NOTE gives fees back."
)


@declare.output(PARTIES)
class Party:
    """Who stands on a document, as he was when it was issued."""

    name: str
    country: str
    vat_number: str | None
    address: list[str]


@declare.output(PARTIES)
class IssuedStatement(Node):
    """A seller's statement with its number: it says the same for ever."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="stm_…")
    number: str = strawberry.field(description="Without gaps within the legal entity and the year.")
    currency: CurrencyCode
    start: datetime = strawberry.field(name="from")
    end: datetime = strawberry.field(name="until")
    opening: Money
    closing: Money
    recorded_later: Money = strawberry.field(
        description="What was recorded for earlier periods after the statement before this one was issued."
    )
    issuer: Party
    issued_at: datetime

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Whose statement it is."""
        return await load_seller(info.context, self.row.seller_id)

    @declare.computed
    def file(self, info: Info, format: FileFormat, language: Language | None = None) -> DownloadLink:
        """A link to its file, in the seller's language or another: the same bytes whenever it is asked for."""
        own = language_of(self.row.seller["country"])
        context = info.context
        return downloads.document_link(context.services, context.platform, self.id, format, language or own)


@declare.output(PARTIES)
class FeeInvoiceLine:
    """One service under one decision on its tax."""

    service: str = strawberry.field(description="FEE for fees on sales, RECHARGE for other services and costs.")
    jurisdiction: str = strawberry.field(description="Where it is taxed.")
    liable: str = strawberry.field(description="BUYER where the seller accounts for the tax himself (reverse charge).")
    rate: Decimal | None = strawberry.field(description="Percent; null where services of several were charged.")
    net: Money
    tax: Money


@declare.output(PARTIES)
class FeeInvoice(Node):
    """The platform's invoice to a seller for the fees of a month, or its credit note. Nothing is to be paid on it."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="inv_…")
    number: str = strawberry.field(description="Without gaps within the legal entity and the year.")
    kind: InvoiceKind
    currency: CurrencyCode
    start: datetime = strawberry.field(name="from")
    end: datetime = strawberry.field(name="until")
    net: Money
    tax: Money
    total: Money
    corrects: list[str] = strawberry.field(description="Numbers of the invoices that a credit note corrects.")
    issuer: Party
    issued_at: datetime

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Whom it is for."""
        return await load_seller(info.context, self.row.seller_id)

    @declare.computed
    async def lines(self, info: Info) -> list[FeeInvoiceLine]:
        """By service and decision on its tax."""
        rows = await info.context.load(fee_invoice.lines_of, self.row.id) or []
        currency = self.row.currency
        return [
            FeeInvoiceLine(
                service=row.service,
                jurisdiction=row.jurisdiction,
                liable=row.liable,
                rate=None if row.rate is None else row.rate.normalize(),
                net=amount(row.net, currency),
                tax=amount(row.tax, currency),
            )
            for row in rows
        ]

    @declare.computed
    def pdf(self, info: Info, language: Language | None = None) -> DownloadLink:
        """A link to its PDF, in the seller's language or another: the same bytes whenever it is asked for."""
        own, context = language_of(self.row.seller["country"]), info.context
        return downloads.document_link(context.services, context.platform, self.id, FileFormat.PDF, language or own)


@declare.output(PLATFORM_READERS)
class LegalEntity:
    """A company of the platform that issues documents to sellers of some countries."""

    code: str = strawberry.field(description="MAIN issues to all sellers that no other one does.")
    name: str
    country: str
    vat_number: str | None
    address: list[str]
    seller_countries: list[str]
    updated_at: datetime


@declare.input
class StatementIssueInput:
    """Which statement to issue."""

    idempotency_key: str
    seller_id: strawberry.ID
    currency: CurrencyCode
    period: PeriodInput


@declare.input
class LegalEntitySetInput:
    """A company of the platform, whole: what is left out is empty."""

    idempotency_key: str
    code: str = strawberry.field(default="MAIN", description="1 to 12 capital letters and digits.")
    name: str
    country: str = strawberry.field(description="ISO 3166 alpha-2.")
    vat_number: str | None = None
    address: list[str] = strawberry.field(default_factory=list, description="At most 6 lines.")
    seller_countries: list[str] = strawberry.field(default_factory=list, description="ISO 3166 alpha-2.")


StatementIssueError = Annotated[AnyMutationError, strawberry.union("StatementIssueError")]
LegalEntitySetError = Annotated[AnyMutationError, strawberry.union("LegalEntitySetError")]


@declare.output(PLATFORM_WRITERS)
class StatementIssuePayload:
    """The statement, issued now or before."""

    statement: IssuedStatement | None = None
    errors: list[StatementIssueError]


@declare.output(OPERATOR)
class LegalEntitySetPayload:
    """The company as it is from now on; what was issued stays as it is."""

    legal_entity: LegalEntity | None = None
    errors: list[LegalEntitySetError]


@strawberry.type
class DocumentQueries:
    @declare.query(PARTIES)
    async def issued_statements(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        seller_id: strawberry.ID | None = None,
    ) -> Connection[IssuedStatement]:
        """Statements that were issued, newest first; a seller sees his own."""
        asked = page_request(list_name="issuedStatements", first=first, after=after, last=last, before=before)
        actor = info.context.actor
        seller = parse_id("seller", seller_id, path=("sellerId",)) if seller_id else None
        found = await info.context.read(lambda scope: issued.page(scope, actor, asked, seller=seller))
        return connection(found, list_name="issuedStatements", node=statement_of)

    @declare.query(PARTIES)
    async def fee_invoices(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        seller_id: strawberry.ID | None = None,
        kind: InvoiceKind | None = None,
    ) -> Connection[FeeInvoice]:
        """Invoices and credit notes for the platform's fees, newest first; a seller sees his own."""
        asked = page_request(list_name="feeInvoices", first=first, after=after, last=last, before=before)
        actor = info.context.actor
        seller = parse_id("seller", seller_id, path=("sellerId",)) if seller_id else None
        found = await info.context.read(lambda scope: fee_invoice.page(scope, actor, asked, seller=seller, kind=kind))
        return connection(found, list_name="feeInvoices", node=invoice_of)

    @declare.query(PLATFORM_READERS)
    async def legal_entities(self, info: Info) -> list[LegalEntity]:
        """The companies that issue documents, by code; none where the platform stands for itself."""
        return [entity_of(row) for row in await info.context.read(entities.all)]


@strawberry.type
class DocumentCommands:
    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def statement_issue(self, info: Info, input: StatementIssueInput) -> StatementIssuePayload:
        """Issues the statement of a period that is over, with a number. Asked again, it gives the same one."""
        row = await issued.issue(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            draft=IssueDraft(input.seller_id, input.currency, input.period.start, input.period.end),
        )
        return StatementIssuePayload(statement=statement_of(row), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def legal_entity_set(self, info: Info, input: LegalEntitySetInput) -> LegalEntitySetPayload:
        """Names a company that issues documents, with its address, and the countries of the sellers it serves."""
        row = await entities.set(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            draft=EntityDraft(
                code=input.code,
                name=input.name,
                country=input.country,
                vat_number=input.vat_number,
                address=tuple(input.address),
                seller_countries=tuple(input.seller_countries),
            ),
        )
        return LegalEntitySetPayload(legal_entity=entity_of(row), errors=[])


def statement_of(row: Row[Any]) -> IssuedStatement:
    later = 0 if row.previous_closing is None else row.opening - row.previous_closing
    return IssuedStatement(
        row=row,
        id=strawberry.ID(public_id("statement", row.id)),
        number=row.number,
        currency=row.currency,
        start=row.period_start,
        end=row.period_end,
        opening=amount(row.opening, row.currency),
        closing=amount(row.closing, row.currency),
        recorded_later=amount(later, row.currency),
        issuer=_party(row.issuer),
        issued_at=row.issued_at,
    )


def invoice_of(row: Row[Any]) -> FeeInvoice:
    return FeeInvoice(
        row=row,
        id=strawberry.ID(public_id("fee invoice", row.id)),
        number=row.number,
        kind=InvoiceKind(row.kind),
        currency=row.currency,
        start=row.period_start,
        end=row.period_end,
        net=amount(row.net, row.currency),
        tax=amount(row.tax, row.currency),
        total=amount(row.net + row.tax, row.currency),
        corrects=row.corrects,
        issuer=_party(row.issuer),
        issued_at=row.issued_at,
    )


def entity_of(row: Row[Any]) -> LegalEntity:
    return LegalEntity(
        code=row.code,
        name=row.name,
        country=row.country,
        vat_number=row.vat_number,
        address=row.address,
        seller_countries=row.seller_countries,
        updated_at=row.updated_at,
    )


def _party(kept: dict[str, Any]) -> Party:
    return Party(
        name=kept["name"],
        country=kept["country"],
        vat_number=kept["vat_number"] or None,
        address=kept["lines"],
    )


@finds("statement", PARTIES)
async def _find_statement(context: Context, id: str) -> IssuedStatement:
    return statement_of(await context.read(lambda scope: issued.by_id(scope, context.actor, id)))


@finds("fee invoice", PARTIES)
async def _find_invoice(context: Context, id: str) -> FeeInvoice:
    return invoice_of(await context.read(lambda scope: fee_invoice.by_id(scope, context.actor, id)))
