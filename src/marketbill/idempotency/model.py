"""The table of idempotency keys."""

from sqlalchemy import Column, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Instant, metadata, platform_key

idempotency_key = Table(
    "idempotency_key",
    metadata,
    platform_key(),
    Column("actor", Text, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("outcome", JSONB),
    Column("subject_id", Uuid),
    Column("claimed_at", Instant, nullable=False),
    Column("finished_at", Instant),
)
"""A client's request: what it asked (as a hash), and how it ended."""
