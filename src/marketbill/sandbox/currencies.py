"""Currency rules of the wire: how many decimals, least amounts, steps, and how an error names an amount."""

from __future__ import annotations

from marketbill.sandbox.wire import invalid

ZERO_DECIMAL = frozenset((
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
))  # fmt: skip
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
#: Passed with two decimals although they have none, so always whole hundreds.
HUNDREDS = frozenset(["isk", "ugx"])
#: Charged with two decimals, paid out in whole units only.
PAYOUT_HUNDREDS = frozenset(["huf", "twd", "isk", "ugx"])

SUPPORTED = frozenset((
    "usd", "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd", "bdt", "bgn", "bhd",
    "bif", "bmd", "bnd", "bob", "brl", "bsd", "btn", "bwp", "byn", "bzd", "cad", "cdf", "chf", "clp", "cny", "cop",
    "crc", "cup", "cve", "czk", "djf", "dkk", "dop", "dzd", "egp", "ern", "etb", "eur", "fjd", "fkp", "gbp", "gel",
    "ghs", "gip", "gmd", "gnf", "gtq", "gyd", "hkd", "hnl", "htg", "huf", "idr", "ils", "inr", "iqd", "irr", "isk",
    "jmd", "jod", "jpy", "kes", "kgs", "khr", "kmf", "kpw", "krw", "kwd", "kyd", "kzt", "lak", "lbp", "lkr", "lrd",
    "lsl", "lyd", "mad", "mdl", "mga", "mkd", "mmk", "mnt", "mop", "mru", "mur", "mvr", "mwk", "mxn", "myr", "mzn",
    "nad", "ngn", "nio", "nok", "npr", "nzd", "omr", "pab", "pen", "pgk", "php", "pkr", "pln", "pyg", "qar", "ron",
    "rsd", "rub", "rwf", "sar", "sbd", "scr", "sdg", "sek", "sgd", "shp", "sle", "sos", "srd", "ssp", "stn", "svc",
    "syp", "szl", "thb", "tjs", "tmt", "tnd", "top", "try", "ttd", "twd", "tzs", "uah", "ugx", "uyu", "uzs", "ves",
    "vnd", "vuv", "wst", "xaf", "xcd", "xcg", "xof", "xpf", "yer", "zar", "zmw", "zwg",
))  # fmt: skip

#: Least charge, in minor units, by currency.
CHARGE_MINIMUM = {
    "usd": 50, "eur": 50, "gbp": 30, "jpy": 50, "cad": 50, "aud": 50, "chf": 50, "sek": 300, "dkk": 250, "nok": 300,
    "pln": 200, "czk": 1500, "huf": 17500, "hkd": 400, "mxn": 1000, "sgd": 50, "nzd": 50, "ron": 200, "bgn": 100,
    "brl": 50, "inr": 50, "aed": 200, "thb": 1000, "myr": 200,
}  # fmt: skip

AMOUNT_MAXIMUM = 99_999_999
AMOUNT_MAXIMUM_BY_CURRENCY = {"idr": 999_999_999_999}

_SYMBOLS = {
    "usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "cad": "CA$", "aud": "A$", "inr": "₹", "krw": "₩", "nzd": "NZ$",
}  # fmt: skip


def exponent(currency: str) -> int:
    """Return how many decimals the wire gives this currency."""
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def step(currency: str) -> int:
    """Return what every amount of the currency must be a multiple of."""
    return 100 if currency in HUNDREDS else 10 if currency in THREE_DECIMAL else 1


def payout_step(currency: str) -> int:
    """Return what every payout in the currency must be a multiple of."""
    return 100 if currency in PAYOUT_HUNDREDS else step(currency)


def maximum_amount(currency: str) -> int:
    """Return the greatest amount of one charge, transfer or payout, in minor units."""
    return AMOUNT_MAXIMUM_BY_CURRENCY.get(currency, AMOUNT_MAXIMUM)


def in_words(amount: int, currency: str) -> str:
    """Return an amount as error texts show it: ``$6.00``, ``¥500``, ``12.00 sek``."""
    digits = exponent(currency)
    whole, rest = divmod(abs(amount), 10**digits)
    number = f"{whole:,}" + (f".{rest:0{digits}d}" if digits else "")
    sign = "-" if amount < 0 else ""
    symbol = _SYMBOLS.get(currency)
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency}"


def checked_currency(given: str, *, param: str = "currency") -> str:
    """Return the currency in lower case.

    :raises ApiError: it is not a currency that can be presented.
    """
    currency = given.lower()
    if currency not in SUPPORTED:
        raise invalid(
            f"Invalid currency: {given}. Stripe currently supports these currencies: {', '.join(sorted(SUPPORTED))}",
            param=param,
        )
    return currency


def check_positive(amount: int, *, param: str = "amount") -> None:
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", code="parameter_invalid_integer", param=param)


def check_step(amount: int, currency: str, *, param: str = "amount") -> None:
    """Refuse an amount finer than the currency allows (last digit 0, or whole hundreds)."""
    least = step(currency)
    if amount % least:
        raise invalid(
            f"Invalid integer: {amount}. Amounts in {currency} must be divisible by {least}.",
            code="parameter_invalid_integer",
            param=param,
        )


def check_maximum(amount: int, currency: str, *, param: str = "amount") -> None:
    maximum = maximum_amount(currency)
    if amount > maximum:
        raise invalid(
            f"Amount must be no more than {in_words(maximum, currency)}", code="amount_too_large", param=param
        )


def check_charge_amount(amount: int, currency: str, *, least: int | None = None) -> None:
    """Check an amount to be charged against sign, greatest amount, step and least amount, in that order.

    Without ``least`` it is the currency's own.
    """
    if amount < 1:
        raise invalid(
            "This value must be greater than or equal to 1. The amount must be greater than or equal to the minimum "
            "charge amount allowed for your account and the currency set. If you want to save a Payment Method for "
            "future use without an immediate payment, use a Setup Intent instead.",
            code="parameter_invalid_integer",
            param="amount",
        )
    check_maximum(amount, currency)
    check_step(amount, currency)
    least = CHARGE_MINIMUM.get(currency, 1) if least is None else least
    if amount < least:
        said = in_words(least, currency).removesuffix(f" {currency}")
        raise invalid(f"Amount must be at least {said} {currency}", code="amount_too_small", param="amount")
