"""The tables of the inbox, the outbox, the schedule, and how far the provider's list of events was read."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text, Uuid
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
    Column("dismissed_by", Text),
    Column("dismiss_reason", Text),
)
"""A provider event, raw, by the provider's own id. Neither handled nor due any more: parked, for an operator, and
`error` says why. One that an operator dismissed counts as handled from then on, without any effect; `error` stays."""

schedule = Table(
    "schedule",
    metadata,
    Column("job", Text, primary_key=True),
    Column("every_seconds", Integer, nullable=False),
    Column("next_due_at", Instant, nullable=False),
    Column("last_run_at", Instant),
    Column("missed", BigInteger, nullable=False),
)
"""A job that recurs: when it is due next. `missed` counts the slots that passed while nobody ran, and were made up for
by another."""

event_cursor = Table(
    "event_cursor",
    metadata,
    platform_key(),
    Column("account", Text, primary_key=True),
    Column("seen_until", Instant, nullable=False),
    Column("ran_at", Instant),
    Column("tried_at", Instant, nullable=False),
    Column("leased_until", Instant),
    Column("walk_newest", Instant),
    Column("walk_down_to", Instant),
    Column("failing_since", Instant),
    Column("error", Text),
)
"""How far the provider's list of events was looked through: of the platform's own account (an empty `account`), or of
a connected one. `ran_at` is our time of the last look that came to the end of the list, `tried_at` that of the last
one. `seen_until` and the walk that is under way (`events.cursor.Walk`) are the provider's times."""
