"""Tables of the buyers. A payment method is a provider's token and what may be shown of it; card data never enters."""

from sqlalchemy import Column, Integer, Table, Text, Uuid

from marketbill.db import Instant, metadata, platform_key

buyer = Table(
    "buyer",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("external_ref", Text),
    Column("provider_customer", Text),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

payment_method = Table(
    "payment_method",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("buyer_id", Uuid, nullable=False),
    Column("provider_method", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("brand", Text),
    Column("last4", Text),
    Column("exp_month", Integer),
    Column("exp_year", Integer),
    Column("created_at", Instant, nullable=False),
)
