"""Tables of the platforms."""

from sqlalchemy import ARRAY, Boolean, Column, Date, Integer, LargeBinary, Numeric, String, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Currency, Instant, metadata, platform_key

platform = Table(
    "platform",
    metadata,
    platform_key(),
    Column("name", Text, nullable=False),
    Column("country", String(2), nullable=False),
    Column("default_currency", Currency, nullable=False),
    Column("fee_tax_rate", Numeric(7, 4), nullable=False),
    Column("hold_from", Text, nullable=False),
    Column("hold_days", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("version", Integer, nullable=False),
    Column("vat_number", Text),
    Column("tax_registrations", ARRAY(Text), nullable=False),
    Column("seller_rate", Text, nullable=False, server_default="PROVIDER"),
    Column("seller_rate_markup", Numeric(7, 4), nullable=False, server_default="0"),
    Column("tax_provider", Text, nullable=False, server_default="BUILT_IN"),
)

api_key = Table(
    "api_key",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    Column("revoked_at", Instant),
)

provider_credential = Table(
    "provider_credential",
    metadata,
    platform_key(),
    Column("secret_key", Text, nullable=False),
    Column("secret_key_hint", Text, nullable=False),
    Column("webhook_secret", Text, nullable=False),
    Column("connect_webhook_secret", Text, nullable=False),
    Column("provider_account", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

fee_schedule = Table(
    "fee_schedule",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("version", Integer),
    Column("document", JSONB, nullable=False),
    Column("document_hash", LargeBinary, nullable=False),
    Column("effective_from", Instant),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("published_at", Instant),
    Column("published_by", Text),
)
"""A draft may change and go; a published schedule has its version and the instant from which it holds, and stays as it
is. The live one at an instant is the published one of the greatest `effective_from` until then."""

tax_rate_row = Table(
    "tax_rate_row",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("jurisdiction", Text, nullable=False),
    Column("tax", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("supply", Text, nullable=False),
    Column("rate", Numeric(7, 4), nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    Column("legal_source", Text, nullable=False),
    Column("source_url", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("estimate", Boolean, nullable=False),
    Column("replaces_id", Uuid),
    Column("reason", Text, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("added_at", Instant, nullable=False),
)
