"""Tables of the documents: who issues them, their numbers, statements and fee invoices as issued, and their files."""

from enum import StrEnum

from sqlalchemy import ARRAY, BigInteger, Column, Date, Integer, LargeBinary, Numeric, String, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Currency, Instant, metadata, platform_key


class InvoiceKind(StrEnum):
    """INVOICE charges fees of a month; CREDIT_NOTE gives fees back, for refunds and lost disputes."""

    INVOICE = "INVOICE"
    CREDIT_NOTE = "CREDIT_NOTE"


class FileFormat(StrEnum):
    """What a document can be downloaded as."""

    CSV = "CSV"
    XLSX = "XLSX"
    PDF = "PDF"


legal_entity = Table(
    "legal_entity",
    metadata,
    platform_key(),
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("country", String(2), nullable=False),
    Column("vat_number", Text),
    Column("address", ARRAY(Text), nullable=False),
    Column("seller_countries", ARRAY(Text), nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", Text, nullable=False),
)
"""A company of the platform that issues documents. It serves the sellers of `seller_countries`; MAIN all others."""

number_series = Table(
    "number_series",
    metadata,
    platform_key(),
    Column("legal_entity", Text, primary_key=True),
    Column("series", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
"""The last number of each series, without gaps."""

issued_statement = Table(
    "issued_statement",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("seller_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),
    Column("legal_entity", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("known", BigInteger, nullable=False),
    Column("opening", BigInteger, nullable=False),
    Column("closing", BigInteger, nullable=False),
    Column("previous_closing", BigInteger),
    Column("issuer", JSONB, nullable=False),
    Column("seller", JSONB, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("issued_by", Text, nullable=False),
)
"""A statement as issued: what was recorded up to the posting `known`, and the parties as they were then.

`previous_closing` is the closing of the statement issued before it, where one ends as this one starts: the difference
to `opening` was recorded later, for earlier periods."""

fee_invoice = Table(
    "fee_invoice",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("seller_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),
    Column("legal_entity", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("net", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("corrects", ARRAY(Text), nullable=False),
    Column("known", BigInteger, nullable=False),
    Column("issuer", JSONB, nullable=False),
    Column("seller", JSONB, nullable=False),
    Column("issued_at", Instant, nullable=False),
)
"""An invoice of the platform to a seller, or a credit note; its amounts are never below zero in sum. `corrects` are the
numbers of the invoices that a credit note gives back from; `known` is the last posting that it tells of."""

fee_invoice_line = Table(
    "fee_invoice_line",
    metadata,
    platform_key(),
    Column("invoice_id", Uuid, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("service", Text, nullable=False),
    Column("jurisdiction", Text, nullable=False),
    Column("liable", Text, nullable=False),
    Column("rate", Numeric(7, 4)),
    Column("rule", Text, nullable=False),
    Column("net", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
)
"""One service under one decision on its tax. `rate` is a percentage, null where several were charged together."""

invoice_month = Table(
    "invoice_month",
    metadata,
    platform_key(),
    Column("month", Date, primary_key=True),
    Column("opened_at", Instant, nullable=False),
)
"""The months whose fees are being invoiced, or were."""

invoice_due = Table(
    "invoice_due",
    metadata,
    platform_key(),
    Column("month", Date, primary_key=True),
    Column("seller_id", Uuid, primary_key=True),
    Column("currency", Currency, primary_key=True),
    Column("done_at", Instant),
)
"""The sellers that a month's documents are to be issued to; `done_at` is set by the transaction that issues them."""

document_file = Table(
    "document_file",
    metadata,
    platform_key(),
    Column("document_id", Uuid, primary_key=True),
    Column("format", Text, primary_key=True),
    Column("language", Text, primary_key=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("made_at", Instant, nullable=False),
)
"""The files of issued documents, kept as they were first made, so that a later version hands out the same bytes."""
