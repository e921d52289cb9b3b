"""Tables of the transfers (platform to seller, at the provider) and payouts (seller's provider balance to his bank)."""

from enum import StrEnum

from sqlalchemy import BigInteger, Column, Table, Text, Uuid

from marketbill.db import Currency, Instant, metadata, platform_key


class TransferStatus(StrEnum):
    """HELD waits for the seller to be able to receive; REFUSED waits for an operator; `reason` says why."""

    PENDING = "PENDING"
    HELD = "HELD"
    SENT = "SENT"
    REFUSED = "REFUSED"


class PayoutStatus(StrEnum):
    """CREATED claims the money; PAID may still become FAILED when the bank sends it back."""

    CREATED = "CREATED"
    IN_TRANSIT = "IN_TRANSIT"
    PAID = "PAID"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    REFUSED = "REFUSED"


transfer = Table(
    "transfer",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("payment_id", Uuid, nullable=False),
    Column("seller_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("source_charge", Text, nullable=False),
    Column("provider_transfer", Text),
    Column("intent_id", Uuid),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("sent_at", Instant),
)

payout = Table(
    "payout",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("seller_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("provider_payout", Text),
    Column("arrival_on", Instant),
    Column("intent_id", Uuid, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("paid_at", Instant),
)
