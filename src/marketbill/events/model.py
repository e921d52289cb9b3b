"""The tables of the inbox, the outbox and the schedule."""

from sqlalchemy import Column, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Instant, metadata, platform_key

outbox_message = Table(
    "outbox_message",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("arguments", JSONB, nullable=False),
    Column("available_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
)
"""A job that a business transaction owes; the relay hands it to the broker and deletes it."""

inbox_event = Table(
    "inbox_event",
    metadata,
    platform_key(),
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("account", Text),
    Column("object_id", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("handled_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("next_attempt_at", Instant),
)
"""A provider event, raw, by the provider's own id. Neither handled nor due any more: given up, for an operator."""

job_run = Table(
    "job_run",
    metadata,
    Column("job", Text, primary_key=True),
    Column("due_at", Instant, primary_key=True),
    Column("claimed_at", Instant, nullable=False),
)
"""The slots of the schedule that were taken; whoever inserts a slot enqueues its jobs in the same transaction."""
