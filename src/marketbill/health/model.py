"""The table of alarms."""

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from marketbill.db import Instant, metadata, platform_key

alarm = Table(
    "alarm",
    metadata,
    platform_key(),
    Column("kind", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("since", Instant, nullable=False),
    Column("seen", Integer, nullable=False),
    Column("raised_at", Instant),
)
"""Something that waits longer than it may on a platform (of no platform: under the id 0), while it does. `number` are
how many things, `seen` how many looks in a row found them, `raised_at` when the alarm was told."""
