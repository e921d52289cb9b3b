"""Tables of what operators do to the books. Changes and limits are only ever inserted; a correction is decided once."""

from sqlalchemy import Boolean, Column, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Currency, Instant, Minor, metadata, platform_key

ledger_account_change = Table(
    "ledger_account_change",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("term", Text, nullable=False),
    Column("was", Text),
    Column("became", Text),
    Column("reason", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
)
"""What operators changed of an account's terms: its state, its guard, its ceiling (null for none)."""

ledger_correction_limit = Table(
    "ledger_correction_limit",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("currency", Currency, primary_key=True),
    Column("amount", Minor, nullable=False),
    Column("reason", Text, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", Instant, nullable=False),
)
"""The amounts above which a correction needs a second person, by currency; the newest counts, the others tell."""

ledger_correction = Table(
    "ledger_correction",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("entry_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("amounts", JSONB, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("replacement", JSONB),
    Column("reason", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("needs_approval", Boolean, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", Instant),
    Column("decision_reason", Text),
    Column("reversal_id", Uuid),
    Column("replacement_id", Uuid),
)
"""The reversal of `entry_id`, asked for and decided. `amounts` are minor units by currency, `replacement` the postings
of an entry that is booked with it. Once it is POSTED, `reversal_id` and `replacement_id` are the entries it made."""
