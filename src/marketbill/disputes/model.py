"""Tables of disputes and fraud warnings. Amounts are minor units; each table says of which currency."""

from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Currency, Instant, metadata, platform_key


class RecoverAt(StrEnum):
    """When the sellers' parts are taken back: as soon as money was withdrawn, or once the dispute is lost."""

    OPENED = "OPENED"
    LOST = "LOST"


class DisputeHold(StrEnum):
    """What is kept from release while a dispute is open: all that its sellers get, their parts of the disputed payment
    alone, or nothing."""

    SELLER = "SELLER"
    PAYMENT = "PAYMENT"
    NOTHING = "NOTHING"


class OnFraudWarning(StrEnum):
    """What is done when an issuer warns: nothing, hold the payment, or refund it when it is not above an amount, and
    else hold it."""

    NOTHING = "NOTHING"
    HOLD = "HOLD"
    REFUND_BELOW = "REFUND_BELOW"


class WarningAction(StrEnum):
    """What a fraud warning led to."""

    NOTHING = "NOTHING"
    HOLD = "HOLD"
    REFUND = "REFUND"


class Answer(StrEnum):
    """What the platform answered: CONTESTING and ACCEPTING while the provider is asked, REFUSED when it said no."""

    CONTESTING = "CONTESTING"
    CONTESTED = "CONTESTED"
    ACCEPTING = "ACCEPTING"
    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"


class RecoveryStatus(StrEnum):
    """BEGUN: the sellers' parts are being taken back. BOOKED: with the loss. UNDONE: given back, for it was won."""

    BEGUN = "BEGUN"
    BOOKED = "BOOKED"
    UNDONE = "UNDONE"


dispute_policy = Table(
    "dispute_policy",
    metadata,
    platform_key(),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("recover_at", Text, nullable=False),
    Column("hold", Text, nullable=False),
    Column("countered_fees", JSONB, nullable=False),
    Column("on_fraud_warning", Text, nullable=False),
    Column("refund_below", JSONB, nullable=False),
    Column("note", Text, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("published_at", Instant, nullable=False),
)
"""How a platform deals with disputes, by version; the newest holds for what comes in. `countered_fees` is what the
provider is expected to charge for answering, by currency, until it has charged it once."""

dispute = Table(
    "dispute",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("payment_id", Uuid, nullable=False),
    Column("provider_dispute", Text, nullable=False),
    Column("charge", Text, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("network_reason", Text),
    Column("status", Text, nullable=False),
    Column("provider_status", Text, nullable=False),
    Column("due_by", Instant),
    Column("submissions", Integer, nullable=False, server_default="0"),
    Column("settlement_currency", Currency),
    Column("withdrawn", BigInteger, nullable=False, server_default="0"),
    Column("reinstated", BigInteger, nullable=False, server_default="0"),
    Column("won", BigInteger, nullable=False, server_default="0"),
    Column("fees", BigInteger, nullable=False, server_default="0"),
    Column("fees_returned", BigInteger, nullable=False, server_default="0"),
    Column("policy_version", Integer, nullable=False),
    Column("recover_at", Text, nullable=False),
    Column("answer", Text),
    Column("answered_by", Text),
    Column("answered_at", Instant),
    Column("explanation", Text),
    Column("opened_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("settle_since", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
"""A dispute. `amount` is what the buyer contests and `won` what of it was won back, in the sale's currency; what the
provider moved for it until now (`withdrawn`, `reinstated`, `fees`, `fees_returned`) is in the settlement's.
`settle_since` is set while the sellers' parts wait to be taken back or given back."""

dispute_movement = Table(
    "dispute_movement",
    metadata,
    platform_key(),
    Column("balance_transaction", Text, primary_key=True),
    Column("dispute_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("disputed", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("moved_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
)
"""Each movement of the provider's balance for a dispute, as the provider signs it: booked once, with its row.
`disputed` is its amount in the sale's currency."""

dispute_recovery = Table(
    "dispute_recovery",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("dispute_id", Uuid, nullable=False),
    Column("round", Integer, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("lost", BigInteger, nullable=False),
    Column("taken", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("begun_at", Instant, nullable=False),
    Column("booked_at", Instant),
    Column("undone_at", Instant),
)
"""Taking back from the sellers what a dispute took: `lost` in the sale's currency, `taken` in that of the settlement. A
dispute has more than one where it was won, or won in part, after the first had begun; the first has the dispute's own
id. Under its id are kept what it undoes of the sale (`sale_return`) and what it takes from whom (`clawback`)."""

dispute_evidence = Table(
    "dispute_evidence",
    metadata,
    platform_key(),
    Column("dispute_id", Uuid, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("field", Text, nullable=False),
    Column("content", Text),
    Column("file_id", Text),
    Column("file_url", Text),
    Column("file_name", Text),
    Column("file_sha256", Text),
    Column("added_by", Text, nullable=False),
    Column("added_at", Instant, nullable=False),
)
"""What is said to the bank, under the provider's names of its fields: the newest row of a field counts, and one without
content or file takes it back. A file is kept by reference: where it is, and the hash of its bytes."""

fraud_warning = Table(
    "fraud_warning",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("payment_id", Uuid, nullable=False),
    Column("provider_warning", Text, nullable=False),
    Column("charge", Text, nullable=False),
    Column("fraud_type", Text, nullable=False),
    Column("actionable", Boolean, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("action", Text, nullable=False),
    Column("explanation", Text),
    Column("refund_id", Uuid),
    Column("warned_at", Instant, nullable=False),
    Column("act_since", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
"""An issuer's word that a charge is fraud, before or without a dispute, and what the platform's policy made of it.
`act_since` is set while a refund waits to be made."""
