"""Tables of the transfers (platform to seller, at the provider) and payouts (seller's provider balance to his bank)."""

from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, LargeBinary, Numeric, String, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

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


class ReversalStatus(StrEnum):
    """WAITING for its transfer to be sent; PENDING at the provider; DONE took the money back. LOWERED: the transfer was
    not sent after all, and was lowered instead. REFUSED: the provider refused it, or nothing was left to take."""

    WAITING = "WAITING"
    PENDING = "PENDING"
    DONE = "DONE"
    LOWERED = "LOWERED"
    REFUSED = "REFUSED"


class Rail(StrEnum):
    """How money reaches a seller's bank: PROVIDER pays out his account there, BANK is an order to the platform's own
    bank."""

    PROVIDER = "PROVIDER"
    BANK = "BANK"


class PayoutMethod(StrEnum):
    """INSTANT is at the bank within minutes, for a fee; STANDARD after some days."""

    STANDARD = "STANDARD"
    INSTANT = "INSTANT"


class RunOutcome(StrEnum):
    """What a run did with what a seller has in a currency. PAID: a payout. CARRIED: too little, it waits for the next
    run. BLOCKED: the seller may not be paid out now."""

    PAID = "PAID"
    CARRIED = "CARRIED"
    BLOCKED = "BLOCKED"


class ResultKind(StrEnum):
    """What a bank answers to a file: PAIN_002 tells of each order, CAMT_053 is the account's statement."""

    PAIN_002 = "PAIN_002"
    CAMT_053 = "CAMT_053"


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

reversal = Table(
    "reversal",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("transfer_id", Uuid, nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("seller_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("cause_type", Text, nullable=False),
    Column("cause_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("claims", JSONB, nullable=False, server_default="[]"),
    Column("missed", Boolean, nullable=False, server_default="false"),
    Column("decided_at", Instant),
    Column("provider_reversal", Text),
    Column("intent_id", Uuid),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("done_at", Instant),
)
"""What is taken back of a transfer, for a refund, a lost dispute, or the transfer itself when it shall go elsewhere.

`claims` are the payout items that keep the money from being paid out meanwhile (item and amount). `decided_at` is when
its cause needs to wait for it no longer; `missed` when the cause went on without its money, which then pays a debt.
"""

debt = Table(
    "debt",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("seller_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("payment_id", Uuid),
    Column("cause_type", Text, nullable=False),
    Column("cause_id", Uuid, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("step", Text, nullable=False),
    Column("next_step_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("closed_at", Instant),
)
"""What a seller owes for one cause. What remains of all of them is what `seller-receivable` holds."""

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
    Column("intent_id", Uuid),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("paid_at", Instant),
    Column("rail", Text, nullable=False, server_default="PROVIDER"),
    Column("method", Text, nullable=False, server_default="STANDARD"),
    Column("run_id", Uuid),
    Column("retry_of", Uuid),
    Column("file_id", Uuid),
    Column("bank_reference", Text),
    Column("fee", BigInteger, nullable=False, server_default="0"),
    Column("fee_tax", BigInteger, nullable=False, server_default="0"),
    Column("fee_country", String(2), nullable=False, server_default=""),
)
"""`intent_id` is None on the BANK rail, whose orders go out in files (`file_id`). `retry_of` is the payout that came
back and whose lines this one pays again. `bank_reference` is what finds it at the receiving bank, once that is told.
`fee` is what an instant one costs the seller, with `fee_tax` in it, which is `fee_country`'s."""

payout_line = Table(
    "payout_line",
    metadata,
    platform_key(),
    Column("payout_id", Uuid, primary_key=True),
    Column("item_id", Uuid, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("replaced_at", Instant),
)
"""What a payout is made of: its lines add up to it, always. Those of one that came back tell what it had, and claim
nothing any more. One that was taken for refused, and made after all, may have other lines than before: `replaced_at`
says of which it has no more."""

payout_schedule = Table(
    "payout_schedule",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("seller_id", Uuid),
    Column("terms", JSONB, nullable=False),
    Column("next_at", Instant),
    Column("next_on", Date),
    Column("next_why", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
)
"""When payouts are made by themselves: a seller's own, or without `seller_id` that of all who have none. The next date
is computed when it is known, and kept with the reason."""

payout_run = Table(
    "payout_run",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("schedule_id", Uuid, nullable=False),
    Column("seller_id", Uuid),
    Column("terms", JSONB, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("due_on", Date, nullable=False),
    Column("why", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("last_seller", Uuid),
    Column("sellers", Integer, nullable=False, server_default="0"),
)
"""One date of a schedule, carried out in batches of sellers by their ids: `last_seller` is how far it is."""

payout_run_result = Table(
    "payout_run_result",
    metadata,
    platform_key(),
    Column("run_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("seller_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("rail", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("carried", BigInteger, nullable=False),
    Column("payout_id", Uuid),
    Column("reason", Text),
)
"""What a run did with the `amount` that a seller had: `carried` of it waits for the next one."""

payout_pause = Table(
    "payout_pause",
    metadata,
    platform_key(),
    Column("seller_id", Uuid, primary_key=True),
    Column("payout_id", Uuid, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("ended_at", Instant),
)
"""A bank sent a payout of this seller back, so that no run makes another before his bank account changed."""

payee = Table(
    "payee",
    metadata,
    platform_key(),
    Column("seller_id", Uuid, primary_key=True),
    Column("rail", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("iban", Text, nullable=False),
    Column("iban_last4", Text, nullable=False),
    Column("bic", Text),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
)
"""A seller's bank account for the BANK rail (`iban` is sealed), and by which rail he is paid from now on."""

bank_debtor = Table(
    "bank_debtor",
    metadata,
    platform_key(),
    Column("currency", Currency, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("iban", Text, nullable=False),
    Column("iban_last4", Text, nullable=False),
    Column("bic", Text),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
)
"""The platform's own bank account in a currency, which bank files are paid from (`iban` is sealed)."""

bank_file = Table(
    "bank_file",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("currency", Currency, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("execute_on", Date, nullable=False),
    Column("payouts", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
)
"""An order to the bank (ISO 20022 pain.001) for payouts of the BANK rail: the file as it was made, sealed."""

float_short = Table(
    "float_short",
    metadata,
    platform_key(),
    Column("currency", Currency, primary_key=True),
    Column("short", BigInteger, nullable=False),
    Column("since", Instant),
)
"""By how much the platform's balance at the provider will not do in the next days, as the last forecast had it, and
since when; 0 where it does."""

bank_result = Table(
    "bank_result",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("outcome", JSONB, nullable=False),
    Column("imported_at", Instant, nullable=False),
    Column("imported_by", Text, nullable=False),
)
"""A file of the bank's that was imported, each once: what it said of which payouts."""

reserve = Table(
    "reserve",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("payment_id", Uuid, nullable=False),
    Column("seller_id", Uuid, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("percent", Numeric(7, 4), nullable=False),
    Column("release_rule_id", Uuid, nullable=False),
    Column("release_on", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("released_at", Instant),
)
"""What was kept back of a seller's share of a sale, by the rules under which it was made, until `release_on`."""
