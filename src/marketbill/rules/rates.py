"""Percentages: a `Decimal` from 0 to 100 with at most four decimals, turned into an integer once."""

from decimal import Decimal
from functools import lru_cache

from marketbill.errors import InvalidInput, Path

RATE_DECIMALS_MAX = 4

#: A rate of 100 percent in parts: `amount * parts / WHOLE` is the exact share of an amount.
WHOLE = 100 * 10**RATE_DECIMALS_MAX

_PART = Decimal(1).scaleb(-RATE_DECIMALS_MAX)
_OUT_OF_RANGE, _TOO_PRECISE = -1, -2


class RateOutOfRange(InvalidInput):
    """A percentage below 0, above 100, or no number at all."""

    def __init__(self, rate: Decimal, *, path: Path = ()) -> None:
        super().__init__(
            "The rate must be a percentage from 0 to 100, such as '21' for 21 %.", path=path, constraint=">= 0, <= 100"
        )
        self.rate = rate


class RateTooPrecise(InvalidInput):
    """A percentage that needs more than four decimals."""

    def __init__(self, rate: Decimal, *, path: Path = ()) -> None:
        super().__init__(
            f"The rate has too many decimals: at most {RATE_DECIMALS_MAX}.",
            path=path,
            constraint=f"<= {RATE_DECIMALS_MAX} decimals",
        )
        self.rate = rate


def rate_parts(rate: Decimal, *, path: Path = ()) -> int:
    """A percentage in parts of `WHOLE`: 21 is 210000. Raises `RateOutOfRange` and `RateTooPrecise`."""
    parts = _exact_parts(rate) if rate.is_finite() else _OUT_OF_RANGE
    if parts >= 0:
        return parts
    raise RateOutOfRange(rate, path=path) if parts == _OUT_OF_RANGE else RateTooPrecise(rate, path=path)


@lru_cache(maxsize=512)
def _exact_parts(rate: Decimal) -> int:
    # A sale meets the same few rates on every line, and Decimal arithmetic is what would cost the most in a split.
    if not 0 <= rate <= 100:
        return _OUT_OF_RANGE
    shortened = rate.quantize(_PART)
    return int(shortened.scaleb(RATE_DECIMALS_MAX)) if shortened == rate else _TOO_PRECISE
