"""Amounts on Stripe's wire: an integer whose unit is mostly, but not always, the minor unit of ISO 4217.

Source: Stripe's page on supported currencies (zero-decimal list, special cases, three-decimal rule, maximum).
"""

from marketbill.errors import InvalidInput
from marketbill.money import decimal_text, exponent

ZERO_DECIMAL = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
#: Written with two decimals, though they have none: the amount must be a whole number of hundreds.
HUNDREDFOLD = frozenset({"ISK", "UGX"})
#: Three decimals, of which the last must be 0.
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
#: Two decimals to charge, but paid out in whole units only.
WHOLE_PAYOUT = frozenset({"HUF", "TWD", "ISK", "UGX"})
#: The largest charge, in Stripe's units.
CHARGE_MAX = 99_999_999
CHARGE_MAX_BY_CURRENCY = {"IDR": 999_999_999_999}


class NotOnTheWire(InvalidInput):
    """Stripe cannot move exactly this amount of this currency; it is never rounded for it."""

    def __init__(self, amount: int, currency: str, constraint: str) -> None:
        super().__init__(
            f"Stripe cannot move {decimal_text(amount, currency)} {currency}: {constraint}.",
            path=("amount",),
            constraint=constraint,
        )
        self.amount = amount
        self.currency = currency


def to_stripe(amount: int, currency: str) -> int:
    """Stripe's number for an amount in minor units. Raises NotOnTheWire when there is none."""
    if currency in HUNDREDFOLD:
        return amount * 10 ** (2 - exponent(currency))
    if currency in ZERO_DECIMAL:
        return _whole(amount, currency, 10 ** exponent(currency), "whole units only")
    if currency in THREE_DECIMAL:
        _whole(amount, currency, 10, "the third decimal must be 0")
    return amount


def to_stripe_charge(amount: int, currency: str) -> int:
    """The same for a charge, which has a maximum."""
    wire = to_stripe(amount, currency)
    if wire > CHARGE_MAX_BY_CURRENCY.get(currency, CHARGE_MAX):
        raise NotOnTheWire(amount, currency, "the largest single charge is exceeded")
    return wire


def to_stripe_payout(amount: int, currency: str) -> int:
    """The same for a payout, which is of whole units in some currencies."""
    wire = to_stripe(amount, currency)
    if currency in WHOLE_PAYOUT:
        _whole(wire, currency, 100, "payouts are of whole units")
    return wire


def transferable_part(amount: int, currency: str) -> int:
    """The largest amount up to `amount` that can be transferred, in minor units; the rest stays owed to the seller."""
    if currency in ZERO_DECIMAL:
        return amount // 10 ** exponent(currency) * 10 ** exponent(currency)
    return amount // 10 * 10 if currency in THREE_DECIMAL else amount


def payable_part(amount: int, currency: str) -> int:
    """The largest amount up to `amount` that can be paid out, in minor units; the rest waits for the next payout."""
    step = 100 if currency in WHOLE_PAYOUT - HUNDREDFOLD else 10 if currency in THREE_DECIMAL else 1
    if currency in ZERO_DECIMAL:
        step = 10 ** exponent(currency)
    return amount // step * step


def from_stripe(wire: int, currency: str) -> int:
    """Minor units of Stripe's number. Raises ValueError for a number that is no amount of the currency."""
    if currency in HUNDREDFOLD:
        minor, rest = divmod(wire, 10 ** (2 - exponent(currency)))
        if rest:
            raise ValueError(f"{wire} is not a whole amount of {currency}")
        return minor
    if currency in ZERO_DECIMAL:
        return wire * 10 ** exponent(currency)
    return wire


def _whole(amount: int, currency: str, step: int, constraint: str) -> int:
    quotient, rest = divmod(amount, step)
    if rest:
        raise NotOnTheWire(amount, currency, constraint)
    return quotient
