"""One line of a sale while money goes back on it: what was given back until now, and what one more return moves.

The state says how far the line is undone (`gross`, by the cumulative rule of `rules.refunds`), and each return moves
what lies between its state and the one before. What is booked may differ from that by a unit: nobody ever gives back
less than nothing, and a return that was undone out of order left its roundings behind. Such a difference is carried,
and the next return makes it good.
"""

from collections.abc import Mapping
from typing import NamedTuple

from marketbill.errors import InvalidInput, Path
from marketbill.money import round_ratio
from marketbill.rules.fees.schedule import FeeKind
from marketbill.rules.plan import LinePlan
from marketbill.rules.refunds import FeesReturned, Refunded, refunded

#: Amounts by name: what each party gives back of a line. `part:` and `withheld:` are followed by recipient and scheme.
Amounts = dict[str, int]
#: Those that can give way to one another, in the order in which they do.
_GIVE_WAY = ("fee", "fee_tax", "buyer_fee", "buyer_fee_tax", "processor", "seller", "deemed")
PART, WITHHELD = "part:", "withheld:"
#: What stands on the other side: discounts that the platform paid return to it, and what no amount of gross explains.
_NOT_GIVEN = ("promo", "rounding", "tax", "net")


class LineState(NamedTuple):
    """What was given back of a line. `gross` of it is undone; `rounding` is what the buyer got beyond what that
    explains, where he pays a part of the price or fees on top; `paid` is what he got for it, and `goodwill` what the
    platform gave him without undoing anything. `quantity` and `shipping` are what was returned by these names."""

    gross: int = 0
    rounding: int = 0
    paid: int = 0
    goodwill: int = 0
    quantity: int = 0
    shipping: int = 0
    untaxed: int = 0

    def plus(self, other: "LineState") -> "LineState":
        return LineState(*(one + two for one, two in zip(self, other, strict=True)))

    def minus(self, other: "LineState") -> "LineState":
        return LineState(*(one - two for one, two in zip(self, other, strict=True)))


class AboveRest(InvalidInput):
    """More than is left to be given back of a line; `rest` in minor units."""

    def __init__(self, *, wanted: int, rest: int, path: Path = ()) -> None:
        super().__init__(
            f"{wanted} (minor units) cannot be given back: {rest} is left.",
            path=path,
            constraint=f"<= {rest}",
        )
        self.wanted = wanted
        self.rest = rest


class QuantityAboveLine(InvalidInput):
    """More pieces than the line has left."""

    def __init__(self, *, wanted: int, left: int, path: Path = ()) -> None:
        super().__init__(
            f"Pieces that cannot be returned: {wanted}. Left of the line: {left}.",
            path=path,
            constraint=f"<= {left}",
        )
        self.left = left


def rest(line: LinePlan, state: LineState, terms: FeesReturned | None) -> int:
    """What the buyer can still get back of a line, in minor units; `terms` is None where the platform bears it."""
    left = line.amounts.charged - state.paid - state.goodwill
    if terms is None:
        return left
    explained = _charged(line, line.amounts.gross, state, terms) - _charged(line, state.gross, state, terms)
    return max(0, min(left, explained - state.rounding))


def give(line: LinePlan, state: LineState, amount: int, terms: FeesReturned | None, *, path: Path = ()) -> LineState:
    """The state after the buyer got `amount` (minor units) more. Raises AboveRest."""
    left = rest(line, state, terms)
    if amount > left:
        raise AboveRest(wanted=amount, rest=left, path=path)
    if terms is None:
        return state._replace(goodwill=state.goodwill + amount)
    explained = _charged(line, state.gross, state, terms) + amount + state.rounding
    gross = _largest_gross(line, state, explained, terms)
    return state._replace(
        gross=gross,
        rounding=explained - _charged(line, gross, state, terms),
        paid=state.paid + amount,
    )


def give_all(line: LinePlan, state: LineState, terms: FeesReturned | None) -> LineState:
    """The state after all that is left was given back."""
    return give(line, state, rest(line, state, terms), terms)


def give_pieces(
    line: LinePlan, state: LineState, pieces: int, of: int, terms: FeesReturned | None, *, path: Path = ()
) -> LineState:
    """The state after `pieces` of the line's `of` came back: their part of the goods, shipping not included.

    All pieces together make exactly the goods. Raises QuantityAboveLine, AboveRest.
    """
    if pieces > of - state.quantity:
        raise QuantityAboveLine(wanted=pieces, left=of - state.quantity, path=path)
    goods = line.amounts.gross - line.amounts.shipping
    piece_gross = round_ratio(goods * (state.quantity + pieces), of) - round_ratio(goods * state.quantity, of)
    by = terms or FeesReturned()
    gross = min(line.amounts.gross, state.gross + piece_gross)
    amount = _charged(line, gross, state, by) - _charged(line, state.gross, state, by)
    return give(line, state, amount, terms, path=path)._replace(quantity=state.quantity + pieces)


def give_shipping(line: LinePlan, state: LineState, terms: FeesReturned | None, *, path: Path = ()) -> LineState:
    """The state after the line's shipping, with its tax, was given back as far as it was not. Raises AboveRest."""
    amounts = line.amounts
    left = (amounts.shipping - amounts.shipping_tax if state.untaxed else amounts.shipping) - state.shipping
    after = give(line, state, max(0, left), terms, path=path)
    return after._replace(shipping=state.shipping + max(0, left))


def give_tax(line: LinePlan, state: LineState, terms: FeesReturned | None, *, path: Path = ()) -> LineState:
    """The state after all tax that is left was given back by itself: the price without it stands. Raises AboveRest."""
    amount = line.amounts.tax - refunded(line, state.gross).amounts.tax
    if state.untaxed:
        return state
    left = rest(line, state, terms)
    if amount > left:
        raise AboveRest(wanted=amount, rest=left, path=path)
    if terms is None:
        return state._replace(goodwill=state.goodwill + amount)
    return state._replace(untaxed=1, paid=state.paid + amount)


def moved(line: LinePlan, before: LineState, after: LineState, terms: FeesReturned | None) -> Amounts:
    """What lies between two states by the cumulative rule, also backwards; zero amounts are left out.

    What the parties give back makes what the buyer gets, with the discount that returns to the platform.
    """
    if terms is None:
        return _without_zeros({"goodwill": after.goodwill - before.goodwill})
    now, then = (refunded(line, one.gross, terms, untaxed=bool(one.untaxed)) for one in (after, before))
    step = now.since(then)
    amounts = step.amounts
    told: Amounts = {
        "seller": amounts.seller_net,
        "fee": amounts.fee,
        "fee_tax": amounts.fee_tax,
        "buyer_fee": amounts.buyer_fee,
        "buyer_fee_tax": amounts.buyer_fee_tax,
        "deemed": amounts.deemed_tax,
        "processor": amounts.processor_fee,
        "promo": amounts.promo,
        "rounding": after.rounding - before.rounding,
        "tax": amounts.tax,
        "net": amounts.net,
    }
    for scheme, amount in step.withholdings:
        told[f"{WITHHELD}{scheme}"] = told.get(f"{WITHHELD}{scheme}", 0) + amount
    for recipient, amount in _parts(line, step).items():
        told[f"{PART}{recipient}"] = amount
    return _without_zeros(told)


def booked(exact: Mapping[str, int], carry: Mapping[str, int]) -> tuple[Amounts, Amounts]:
    """What is booked of a return: what the rule says, less what was booked too much before (`carry`), and nobody gives
    less than nothing. Second, the carry that this adds: what is booked beyond what the rule says."""
    made = {name: exact.get(name, 0) - carry.get(name, 0) for name in {**exact, **carry}}
    short = 0
    for name, amount in made.items():
        if amount < 0 and name not in _NOT_GIVEN:
            short -= amount
            made[name] = 0
    for name in (*_GIVE_WAY, *sorted(made)):
        if short and name not in _NOT_GIVEN and made.get(name, 0) > 0:
            taken = min(short, made[name])
            made[name] -= taken
            short -= taken
    if short:
        made["rounding"] = made.get("rounding", 0) - short
    added = {name: amount - exact.get(name, 0) for name, amount in made.items()}
    return _without_zeros(made), _without_zeros(added)


def _charged(line: LinePlan, gross: int, state: LineState, terms: FeesReturned) -> int:
    return refunded(line, gross, terms, untaxed=bool(state.untaxed)).amounts.charged


def _largest_gross(line: LinePlan, state: LineState, explained: int, terms: FeesReturned) -> int:
    """The largest gross that the buyer's money explains; what he gets never falls as more is undone."""
    low, high = state.gross, line.amounts.gross
    while low < high:
        middle = (low + high + 1) // 2
        if _charged(line, middle, state, terms) <= explained:
            low = middle
        else:
            high = middle - 1
    return low


def _parts(line: LinePlan, step: Refunded) -> Amounts:
    parts: Amounts = {}
    for fee, back in zip(line.fees, step.fees, strict=True):
        if fee.kind is FeeKind.PART:
            recipient = fee.recipient or ""
            parts[recipient] = parts.get(recipient, 0) + back.amount
    return parts


def _without_zeros(amounts: Mapping[str, int]) -> Amounts:
    return {name: amount for name, amount in amounts.items() if amount}
