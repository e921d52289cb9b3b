"""Tables of the recovery: what a refund or lost dispute takes from whom, the ladder of debts, and their write-off."""

from enum import StrEnum

from sqlalchemy import BigInteger, Column, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Currency, Instant, metadata, platform_key


class WriteOffStatus(StrEnum):
    """PROPOSED waits for a second person; BOOKED and REJECTED are final."""

    PROPOSED = "PROPOSED"
    BOOKED = "BOOKED"
    REJECTED = "REJECTED"


class PaidBy(StrEnum):
    """How a seller paid a debt to the platform's bank: by a TOP_UP of his own, or by a DEBIT of his bank account."""

    TOP_UP = "TOP_UP"
    DEBIT = "DEBIT"


clawback = Table(
    "clawback",
    metadata,
    platform_key(),
    Column("cause_type", Text, primary_key=True),
    Column("cause_id", Uuid, primary_key=True),
    Column("seller_id", Uuid, primary_key=True),
    Column("payment_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("own", BigInteger, nullable=False),
    Column("pending", BigInteger, nullable=False),
    Column("payable", BigInteger, nullable=False),
    Column("reverse", BigInteger, nullable=False),
    Column("debt", BigInteger, nullable=False),
    Column("booked_at", Instant),
    Column("returned_at", Instant),
    Column("created_at", Instant, nullable=False),
)
"""What a cause takes back from a seller, and from where: what is pending, what is payable, what reversals are asked
for, and what is a debt at once. `own` is the part that `payment_share.returned` was raised by. `booked_at` is when the
cause took it, `returned_at` when it was given back."""

debt_step = Table(
    "debt_step",
    metadata,
    platform_key(),
    Column("debt_id", Uuid, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("due_at", Instant, nullable=False),
    Column("done_at", Instant, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("note", Text, nullable=False),
)
"""The steps of the ladder that were taken for a debt. `note` is the notice to the seller, or what the operator must
know."""

debt_policy = Table(
    "debt_policy",
    metadata,
    platform_key(),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("steps", JSONB, nullable=False),
    Column("limits", JSONB, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("published_at", Instant, nullable=False),
)
"""The ladder of a platform, by version: `steps` gives days by step, `limits` the most that a seller may owe by currency
(minor units) before he is suspended at once."""

debt_payment = Table(
    "debt_payment",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("seller_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("method", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("recorded_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)
"""What sellers paid of their debts by themselves; a reference counts once for each method."""

write_off = Table(
    "write_off",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("debt_id", Uuid, nullable=False),
    Column("seller_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", Instant),
    Column("decision_reason", Text),
    Column("booked", BigInteger),
)
"""`amount` is what remained of the debt when its write-off was proposed; `booked` what remained of that when a second
person agreed."""
