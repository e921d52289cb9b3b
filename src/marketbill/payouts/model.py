"""Tables of the transfers (platform to seller, at the provider) and payouts (seller's provider balance to his bank)."""

from enum import StrEnum

from sqlalchemy import BigInteger, Column, Table, Text, Uuid

from marketbill.db import Currency, Instant, metadata, platform_key


class TransferStatus(StrEnum):
    """HELD waits for the seller to be able to receive; REFUSED waits for an operator; `reason` says why. CANCELED: all
    of it was taken back before it was sent."""

    PENDING = "PENDING"
    HELD = "HELD"
    SENT = "SENT"
    REFUSED = "REFUSED"
    CANCELED = "CANCELED"


class TransferKind(StrEnum):
    """SALE: what a sale earned. RESERVE: a part of that which was kept back first. AGAIN: what was taken back and
    is the seller's after all, as when a dispute is won."""

    SALE = "SALE"
    RESERVE = "RESERVE"
    AGAIN = "AGAIN"


class Rail(StrEnum):
    """How money reaches a seller's bank: PROVIDER pays out his account there, BANK is an order to the platform's own
    bank."""

    PROVIDER = "PROVIDER"
    BANK = "BANK"


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
    Column("kind", Text, nullable=False, server_default="SALE"),
    Column("reversed", BigInteger, nullable=False, server_default="0"),
)
"""`reversed` is what was taken back of `amount` after it was sent."""

payout_item = Table(
    "payout_item",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("seller_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("rail", Text, nullable=False, server_default="PROVIDER"),
    Column("source_type", Text, nullable=False),
    Column("source_id", Uuid, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("claimed", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Instant, nullable=False),
)
"""What a seller may be paid out, piece by piece: each transfer that arrived, below zero each reversal. `claimed` is the
part that payouts hold; what is not claimed adds up to what the books say is available."""

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
