"""Tables of reconciliation: what was found to differ, and how far the provider's records were compared."""

from sqlalchemy import BigInteger, Column, Table, Text, Uuid

from marketbill.db import Currency, Instant, metadata, platform_key

drift = Table(
    "drift",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("thing", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("name", Text),
    Column("provider_id", Text),
    Column("account", Text),
    Column("currency", Currency, nullable=False),
    Column("expected", BigInteger, nullable=False),
    Column("found", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("accepted_by", Text),
    Column("accepted_at", Instant),
    Column("accept_reason", Text),
)
"""A difference between the provider and us, from when it was found (`opened_at`) until it was found no more
(`closed_at`). `key` is the same for the same drift; `at` is when the money moved. `expected` is what the provider says,
`found` what we say. An operator may accept one, which holds as long as its amounts stay the same."""

reconcile_cursor = Table(
    "reconcile_cursor",
    metadata,
    platform_key(),
    Column("fresh_until", Instant, nullable=False),
    Column("again_until", Instant, nullable=False),
    Column("tried_at", Instant, nullable=False),
    Column("leased_until", Instant),
    Column("ran_at", Instant),
    Column("failing_since", Instant),
    Column("error", Text),
)
"""How far a platform was compared: everything before `fresh_until` once, and over and over again what is not too old,
now before `again_until`. `leased_until`: a worker is at it. `ran_at` is when a cycle came to its end last."""
