"""Amounts: an `int` of minor units beside an ISO 4217 code, read and written without ever losing a cent.

Inside marketbill an amount is a plain `int` (cents, yen, fils) and its currency a `str`; text and symbols exist only at
the edges, and this module is the way in and out. No float comes near.
"""

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

import iso4217
from moneyed import Currency, Money
from moneyed.l10n import format_money

from marketbill.errors import InvalidInput, Path

#: The largest amount, of either sign, that one field may hold: 10^15 minor units. Nine thousand of them still sum
#: within PostgreSQL's BIGINT (9.2 * 10^18), and each is below 2^53, so a JavaScript client that makes a number of it
#: loses nothing.
AMOUNT_MINOR_MAX = 10**15

#: The exponents in circulation. CLF and UYW (4) are units of account and metals have none: nobody can pay with them.
EXPONENTS = (0, 2, 3)

_EXPONENT_BY_CODE: dict[str, int] = {
    str(currency.code): currency.exponent for currency in iso4217.Currency if currency.exponent in EXPONENTS
}

_AMOUNT_TEXT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_AMOUNT_TEXT_LENGTH_MAX = 40
_SYMBOL_LETTER_BEFORE_DIGIT = re.compile(r"(?<=[^\W\d_])(?=[0-9])")
_DISPLAY_LOCALE = "en_US"


class UnknownCurrency(InvalidInput):
    """Not a current ISO 4217 code with 0, 2 or 3 decimals, in capitals."""

    def __init__(self, currency: str, *, path: Path = ()) -> None:
        shown = currency[:10]
        super().__init__(
            f"{shown!r} is not a currency that can be paid with: use a current ISO 4217 code such as 'EUR'.",
            path=path,
            constraint="ISO 4217 code with 0, 2 or 3 decimals",
        )
        self.currency = currency


class NotAnAmount(InvalidInput):
    """Text that is not a plain decimal number such as `12.10`."""

    def __init__(self, text: str, *, path: Path = ()) -> None:
        super().__init__(
            f"{text[:_AMOUNT_TEXT_LENGTH_MAX]!r} is not an amount: write digits with a point, such as '12.10'.",
            path=path,
            constraint="decimal number with a point, no separators, no exponent",
        )
        self.text = text


class TooManyDecimals(InvalidInput):
    """More decimals than the currency has. Never rounded, and never trimmed: `12.100` may be a mistyped thousand."""

    def __init__(self, text: str, currency: str, *, path: Path = ()) -> None:
        allowed = exponent(currency)
        super().__init__(
            f"{text!r} has too many decimals: {currency} has {allowed}.", path=path, constraint=f"<= {allowed} decimals"
        )
        self.text = text
        self.currency = currency


class AmountTooLarge(InvalidInput):
    """An amount beyond `AMOUNT_MINOR_MAX`."""

    def __init__(self, *, path: Path = ()) -> None:
        super().__init__(
            "The amount is too large: at most 10^15 minor units.", path=path, constraint=f"<= {AMOUNT_MINOR_MAX}"
        )


def exponent(currency: str, *, path: Path = ()) -> int:
    """The number of decimals of a currency: 0, 2 or 3 (source: the ISO 4217 list). Raises `UnknownCurrency`."""
    decimals = _EXPONENT_BY_CODE.get(currency)
    if decimals is None:
        raise UnknownCurrency(currency, path=path)
    return decimals


def bounded(amount_minor: int, *, path: Path = ()) -> int:
    """The same amount, once it is known to lie within `AMOUNT_MINOR_MAX` of zero. Raises `AmountTooLarge`."""
    if not -AMOUNT_MINOR_MAX <= amount_minor <= AMOUNT_MINOR_MAX:
        raise AmountTooLarge(path=path)
    return amount_minor


def decimal_text(amount_minor: int, currency: str) -> str:
    """The exact amount in major units with all decimals of its currency: 1210 EUR is `12.10`, 5120 KWD `5.120`."""
    decimals = exponent(currency)
    sign = "-" if amount_minor < 0 else ""
    if decimals == 0:
        return f"{amount_minor}"
    major, minor = divmod(abs(amount_minor), 10**decimals)
    return f"{sign}{major}.{minor:0{decimals}d}"


def parse_decimal(text: str, currency: str, *, path: Path = ()) -> int:
    """Minor units of an amount written in major units. `12.1`, `12.10` and `12` are EUR amounts; `12.100` is refused.

    Raises `UnknownCurrency`, `NotAnAmount`, `TooManyDecimals`, `AmountTooLarge`.
    """
    decimals = exponent(currency, path=path)
    if len(text) > _AMOUNT_TEXT_LENGTH_MAX:
        raise NotAnAmount(text, path=path)
    match = _AMOUNT_TEXT.fullmatch(text)
    if match is None:
        raise NotAnAmount(text, path=path)
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(fraction) > decimals:
        raise TooManyDecimals(text, currency, path=path)
    amount_minor = int(whole + fraction.ljust(decimals, "0"))
    return bounded(-amount_minor if sign else amount_minor, path=path)


def display(amount_minor: int, currency: str) -> str:
    """The amount as a person reads it, in English: `€121.00`, `¥1,005`, `KWD 5.120` (with a no-break space).

    The decimals come from ISO 4217 through a pattern of our own. Unicode's CLDR, left to itself, shows 13 currencies
    (LBP, RSD, IQD and others) with no decimals and would print those amounts rounded.
    """
    money = Money(Decimal(decimal_text(amount_minor, currency)), _moneyed(currency))
    text = format_money(money, format=_display_pattern(currency), locale=_DISPLAY_LOCALE, currency_digits=False)
    # CLDR asks for a space between a symbol that ends in a letter and the digits; babel does not put one.
    return _SYMBOL_LETTER_BEFORE_DIGIT.sub("\u00a0", text, count=1)


def round_half_away(exact: Fraction) -> int:
    """The nearest integer; a half goes away from zero: 2.5 is 3, -2.5 is -3 (the rounding called R in our rules)."""
    return round_ratio(exact.numerator, exact.denominator)


def round_ratio(numerator: int, denominator: int) -> int:
    """`round_half_away` of numerator / denominator, without building a Fraction. The denominator is positive."""
    if numerator < 0:
        return -((-2 * numerator + denominator) // (2 * denominator))
    return (2 * numerator + denominator) // (2 * denominator)


@lru_cache(maxsize=256)
def _moneyed(currency: str) -> Currency:
    # Made here and not looked up: py-moneyed's own list is of 2022 and lacks XCG and ZWG.
    return Currency(code=currency, sub_unit=10 ** exponent(currency))


@lru_cache(maxsize=256)
def _display_pattern(currency: str) -> str:
    decimals = exponent(currency)
    return "¤#,##0" + ("." + "0" * decimals if decimals else "")
