"""Tables of the sellers."""

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
    Column("tax_registrations", ARRAY(Text), nullable=False),
    Column("small_business", Boolean, nullable=False),
    Column("vat_status", Text, nullable=False),
    Column("vat_checked_at", Instant),
)

vat_check = Table(
    "vat_check",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("seller_id", Uuid, nullable=False),
    Column("country", String(2), nullable=False),
    Column("number", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("answered_at", Instant),
    Column("consultation", Text),
    Column("holder", Text),
    Column("answer", JSONB),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant),
    Column("failure", Text),
)
"""A VAT number of a seller that an office was asked about, and what it answered: the evidence, one row for each number.

While nobody has answered, `next_attempt_at` says when it is asked again, and `failure` why it did not the last time.
"""

seller_suspension = Table(
    "seller_suspension",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("seller_id", Uuid, nullable=False),
    Column("cause", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("placed_at", Instant, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("written_off_at", Instant),
    Column("lifted_at", Instant),
    Column("lifted_by", Text),
    Column("lift_reason", Text),
)
"""Why a seller may not sell, since when and by whom. `written_off_at`: a debt of his was written off meanwhile, so that
one for debts is lifted by an operator alone."""
