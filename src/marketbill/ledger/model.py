"""The tables of the books. Entries, postings and blocks are only ever inserted; the app's role has no right to more.

`ledger_account` holds each account's running totals, `ledger_head` the end of a platform's chain. Balances inside the
tables are net debits (debits minus credits); `Account.balance` turns them to the account's own side.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Currency, Instant, Minor, metadata, platform_key

ledger_account = Table(
    "ledger_account",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("code", Text, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("kind", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("seller_id", Uuid),
    Column("guard", Text, nullable=False),
    Column("debits", Minor, nullable=False),
    Column("credits", Minor, nullable=False),
    Column("latest_effective_at", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False),
    UniqueConstraint("platform_id", "code", "currency"),
    CheckConstraint(
        "guard = 'NONE' or case side when 'DEBIT' then debits >= credits else credits >= debits end",
        name="guard_holds",
    ),
    Index(
        "ledger_account_platform_id_seller_id_idx",
        "platform_id",
        "seller_id",
        postgresql_where=text("seller_id is not null"),
    ),
)
"""One row per code and currency. `latest_effective_at` is the latest effective time of any of its postings."""

ledger_head = Table(
    "ledger_head",
    metadata,
    platform_key(),
    Column("entries", BigInteger, nullable=False),
    Column("postings", BigInteger, nullable=False),
    Column("blocks", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
"""The last numbers and the last hash. Its row lock is the one lock under which a platform's books are written."""

ledger_block = Table(
    "ledger_block",
    metadata,
    platform_key(),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("first_entry", BigInteger, nullable=False),
    Column("last_entry", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)
"""One row per call of `journal.post`: the entries it wrote, sealed onto the block before."""

journal_entry = Table(
    "journal_entry",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source_type", Text, nullable=False),
    Column("source_id", Uuid, nullable=False),
    Column("description", Text, nullable=False),
    Column("reason", JSONB, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("block", BigInteger, nullable=False),
    UniqueConstraint("platform_id", "number"),
    UniqueConstraint("platform_id", "key"),
    Index("journal_entry_source_id_platform_id_number_idx", "source_id", "platform_id", "number"),
)
"""One row per business fact. `number` is its place in the platform's chain, without gaps."""

posting = Table(
    "posting",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("debit_account_id", Uuid, nullable=False),
    Column("credit_account_id", Uuid, nullable=False),
    Column("amount", Minor, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("debit_balance_after", Minor, nullable=False),
    Column("credit_balance_after", Minor, nullable=False),
    Column("debit_late", Boolean, nullable=False),
    Column("credit_late", Boolean, nullable=False),
    UniqueConstraint("platform_id", "entry_id", "ordinal"),
    CheckConstraint("debit_account_id <> credit_account_id", name="two_accounts"),
    Index(
        "posting_platform_id_debit_account_id_effective_at_number_idx",
        "platform_id",
        "debit_account_id",
        "effective_at",
        "number",
    ),
    Index(
        "posting_platform_id_credit_account_id_effective_at_number_idx",
        "platform_id",
        "credit_account_id",
        "effective_at",
        "number",
    ),
    Index(
        "posting_debit_late_idx",
        "platform_id",
        "debit_account_id",
        "number",
        postgresql_where=text("debit_late"),
    ),
    Index(
        "posting_credit_late_idx",
        "platform_id",
        "credit_account_id",
        "number",
        postgresql_where=text("credit_late"),
    ),
)
"""One row per movement, in the order of recording (`number`).

The two `…_balance_after` are the accounts' net debits once this posting was recorded. A side is *late* when its account
already had a posting of a later effective time; the running balances of the others answer "how much was it at?" alone.
"""
