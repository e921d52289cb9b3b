"""Tables of the platforms."""

from sqlalchemy import Boolean, Column, Integer, LargeBinary, Numeric, String, Table, Text, Uuid
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
    Column("seller_rate", Text, nullable=False, server_default="PROVIDER"),
    Column("seller_rate_markup", Numeric(7, 4), nullable=False, server_default="0"),
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

fee_rule = Table(
    "fee_rule",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("percent", Numeric(7, 4), nullable=False),
    Column("fixed", JSONB, nullable=False),
    Column("fixed_scope", Text, nullable=False),
    Column("base", Text, nullable=False),
    Column("fee_tax_mode", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)
