"""What giving money back undoes of a sale: who gives how much, line by line and seller by seller, to the cent.

`returned` computes, `keep` and `undo` write it down; refunds and lost disputes do the same. The payment's row is locked
by the caller before anything is kept, so no two returns start from the same state. What is kept is a state of each
line (`rules.line_return`), and amounts are differences between states; so it does not matter in how many steps, or by
which of the two ways, a sale was undone.

A sale that was settled in another currency is undone in the currency of the settlement: each party gives back of what
it got in proportion to what it gives back in the sale's currency, again all returns together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, select

from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, Path
from marketbill.ids import SellerId, parse_id
from marketbill.ledger.journal import Source
from marketbill.prepared import prepared
from marketbill.refunds import proportion
from marketbill.refunds.model import RefundKind, line_return, sale_return
from marketbill.refunds.sale import Sale, open_sale
from marketbill.rules.allocation import allocate
from marketbill.rules.line_return import (
    AboveRest,
    Amounts,
    LineState,
    booked,
    give,
    give_all,
    give_pieces,
    give_shipping,
    give_tax,
    moved,
    rest,
)
from marketbill.rules.refunds import FeesReturned
from marketbill.rules.return_policy import Cause, ReturnPolicy, ReturnTerms, terms_of

SELLER, FEE_TAX, DEEMED, WITHHELD, RECHARGE = "seller:", "fee_tax:", "deemed:", "withheld:", "recharge:"
#: Legs that stand against the others: they get back what they had put in.
PROMO, ROUNDING = "promo", "rounding"

_OF = (sale_return.c.platform_id == bindparam("platform")) & (sale_return.c.payment_id == bindparam("payment"))
_CAUSED = (sale_return.c.source_type == bindparam("type")) & (sale_return.c.source_id == bindparam("source"))
_KEPT = prepared(select(sale_return).where(_OF, _CAUSED))
_KEPT_LINES = prepared(
    select(line_return).where(
        line_return.c.platform_id == bindparam("platform"),
        line_return.c.payment_id == bindparam("payment"),
        line_return.c.source_type == bindparam("type"),
        line_return.c.source_id == bindparam("source"),
    )
)


class NothingLeft(InvalidInput):
    """There is nothing of the kind that was asked for: the sale had none, or all of it was given back."""

    def __init__(self, what: str, *, path: Path = ()) -> None:
        super().__init__(f"Nothing is left to give back of {what}.", path=path, constraint="> 0 left")


class LineWanted(NamedTuple):
    """A line by its place in the sale (`payment_line.ordinal`): all of it, or pieces of it, or an amount (minor units
    of what the buyer paid)."""

    ordinal: int
    quantity: int | None = None
    amount: int | None = None
    path: Path = ()


class Wanted(NamedTuple):
    """What is to be given back. `amount` is for AMOUNT alone, `lines` for LINES, and for SHIPPING and TAX, where none
    means all lines."""

    kind: RefundKind
    amount: int | None = None
    lines: tuple[LineWanted, ...] = ()


class LineReturned(NamedTuple):
    """What is given back of one line, in the sale's currency: how its state moves, and what each party gives."""

    ordinal: int
    seller_id: UUID
    before: LineState
    moved: LineState
    amounts: Amounts
    carry: Amounts

    @property
    def amount(self) -> int:
        """What the buyer gets for the line."""
        return self.moved.paid + self.moved.goodwill


@dataclass(frozen=True)
class Returned:
    """All that one return undoes. `amount` is what the buyer gets, in `currency`.

    `legs` says who gives how much of it, in the sale's currency: `seller:<id>`, `fee`, `fee_tax:<country>`,
    `deemed:<jurisdiction>`, `withheld:<scheme>`, `processor` (the provider's fee that sellers were charged) and
    `goodwill`; `promo` and a negative `rounding` go back to the platform. `settled` is the same in the currency of the
    settlement, with `recharge:<id>` for the provider's fee that a seller is charged now.
    """

    cause: Cause
    policy_version: int
    terms: ReturnTerms
    currency: str
    amount: int
    settlement_currency: str
    lines: tuple[LineReturned, ...]
    legs: Amounts
    settled: Amounts

    @cached_property
    def parts(self) -> dict[SellerId, int]:
        """What each seller gives back, in the settlement's currency, with what he is charged; never below zero."""
        parts: dict[SellerId, int] = {}
        for name, amount in self.settled.items():
            for prefix in (SELLER, RECHARGE):
                if name.startswith(prefix):
                    seller = SellerId(parse_id("seller", name.removeprefix(prefix)))
                    parts[seller] = parts.get(seller, 0) + amount
        return parts

    @cached_property
    def recharges(self) -> dict[SellerId, int]:
        """What of their parts is the provider's fee that sellers are charged."""
        return {SellerId(parse_id("seller", of)): amount for of, amount in self._named(RECHARGE).items()}

    @property
    def fee_refunded(self) -> int:
        return self.settled.get("fee", 0)

    @cached_property
    def fee_tax(self) -> dict[str, int]:
        """By country."""
        return self._named(FEE_TAX)

    @cached_property
    def deemed(self) -> dict[str, int]:
        """By jurisdiction."""
        return self._named(DEEMED)

    @cached_property
    def withheld(self) -> dict[str, int]:
        """By scheme."""
        return self._named(WITHHELD)

    @property
    def goodwill(self) -> int:
        return self.settled.get("goodwill", 0)

    @cached_property
    def settlement_amount(self) -> int:
        """What the buyer's amount is in the settlement's currency: the same amount where that is the sale's."""
        return total(self.settled)

    def _named(self, prefix: str) -> dict[str, int]:
        return {name.removeprefix(prefix): amount for name, amount in self.settled.items() if name.startswith(prefix)}


def total(legs: Mapping[str, int]) -> int:
    """What the buyer gets by some legs."""
    return sum(-amount if name == PROMO else amount for name, amount in legs.items() if not name.startswith(RECHARGE))


async def returned(scope: Scope, payment: Row[Any], wanted: Wanted, cause: Cause, policy: ReturnPolicy) -> Returned:
    """What giving `wanted` back undoes of a settled payment. Reads only; lock the payment before keeping it.

    Raises AboveRest, QuantityAboveLine, NothingLeft, TraceNotReplayable.
    """
    sale = await open_sale(scope, payment)
    terms = policy.rows[cause]
    lines = tuple(_line(sale, ordinal, after, terms) for ordinal, after in _after(sale, wanted, terms.fees))
    legs = _legs(sale, lines)
    made = Returned(
        cause=cause,
        policy_version=policy.version,
        terms=terms,
        currency=payment.currency,
        amount=sum(line.amount for line in lines),
        settlement_currency=sale.currency,
        lines=lines,
        legs=legs,
        settled=proportion.settled(sale, legs) | (_recharges(sale, lines) if terms.recharges else {}),
    )
    if made.amount != total(legs) or min(made.parts.values(), default=0) < 0:
        raise AssertionError(f"a return does not balance: {made}")
    return made


async def left(scope: Scope, payment: Row[Any], terms: ReturnTerms) -> int:
    """What the buyer can still get back of the whole sale, in minor units of its currency.

    Raises TraceNotReplayable.
    """
    sale = await open_sale(scope, payment)
    return sum(rest(line, state, terms.fees) for line, state in zip(sale.lines, sale.states, strict=True))


async def keep(scope: WriteScope, cause: Source, payment: Row[Any], made: Returned) -> None:
    """Writes down what was undone, so that the next return starts from there. The payment's row is locked.

    Its taxes are told when it is booked (`tax_return.tell`).
    """
    common = _common(scope, payment, cause, undoes=False)
    await scope.run(
        insert(sale_return).values(
            **common,
            cause=made.cause.value,
            policy_version=made.policy_version,
            terms=made.terms.told(),
            currency=made.currency,
            amount=made.amount,
            settlement_currency=made.settlement_currency,
            legs=made.legs,
            settled=made.settled,
            created_at=scope.now,
        )
    )
    if made.lines:
        await scope.run(
            insert(line_return),
            [
                {
                    **common,
                    "ordinal": line.ordinal,
                    "seller_id": line.seller_id,
                    **line.moved._asdict(),
                    "amounts": line.amounts,
                    "carry": line.carry,
                }
                for line in made.lines
            ],
        )


async def undo(scope: WriteScope, cause: Source, payment: Row[Any]) -> bool:
    """Takes back what was kept for a cause, with its amounts as they were booked: the refund was refused, the dispute
    won after all. The payment's row is locked. False when nothing of it is kept, or it was taken back already."""
    values = {"platform": scope.platform, "payment": payment.id, "type": cause.type, "source": cause.id}
    rows = await scope.rows(_KEPT, values)
    if len(rows) != 1:
        return False
    [kept], sale = rows, await open_sale(scope, payment)
    terms = terms_of(kept.terms)
    common = _common(scope, payment, cause, undoes=True)
    lines: list[dict[str, Any]] = []
    for row in await scope.rows(_KEPT_LINES, values):
        was = LineState(*(getattr(row, name) for name in LineState._fields))
        now = sale.states[row.ordinal]
        exact = moved(sale.lines[row.ordinal], now, now.minus(was), terms.fees)
        taken = _negative(row.amounts)
        lines.append(
            {
                **common,
                "ordinal": row.ordinal,
                "seller_id": row.seller_id,
                **_negative(was._asdict()),
                "amounts": taken,
                "carry": _difference(taken, exact),
            }
        )
    await scope.run(
        insert(sale_return).values(
            **common,
            cause=kept.cause,
            policy_version=kept.policy_version,
            terms=kept.terms,
            currency=kept.currency,
            amount=-kept.amount,
            settlement_currency=kept.settlement_currency,
            legs=_negative(kept.legs),
            settled=_negative(kept.settled),
            created_at=scope.now,
        )
    )
    if lines:
        await scope.run(insert(line_return), lines)
    return True


async def kept(scope: Scope, cause: Source, payment: Row[Any]) -> Returned | None:
    """What was kept for a cause, whether it was taken back since or not; None when nothing was."""
    values = {"platform": scope.platform, "payment": payment.id, "type": cause.type, "source": cause.id}
    row = next((one for one in await scope.rows(_KEPT, values) if not one.undoes), None)
    if row is None:
        return None
    lines = [one for one in await scope.rows(_KEPT_LINES, values) if not one.undoes]
    return Returned(
        cause=Cause(row.cause),
        policy_version=row.policy_version,
        terms=terms_of(row.terms),
        currency=row.currency,
        amount=row.amount,
        settlement_currency=row.settlement_currency,
        lines=tuple(
            LineReturned(
                one.ordinal,
                one.seller_id,
                LineState(),
                LineState(*(getattr(one, name) for name in LineState._fields)),
                one.amounts,
                one.carry,
            )
            for one in sorted(lines, key=lambda one: one.ordinal)
        ),
        legs=row.legs,
        settled=row.settled,
    )


def _after(sale: Sale, wanted: Wanted, terms: FeesReturned | None) -> list[tuple[int, LineState]]:
    """The lines that move, by their places, and their states afterwards."""
    states = list(enumerate(sale.states))
    asked = {line.ordinal: line for line in wanted.lines}
    chosen = [(ordinal, state) for ordinal, state in states if ordinal in asked or not asked]
    after: list[tuple[int, LineState]] = []
    match wanted.kind:
        case RefundKind.FULL:
            after = [(ordinal, give_all(sale.lines[ordinal], state, terms)) for ordinal, state in states]
        case RefundKind.AMOUNT:
            after = _spread(sale, wanted.amount or 0, terms)
        case RefundKind.LINES:
            after = [(ordinal, _wanted_line(sale, asked[ordinal], state, terms)) for ordinal, state in chosen]
        case RefundKind.SHIPPING:
            after = [
                (ordinal, give_shipping(sale.lines[ordinal], state, terms, path=("lines",)))
                for ordinal, state in chosen
            ]
        case RefundKind.TAX:
            after = [
                (ordinal, give_tax(sale.lines[ordinal], state, terms, path=("lines",))) for ordinal, state in chosen
            ]
    after = [(ordinal, state) for ordinal, state in after if state != sale.states[ordinal]]
    if not sum(state.paid + state.goodwill - _given(sale.states[ordinal]) for ordinal, state in after):
        raise NothingLeft({RefundKind.SHIPPING: "the shipping", RefundKind.TAX: "the tax"}.get(wanted.kind, "the sale"))
    return after


def _given(state: LineState) -> int:
    return state.paid + state.goodwill


def _wanted_line(sale: Sale, asked: LineWanted, state: LineState, terms: FeesReturned | None) -> LineState:
    line = sale.lines[asked.ordinal]
    if asked.quantity is not None:
        pieces = sale.quantities[asked.ordinal]
        return give_pieces(line, state, asked.quantity, pieces, terms, path=(*asked.path, "quantity"))
    if asked.amount is not None:
        return give(line, state, asked.amount, terms, path=(*asked.path, "amount"))
    return give_all(line, state, terms)


def _spread(sale: Sale, amount: int, terms: FeesReturned | None) -> list[tuple[int, LineState]]:
    """An amount over what is left of the lines, by largest remainder. Raises AboveRest."""
    rests = {str(i): rest(line, sale.states[i], terms) for i, line in enumerate(sale.lines)}
    most = sum(rests.values())
    if amount > most:
        raise AboveRest(wanted=amount, rest=most, path=("amount",))
    shares = allocate(amount, {f"{int(key):06}": value for key, value in rests.items()})
    return [
        (int(key), give(sale.lines[int(key)], sale.states[int(key)], share, terms))
        for key, share in shares.items()
        # All that is left of the sale undoes also the lines that the buyer got for nothing.
        if share or amount == most
    ]


def _line(sale: Sale, ordinal: int, after: LineState, terms: ReturnTerms) -> LineReturned:
    line, before = sale.lines[ordinal], sale.states[ordinal]
    exact = moved(line, before, after, terms.fees)
    amounts, carry = booked(exact, sale.carries[ordinal]) if terms.fees is not None else (exact, {})
    return LineReturned(ordinal, parse_id("seller", line.seller_id), before, after.minus(before), amounts, carry)


def _legs(sale: Sale, lines: Sequence[LineReturned]) -> Amounts:
    legs: Amounts = {}
    for one in lines:
        for name, amount in one.amounts.items():
            leg = sale.leg(one.ordinal, name)
            if leg is not None:
                legs[leg] = legs.get(leg, 0) + amount
    return {name: amount for name, amount in legs.items() if amount}


def _recharges(sale: Sale, lines: Sequence[LineReturned]) -> Amounts:
    """What sellers are charged of the provider's fee, in proportion to what is undone of each line."""
    charged: Amounts = {}
    for one in lines:
        of, after = sale.unborne(one.ordinal), one.before.plus(one.moved)
        gross = sale.lines[one.ordinal].amounts.gross
        amount = proportion.cumulative(of, gross, one.before.gross, after.gross)
        if amount:
            name = f"{RECHARGE}{sale.lines[one.ordinal].seller_id}"
            charged[name] = charged.get(name, 0) + amount
    return charged


def _common(scope: WriteScope, payment: Row[Any], cause: Source, *, undoes: bool) -> dict[str, Any]:
    return {
        "platform_id": scope.platform,
        "payment_id": payment.id,
        "source_type": cause.type,
        "source_id": cause.id,
        "undoes": undoes,
    }


def _negative(amounts: Mapping[str, int]) -> Amounts:
    return {name: -amount for name, amount in amounts.items()}


def _difference(one: Mapping[str, int], other: Mapping[str, int]) -> Amounts:
    names = {**one, **other}
    told = {name: one.get(name, 0) - other.get(name, 0) for name in names}
    return {name: amount for name, amount in told.items() if amount}
