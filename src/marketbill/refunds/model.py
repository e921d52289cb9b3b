"""Tables of what goes back to buyers: the policy of who bears it, what was undone of a sale, and the refunds."""

from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Currency, Instant, metadata, platform_key


class RefundKind(StrEnum):
    """What is refunded: all that is left of the sale, lines or pieces or amounts of lines, an amount over all lines,
    the shipping alone, or the tax alone."""

    FULL = "FULL"
    LINES = "LINES"
    AMOUNT = "AMOUNT"
    SHIPPING = "SHIPPING"
    TAX = "TAX"


class RefundStatus(StrEnum):
    """Where a refund stands.

    RECOVERING: the sellers' parts are being taken back. SENDING: it is approved and booked, the provider is asked.
    PENDING: the provider has it and has not paid it yet. SUCCEEDED: paid. FAILED: the buyer's bank sent it back, and
    somebody must retry or settle it. REFUSED: the provider does not do it, everything was undone. CREDITED: the buyer
    has it as credit.
    """

    RECOVERING = "RECOVERING"
    SENDING = "SENDING"
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REFUSED = "REFUSED"
    CREDITED = "CREDITED"


return_policy = Table(
    "return_policy",
    metadata,
    platform_key(),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("id", Uuid, nullable=False),
    Column("rows", JSONB, nullable=False),
    Column("note", Text, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("published_at", Instant, nullable=False),
)
"""Who bears what by cause (`rules.return_policy`). The newest version holds; before the first, the default."""

sale_return = Table(
    "sale_return",
    metadata,
    platform_key(),
    Column("payment_id", Uuid, primary_key=True),
    Column("source_type", Text, primary_key=True),
    Column("source_id", Uuid, primary_key=True),
    Column("undoes", Boolean, primary_key=True),
    Column("cause", Text, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("terms", JSONB, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("settlement_currency", Currency, nullable=False),
    Column("legs", JSONB, nullable=False),
    Column("settled", JSONB, nullable=False),
    Column("created_at", Instant, nullable=False),
)
"""What a refund or a lost dispute undid of a sale; `undoes` for the row that takes it back whole, with all amounts
turned round. `amount` is what the buyer gets, `legs` who gives how much of it (`arithmetic.Legs`), both in the sale's
currency; `settled` the same in the currency in which the sale was settled. The sums over a payment's rows are what was
given back of it until now."""

line_return = Table(
    "line_return",
    metadata,
    platform_key(),
    Column("payment_id", Uuid, primary_key=True),
    Column("source_type", Text, primary_key=True),
    Column("source_id", Uuid, primary_key=True),
    Column("undoes", Boolean, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("seller_id", Uuid, nullable=False),
    Column("gross", BigInteger, nullable=False),
    Column("rounding", BigInteger, nullable=False),
    Column("paid", BigInteger, nullable=False),
    Column("goodwill", BigInteger, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("shipping", BigInteger, nullable=False),
    Column("untaxed", Integer, nullable=False),
    Column("amounts", JSONB, nullable=False),
    Column("carry", JSONB, nullable=False),
)
"""The same by line, in the sale's currency: how far it moved the line's state (`rules.line_return.LineState`), what was
booked by name, and what that is beyond the rule (`carry`)."""

refund = Table(
    "refund",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("payment_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reference", Text),
    Column("wanted", JSONB, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("settlement_currency", Currency, nullable=False),
    Column("settlement_amount", BigInteger, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("explanation", Text),
    Column("charge", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("intent_id", Uuid),
    Column("provider_refund", Text),
    Column("paid_transaction", Text),
    Column("paid_amount", BigInteger),
    Column("available_on", Instant),
    Column("available_at", Instant),
    Column("failed_transaction", Text),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("booked_at", Instant),
    Column("succeeded_at", Instant),
    Column("failed_at", Instant),
    Column("settled_by", Text),
)
"""A refund. `amount` is what the buyer gets in the sale's currency, `settlement_amount` what its bearers give for it in
the currency of the settlement; `paid_amount` is what the provider took for it, by its transaction: out of pending money
until `available_on` where the charge's own was pending (`available_at` once that is booked). `attempt` counts how often
the provider was asked anew after the bank had sent it back; `settled_by` is who made it credit."""

refund_share = Table(
    "refund_share",
    metadata,
    platform_key(),
    Column("refund_id", Uuid, primary_key=True),
    Column("seller_id", Uuid, primary_key=True),
    Column("currency", Currency, nullable=False),
    Column("part", BigInteger, nullable=False),
    Column("recharge", BigInteger, nullable=False),
)
"""What one seller gives back for a refund, in the settlement's currency; `recharge` of it is the provider's fee."""
