"""Tables of the payments. Amounts are minor units of the payment's currency."""

from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, Numeric, String, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Currency, Instant, metadata, platform_key


class PaymentStatus(StrEnum):
    """Where a payment stands with the provider.

    CREATED: the provider has not answered yet. DECLINED: the bank said no to this attempt. FAILED: the provider never
    took the payment. A later success of the provider wins over every other state, because then money has moved.
    """

    CREATED = "CREATED"
    REQUIRES_PAYMENT_METHOD = "REQUIRES_PAYMENT_METHOD"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    CANCELED = "CANCELED"
    FAILED = "FAILED"


class TaxKind(StrEnum):
    """SALE: the tax on a seller's line. FEE: on the platform's fees that a seller pays. BUYER_FEE: on those of the
    buyer. WITHHELD: what a law makes the platform keep from what it pays a seller."""

    SALE = "SALE"
    FEE = "FEE"
    BUYER_FEE = "BUYER_FEE"
    WITHHELD = "WITHHELD"


payment = Table(
    "payment",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("reference", Text),
    Column("buyer_id", Uuid),
    Column("payment_method_id", Uuid),
    Column("currency", Currency, nullable=False),
    Column("gross", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("fee_tax", BigInteger, nullable=False),
    Column("seller_net", BigInteger, nullable=False),
    Column("fee_schedule_id", Uuid, nullable=False),
    Column("hold_from", Text, nullable=False),
    Column("hold_days", Integer, nullable=False),
    Column("tax_country", String(2), nullable=False),
    Column("status", Text, nullable=False),
    Column("provider_payment", Text),
    Column("provider_charge", Text),
    Column("provider_balance_transaction", Text),
    Column("client_secret", Text),
    Column("next_action", JSONB),
    Column("decline", JSONB),
    Column("provider_fee", BigInteger),
    Column("available_on", Instant),
    Column("release_on", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("succeeded_at", Instant),
    Column("booked_at", Instant),
    Column("settled_at", Instant),
    Column("available_at", Instant),
    Column("delivered_at", Instant),
    Column("released_at", Instant),
    Column("trace", JSONB, nullable=False),
    Column("channel", Text, nullable=False, server_default=""),
    Column("method", Text, nullable=False, server_default=""),
    Column("ordered_at", Instant),
    Column("promo", BigInteger, nullable=False, server_default="0"),
    Column("buyer_fee", BigInteger, nullable=False, server_default="0"),
    Column("buyer_fee_tax", BigInteger, nullable=False, server_default="0"),
    Column("deemed_tax", BigInteger, nullable=False, server_default="0"),
    Column("withheld", BigInteger, nullable=False, server_default="0"),
    Column("processor_fee", BigInteger, nullable=False, server_default="0"),
    Column("buyer_legs", JSONB, nullable=False, server_default="{}"),
    Column("settlement_currency", Currency),
    Column("settlement_gross", BigInteger),
    Column("settlement_rate", JSONB),
    Column("disputed", Boolean, nullable=False, server_default="false"),
    Column("release_by", Instant),
)
"""Milestones: succeeded (charged), booked (in the journal), settled (provider's fee known), available (there),
delivered (by the platform's word), and released (the last of its sellers' shares). `release_on` is when the next share
may be released: empty while none can be, because its event is awaited or a hold keeps it. By `release_by` all must be
released: the law lets nobody hold a seller's money for longer.

`gross` is what the buyer is charged: gross + promo = seller_net + fee + fee_tax + buyer_fee + buyer_fee_tax +
deemed_tax + withheld + processor_fee, where `fee` is the sellers' and `promo` what the platform adds for discounts that
it funds. `ordered_at` is when the order was placed, where the platform tells another time than the payment's own.
`disputed` while a dispute keeps the provider from refunding the charge: it is open, or was lost."""

payment_line = Table(
    "payment_line",
    metadata,
    platform_key(),
    Column("payment_id", Uuid, primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("ordinal", Integer, primary_key=True),
    Column("seller_id", Uuid, nullable=False),
    Column("description", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", BigInteger, nullable=False),
    Column("tax_rate", Numeric(7, 4), nullable=False),
    Column("tax_inclusive", Boolean, nullable=False),
    Column("external_refs", JSONB, nullable=False),
    Column("gross", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("net", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("fee_tax", BigInteger, nullable=False),
    Column("seller_net", BigInteger, nullable=False),
    Column("product", Text, nullable=False, server_default=""),
    Column("tax_category", Text, nullable=False, server_default=""),
    Column("shipping", BigInteger, nullable=False, server_default="0"),
    Column("shipping_tax", BigInteger, nullable=False, server_default="0"),
    Column("discount", BigInteger, nullable=False, server_default="0"),
    Column("promo", BigInteger, nullable=False, server_default="0"),
    Column("buyer_fee", BigInteger, nullable=False, server_default="0"),
    Column("buyer_fee_tax", BigInteger, nullable=False, server_default="0"),
    Column("deemed_tax", BigInteger, nullable=False, server_default="0"),
    Column("withheld", BigInteger, nullable=False, server_default="0"),
    Column("processor_fee", BigInteger, nullable=False, server_default="0"),
    Column("passed_on", BigInteger, nullable=False, server_default="0"),
)

payment_share = Table(
    "payment_share",
    metadata,
    platform_key(),
    Column("payment_id", Uuid, primary_key=True),
    Column("seller_id", Uuid, primary_key=True),
    Column("gross", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("fee_tax", BigInteger, nullable=False),
    Column("seller_net", BigInteger, nullable=False),
    Column("fee_tax_rule", Text, nullable=False),
    Column("promo", BigInteger, nullable=False, server_default="0"),
    Column("deemed_tax", BigInteger, nullable=False, server_default="0"),
    Column("withheld", BigInteger, nullable=False, server_default="0"),
    Column("processor_fee", BigInteger, nullable=False, server_default="0"),
    Column("received", BigInteger, nullable=False, server_default="0"),
    Column("passed_on", BigInteger, nullable=False, server_default="0"),
    Column("legs", JSONB, nullable=False, server_default="{}"),
    Column("settled_net", BigInteger),
    Column("hold_from", Text, nullable=False, server_default=""),
    Column("hold_days", Integer, nullable=False, server_default="0"),
    Column("release_on", Instant),
    Column("released_at", Instant),
    Column("transfers_planned_at", Instant),
    Column("returned", BigInteger, nullable=False, server_default="0"),
    Column("released", BigInteger),
    Column("held_at", Instant),
    Column("release_rule_id", Uuid),
    Column("held_days_max", Integer, nullable=False, server_default="90"),
)
"""What one seller has in a payment: gross + received = seller_net + fee + fee_tax + deemed_tax + withheld +
processor_fee + passed_on. `received` came from other sellers' lines and `passed_on` went to others; `promo` is the part
of `gross` that the platform pays. `legs` tells where each amount is booked (`rules.plan.Legs`), `settled_net` is the
net in the payment's settlement currency, where that is another one. `returned` is what of the net the seller has given
back by refunds and lost disputes, in the settlement currency: the rest is his.

It is released `hold_days` after the event `hold_from`, on `release_on`, which is empty until the event has come. The
law of the seller's country lets it be held for `held_days_max` days. `held_at` is since when a hold keeps what would be
released otherwise, `released` the amount that was."""

seller_hold = Table(
    "seller_hold",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("seller_id", Uuid, nullable=False),
    Column("payment_id", Uuid),
    Column("scope", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("facts", JSONB, nullable=False, server_default="{}"),
    Column("source_type", Text),
    Column("source_id", Uuid),
    Column("placed_by", Text, nullable=False),
    Column("placed_at", Instant, nullable=False),
    Column("until", Instant),
    Column("lifted_at", Instant),
    Column("lifted_by", Text),
    Column("lift_reason", Text),
    Column("resumed_at", Instant),
)
"""What keeps a seller's money, of one payment or (without one) of all. `facts` are the figures behind the reason,
`source` the thing that placed it, such as a dispute. `resumed_at` is when all that it kept was taken up again."""

seller_volume = Table(
    "seller_volume",
    metadata,
    platform_key(),
    Column("seller_id", Uuid, primary_key=True),
    Column("currency", Currency, primary_key=True),
    Column("month", Date, primary_key=True),
    Column("gross", BigInteger, nullable=False),
)
"""What each seller sold in a month (by UTC, in minor units): the volume that the tiers of a fee go by."""

tax_line = Table(
    "tax_line",
    metadata,
    platform_key(),
    Column("payment_id", Uuid, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("line_id", Text, nullable=False),
    Column("seller_id", Uuid),
    Column("seller_country", Text, nullable=False),
    Column("buyer_country", Text, nullable=False),
    Column("liable", Text, nullable=False),
    Column("jurisdiction", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("scheme", Text, nullable=False),
    Column("supply", Text, nullable=False),
    Column("ship_from", Text, nullable=False),
    Column("rate", Numeric(7, 4), nullable=False),
    Column("rule", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("net", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("tax_point", Instant, nullable=False),
    Column("cause_type", Text),
    Column("cause_id", Uuid),
)
"""One line of a sale, or one seller's fees of one decision. Amounts in minor units; below zero for what was taken back,
where `cause_type` and `cause_id` name the refund or dispute that did.

`account` is the account that took the tax, empty where somebody else than the platform owes it. `effective_at` is when
the books say it happened; `tax_point` when the supply was made, earlier where a closed period moved the entry, or where
the line takes back what was supplied before. `line_id` is empty for fees, `category` names the scheme of what is
withheld; `scheme`, `supply` and `ship_from` say how and as what a sale is declared, as far as it was decided."""

release_rule = Table(
    "release_rule",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("published_at", Instant, nullable=False),
    Column("published_by", Text, nullable=False),
)
"""The versions of a platform's rules of release; the latest holds for new sales."""
