"""The table of provider intents."""

from sqlalchemy import Column, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Instant, metadata, platform_key

provider_intent = Table(
    "provider_intent",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("provider_id", Text),
    Column("last_error", JSONB),
    Column("held_for", Text),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("next_attempt_at", Instant),
)
"""One row for each thing asked of the provider, committed before it is asked."""
