"""A return in the currency in which its sale was settled: everybody gives back of what he got, in proportion.

Proportions are of all returns together, so that many small ones make what one would, and the last one takes the rest.
"""

from collections.abc import Mapping

from marketbill.ids import public_id
from marketbill.ledger import chart
from marketbill.money import round_ratio
from marketbill.payments import booking, conversion
from marketbill.refunds.sale import Sale
from marketbill.rules.fx import spread
from marketbill.rules.line_return import Amounts

_SIGNED = ("promo", "rounding")


def cumulative(of: int, whole: int, before: int, after: int) -> int:
    """What lies between two states of a whole, of an amount that belongs to all of it."""
    if not whole:
        return 0
    return round_ratio(of * after, whole) - round_ratio(of * before, whole)


def settled(sale: Sale, legs: Mapping[str, int]) -> Amounts:
    """Some legs of a return in the settlement's currency; the same ones where that is the sale's."""
    if not sale.is_converted:
        return dict(legs)
    ratios, whole = _ratios(sale), (sale.payment.settlement_gross, sale.payment.gross)
    made: Amounts = {}
    for name, amount in legs.items():
        got, sold = ratios.get(name, whole)
        after = round_ratio(got * (sale.given.get(name, 0) + amount), sold)
        step = after - sale.given_settled.get(name, 0)
        made[name] = step if name in _SIGNED else max(0, step)
    return {name: amount for name, amount in made.items() if amount}


def _ratios(sale: Sale) -> dict[str, tuple[int, int]]:
    """By leg, what its party got in the settlement's currency for what it had in the sale's."""
    payment = sale.payment
    at = payment.booked_at
    entries = [booking.charge(payment, sale.shares, at), booking.promo(payment, sale.shares, at)]
    entries.append(booking.split(payment, sale.shares, at))
    accounts, parts = conversion.balances(
        [entry for entry in entries if entry is not None], chart.psp_pending(payment.currency)
    )
    shares = spread(payment.settlement_gross, parts)
    sums: dict[str, list[int]] = {}
    for code, amount in parts.items():
        name = _leg_of(accounts[code])
        if name is not None:
            pair = sums.setdefault(name, [0, 0])
            pair[0] += shares[code]
            pair[1] += amount
    for share in sale.shares:
        sums[f"seller:{public_id('seller', share.seller_id)}"] = [share.settled_net or 0, share.seller_net]
    return {name: (abs(got), abs(sold)) for name, (got, sold) in sums.items() if sold}


def _leg_of(account: chart.AccountRef) -> str | None:
    match account.family:
        case chart.PLATFORM_FEE | chart.OWN_FEE:
            return "fee"
        case chart.OUTPUT_VAT:
            return f"fee_tax:{account.of}"
        case chart.DEEMED_TAX:
            return f"deemed:{account.of}"
        case chart.WITHHELD_TAX:
            return f"withheld:{account.of}"
        case chart.PROMO:
            return "promo"
        case chart.PSP_FEE:
            return "processor"
        case _:
            return None
