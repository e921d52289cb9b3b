"""Percentages: a `Decimal` from 0 to 100 with at most four decimals, turned into an integer once."""

from decimal import Decimal

from marketbill.errors import InvalidInput, Path

RATE_DECIMALS_MAX = 4

#: A rate of 100 percent in parts: `amount * parts / WHOLE` is the exact share of an amount.
WHOLE = 100 * 10**RATE_DECIMALS_MAX


class RateOutOfRange(InvalidInput):
    """A percentage below 0, above 100, or no number at all."""

    def __init__(self, rate: Decimal, *, path: Path = ()) -> None:
        super().__init__(
            "The rate must be a percentage from 0 to 100, such as '21' for 21 %.", path=path, constraint=">= 0, <= 100"
        )
        self.rate = rate


class RateTooPrecise(InvalidInput):
    """A percentage written with more than four decimals."""

    def __init__(self, rate: Decimal, *, path: Path = ()) -> None:
        super().__init__(
            f"The rate has too many decimals: at most {RATE_DECIMALS_MAX}.",
            path=path,
            constraint=f"<= {RATE_DECIMALS_MAX} decimals",
        )
        self.rate = rate


def rate_parts(rate: Decimal, *, path: Path = ()) -> int:
    """A percentage in parts of `WHOLE`: 21 is 210000. Raises `RateOutOfRange` and `RateTooPrecise`."""
    if not rate.is_finite() or not 0 <= rate <= 100:
        raise RateOutOfRange(rate, path=path)
    decimals = rate.as_tuple().exponent
    if not isinstance(decimals, int) or decimals < -RATE_DECIMALS_MAX:
        raise RateTooPrecise(rate, path=path)
    return int(rate.scaleb(RATE_DECIMALS_MAX))


def rate_text(parts: int) -> str:
    """A rate in parts of `WHOLE` as the shortest decimal text in percent: 210000 is `21`, 5500 is `0.55`."""
    whole, fraction = divmod(parts, 10**RATE_DECIMALS_MAX)
    return f"{whole}.{fraction:0{RATE_DECIMALS_MAX}d}".rstrip("0").rstrip(".")
