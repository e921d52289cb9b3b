"""Table of the sellers."""

from sqlalchemy import ARRAY, Boolean, Column, Integer, String, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Instant, metadata, platform_key

seller = Table(
    "seller",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("country", String(2), nullable=False),
    Column("vat_number", Text),
    Column("vat_number_valid", Boolean, nullable=False),
    Column("external_ref", Text),
    Column("suspended", Boolean, nullable=False),
    Column("provider_account", Text),
    Column("transfers", Text, nullable=False),
    Column("payouts_enabled", Boolean, nullable=False),
    Column("requirements", JSONB, nullable=False),
    Column("provider_read_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("version", Integer, nullable=False),
    Column("groups", ARRAY(Text), nullable=False, server_default="{}"),
)
