"""Exchange rates as exact ratios with their source and time, and conversion by them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """One unit of `base` is worth `numerator / denominator` units of `quote`, in whole units (not minor ones).

    `source` says who told it (`ecb`, `stripe:txn_…`), `at` when it was told or fixed.
    """

    base: str
    quote: str
    numerator: int
    denominator: int
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates that a computation may use, by (base, quote)."""

    by_pair: Mapping[tuple[str, str], ExchangeRate] = field(default_factory=dict)


NO_RATES = Rates()
