"""The postings of a return, pure: its bearers' parts against what the buyer is owed (R1, D3 of the worked journal)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from marketbill.ids import SellerId
from marketbill.ledger import chart
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.journal import Posting
from marketbill.refunds.arithmetic import PROMO, ROUNDING, Returned

Side = tuple[AccountRef, int]


class Taken(NamedTuple):
    """Where one seller's part is taken from, in the settlement's currency: what waits for its release, and what is
    payable (after a reversal, or as a debt)."""

    seller: SellerId
    pending: int
    payable: int


def postings(made: Returned, taken: Sequence[Taken], owed: AccountRef) -> tuple[Posting, ...]:
    """Who gives what, against `owed`: what buyers are to be refunded, or a dispute's account.

    What goes back to the platform itself (its discount, the provider's fee that it charges on) is taken of the sellers
    first. A part that is not taken whole is the caller's defect.
    """
    currency = made.settlement_currency
    found = {one.seller: one.pending + one.payable for one in taken}
    if any(found.get(seller, 0) != part for seller, part in made.parts.items()):
        raise AssertionError(f"sellers give {found}, not {made.parts}")
    debits = [*_sellers(taken, currency), *_platform(made, currency)]
    credits = [
        (chart.psp_fee(currency), sum(made.recharges.values())),
        (chart.account(chart.PROMO, currency), made.settled.get(PROMO, 0)),
        (chart.account(chart.ROUNDING, currency), -min(0, made.settled.get(ROUNDING, 0))),
        (owed, made.settlement_amount),
    ]
    return tuple(_matched(debits, credits))


def mirrored(entry: Iterable[Posting]) -> tuple[Posting, ...]:
    """The same the other way round."""
    return tuple(Posting(one.credit, one.debit, one.amount) for one in entry)


def fx_difference(owed: AccountRef, available: AccountRef, *, expected: int, real: int) -> tuple[Posting, ...]:
    """R3: what was owed, `expected`, is paid with `real` of what is available; the rates bear the difference."""
    loss = chart.account(chart.FX_LOSS, owed.currency)
    made = [Posting(owed, available, min(expected, real))] if min(expected, real) else []
    if real > expected:
        made.append(Posting(loss, available, real - expected))
    elif expected > real:
        made.append(Posting(owed, loss, expected - real))
    return tuple(made)


def fx_return(owed: AccountRef, available: AccountRef, *, expected: int, real: int) -> tuple[Posting, ...]:
    """A payment that came back with `real`: the buyer is owed what he was, `expected`, and the rates bear the rest."""
    loss = chart.account(chart.FX_LOSS, owed.currency)
    made = [Posting(available, owed, min(expected, real))] if min(expected, real) else []
    if expected > real:
        made.append(Posting(loss, owed, expected - real))
    elif real > expected:
        made.append(Posting(available, loss, real - expected))
    return tuple(made)


def _sellers(taken: Sequence[Taken], currency: str) -> Iterator[Side]:
    for one in taken:
        yield chart.seller_pending(one.seller, currency), one.pending
        yield chart.seller_payable(one.seller, currency), one.payable


def _platform(made: Returned, currency: str) -> Iterator[Side]:
    yield chart.account(chart.FEE_REFUNDED, currency), made.fee_refunded
    yield from _by(chart.OUTPUT_VAT, currency, made.fee_tax)
    yield from _by(chart.DEEMED_TAX, currency, made.deemed)
    yield from _by(chart.WITHHELD_TAX, currency, made.withheld)
    yield chart.psp_fee(currency), made.settled.get("processor", 0)
    yield chart.account(chart.GOODWILL, currency), made.goodwill
    yield chart.account(chart.ROUNDING, currency), max(0, made.settled.get(ROUNDING, 0))


def _by(family: chart.Family, currency: str, amounts: Mapping[str, int]) -> Iterator[Side]:
    for of, amount in amounts.items():
        yield chart.account(family, currency, of), amount


def _matched(debits: Sequence[Side], credits: Sequence[Side]) -> Iterator[Posting]:
    """Pairs of both sides in their order; they sum to the same."""
    left = [[account, amount] for account, amount in credits if amount]
    for account, amount in debits:
        while amount:
            step = min(amount, left[0][1])
            yield Posting(account, left[0][0], step)
            amount -= step
            left[0][1] -= step
            if not left[0][1]:
                left.pop(0)
    if left:
        raise AssertionError(f"the return's sides differ by {left}")
