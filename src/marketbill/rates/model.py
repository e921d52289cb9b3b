"""The table of exchange rates. They are public and the same for everybody, so no platform owns a row."""

from sqlalchemy import BigInteger, Column, Date, Table, Text

from marketbill.db import Currency, Instant, metadata

exchange_rate = Table(
    "exchange_rate",
    metadata,
    Column("source", Text, primary_key=True),
    Column("base", Currency, primary_key=True),
    Column("quote", Currency, primary_key=True),
    Column("fixed_on", Date, primary_key=True),
    Column("numerator", BigInteger, nullable=False),
    Column("denominator", BigInteger, nullable=False),
    Column("read_at", Instant, nullable=False),
)
"""One unit of `base` was worth numerator / denominator units of `quote`, as `source` fixed it on a day. A row is never
changed: what is published once stays. `read_at` tells when it came here."""
