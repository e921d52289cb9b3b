"""The tables of the books. Entries, postings and periods are only ever inserted; the app's role has no right to more.

`ledger_account` holds each account's running totals, `ledger_head` the end of a platform's chain, `ledger_hold` the
holds that are open: all three follow from the journal, and can be rebuilt from it. Balances inside the tables are net
debits (debits minus credits); `Account.balance` turns them to the account's own side.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
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
    Column("owner_type", Text),
    Column("owner_id", Uuid),
    Column("guard", Text, nullable=False),
    Column("ceiling", Minor),
    Column("state", Text, nullable=False),
    Column("debits", Minor, nullable=False),
    Column("credits", Minor, nullable=False),
    Column("pending_debits", Minor, nullable=False),
    Column("pending_credits", Minor, nullable=False),
    Column("latest_effective_at", Instant),
    Column("opened_at", Instant, nullable=False),
    Column("terms_hash", LargeBinary, nullable=False),
    UniqueConstraint("platform_id", "code", "currency"),
    Index(
        "ledger_account_platform_id_owner_id_idx",
        "platform_id",
        "owner_id",
        postgresql_where=text("owner_id is not null"),
    ),
)
"""One row per code and currency. `latest_effective_at` is the latest effective time of any of its postings.

The database keeps `guard` and `ceiling` too: a row that broke them could not be written. `terms_hash`
(`chain.terms_hash`) seals what does not follow from the journal: who changes a term makes it anew.
"""

ledger_head = Table(
    "ledger_head",
    metadata,
    platform_key(),
    Column("entries", BigInteger, nullable=False),
    Column("postings", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("closed_until", Instant),
    Column("revision", BigInteger, nullable=False),
)
"""The last numbers and the last hash. Its row lock is the one lock under which a platform's books are written.

`recorded_at` is the last entry's and never goes back; `closed_until` the end of the last closed period; `revision`
counts the changes of accounts and periods, which are no entries.
"""

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
    Column("occurred_at", Instant),
    Column("recorded_at", Instant, nullable=False),
    Column("phase", Text, nullable=False),
    Column("expires_at", Instant),
    Column("resolves", Uuid),
    Column("reverses", Uuid),
    Column("first_posting", BigInteger, nullable=False),
    Column("posting_count", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("platform_id", "number"),
    UniqueConstraint("platform_id", "key"),
    Index("journal_entry_source_id_platform_id_number_idx", "source_id", "platform_id", "number"),
    Index(
        "journal_entry_resolves_key",
        "platform_id",
        "resolves",
        unique=True,
        postgresql_where=text("resolves is not null"),
    ),
    Index(
        "journal_entry_reverses_key",
        "platform_id",
        "reverses",
        unique=True,
        postgresql_where=text("reverses is not null"),
    ),
)
"""One row per business fact. `number` is its place in the platform's chain, without gaps.

`resolves` is the hold that it posts or releases, `reverses` the entry that it undoes: each can happen once.
`occurred_at` is when the fact says that it happened, where a closed period moved `effective_at` to its end.
"""

posting = Table(
    "posting",
    metadata,
    platform_key(),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("entry_number", BigInteger, nullable=False),
    Column("debit_account_id", Uuid, nullable=False),
    Column("credit_account_id", Uuid, nullable=False),
    Column("amount", Minor, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("debit_balance_after", Minor, nullable=False),
    Column("credit_balance_after", Minor, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("debit_lag", SmallInteger, nullable=False),
    Column("credit_lag", SmallInteger, nullable=False),
    Column("held", Boolean, nullable=False),
    Index("posting_debit_account_id_effective_at_number_idx", "debit_account_id", "effective_at", "number"),
    Index("posting_credit_account_id_effective_at_number_idx", "credit_account_id", "effective_at", "number"),
    Index(
        "posting_debit_lag_idx",
        "debit_account_id",
        "debit_lag",
        "effective_at",
        postgresql_where=text("debit_lag <> 0"),
    ),
    Index(
        "posting_credit_lag_idx",
        "credit_account_id",
        "credit_lag",
        "effective_at",
        postgresql_where=text("credit_lag <> 0"),
    ),
)
"""One row per movement, in the order of recording (`number`).

The two `…_balance_after` are the accounts' net debits once this posting was recorded; the two `…_lag` say whether it
came in the order of effective times, and how late if not (`ledger.lag`).
A *held* posting belongs to a hold: it moves only what is pending, and its running balances repeat what was posted.
"""

ledger_hold = Table(
    "ledger_hold",
    metadata,
    platform_key(),
    Column("entry_id", Uuid, primary_key=True),
    Column("expires_at", Instant),
    Index("ledger_hold_expires_at_idx", "platform_id", "expires_at", postgresql_where=text("expires_at is not null")),
)
"""The holds that are open; a row goes when its hold is posted or released."""

ledger_period = Table(
    "ledger_period",
    metadata,
    platform_key(),
    Column("closed_until", Instant, primary_key=True),
    Column("closed_at", Instant, nullable=False),
    Column("closed_by", Text, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("trial_hash", LargeBinary, nullable=False),
)
"""The closed periods: each ends at `closed_until`, when the journal held `entries`; `trial_hash` seals what it held."""
