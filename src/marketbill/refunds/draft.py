"""A refund as it is asked for, and what it comes to: checked, computed, and shown before anything is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select, text

from marketbill.crypto import Vault
from marketbill.db import Scope
from marketbill.errors import InvalidInput, NotFound, Path, StateConflict
from marketbill.ids import SellerId, parse_id, public_id
from marketbill.money import bounded
from marketbill.payments.model import PaymentStatus, payment_line, payment_share
from marketbill.prepared import prepared
from marketbill.provider.stripe.units import to_stripe
from marketbill.recovery import clawback
from marketbill.recovery.clawback import Forecast
from marketbill.refunds import arithmetic, policy
from marketbill.refunds.arithmetic import LineWanted, Returned, Wanted
from marketbill.refunds.model import RefundKind
from marketbill.rules.replay import TraceNotReplayable
from marketbill.rules.return_policy import Cause
from marketbill.text import check_usable, checked_reason

LINES_MAX = 500
REFERENCE_LENGTH_MAX = 200

_LINES = prepared(
    select(payment_line.c.id, payment_line.c.ordinal).where(
        payment_line.c.platform_id == bindparam("platform"), payment_line.c.payment_id == bindparam("payment")
    )
)
_SHARES = prepared(
    select(payment_share).where(
        payment_share.c.platform_id == bindparam("platform"), payment_share.c.payment_id == bindparam("payment")
    )
)
# The room of disputes stands above this one: only whether one has money of the payment, or is about to, is asked here.
_DISPUTED = prepared(
    text(
        """
        select provider_dispute from dispute
        where platform_id = :platform and payment_id = :payment
          and ((closed_at is null and withdrawn > reinstated) or settle_since is not null)
        limit 1
        """
    )
)


@dataclass(frozen=True, slots=True)
class LineDraft:
    """A line by its public id: all that is left of it, or `quantity` pieces, or `amount` (minor units)."""

    line_id: str
    quantity: int | None = None
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class RefundDraft:
    """A refund as requested. `amount` (minor units) is for AMOUNT alone; `lines` for LINES, and for SHIPPING and TAX
    where not all lines are meant. `currency`, where given, must be the sale's."""

    payment_id: str
    kind: RefundKind
    cause: Cause
    reason: str
    amount: int | None = None
    currency: str | None = None
    lines: tuple[LineDraft, ...] = ()
    reference: str | None = None

    def told(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "payment_id": self.payment_id,
            "kind": self.kind.value,
            "cause": self.cause.value,
            "reason": self.reason,
            "amount": self.amount,
            "currency": self.currency,
            "lines": [[line.line_id, line.quantity, line.amount] for line in self.lines],
            "reference": self.reference,
        }


@dataclass(frozen=True, slots=True)
class SellerEffect:
    """What a refund takes from one seller, in the settlement's currency: `part` with its `recharge`, what of the sale
    is his `before` and `after` it (below zero where he gives more than he got), and where it is taken from."""

    seller_id: SellerId
    part: int
    recharge: int
    before: int
    after: int
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class Plan:
    """What a refund comes to. `token` stands for all of it and for the state that it starts from."""

    made: Returned
    sellers: tuple[SellerEffect, ...]
    left: int
    token: str


class NotRefundable(StateConflict):
    """The payment is not in a state in which anything of it can be refunded."""


async def plan(scope: Scope, vault: Vault, payment: Row[Any], draft: RefundDraft) -> Plan:
    """What the refund of a payment would do now. Raises what `arithmetic.returned` raises, InvalidInput, NotFound,
    NotRefundable."""
    _check(draft)
    _check_payment(payment, draft)
    if await scope.first(_DISPUTED, {"platform": scope.platform, "payment": payment.id}) is not None:
        raise NotRefundable(
            "The buyer's bank has this money under dispute: what it decides is done by itself, refund nothing beside.",
            current_state="DISPUTED",
            path=("paymentId",),
        )
    wanted, holds = await _wanted(scope, payment, draft), await policy.current(scope)
    try:
        made = await arithmetic.returned(scope, payment, wanted, draft.cause, holds)
        left = await arithmetic.left(scope, payment, made.terms)
    except TraceNotReplayable as old:
        raise NotRefundable(
            "This payment is older than the records that a refund is computed from: refund it at the provider.",
            current_state=payment.status,
            path=("paymentId",),
        ) from old
    to_stripe(made.amount, made.currency)
    forecasts = await clawback.forecast(scope, payment, made.parts)
    sellers = await _effects(scope, payment, made, forecasts)
    facts = {
        "draft": draft.told(),
        "policy": made.policy_version,
        "before": [[line.ordinal, *line.before] for line in made.lines],
        "settled": made.settled,
        "amount": made.amount,
        "sellers": [
            [str(one.seller_id), one.part, one.before, *(getattr(one.forecast, name) for name in _FORECAST)]
            for one in sellers
        ],
    }
    token = vault.preview_token(f"{scope.platform}:refund", facts)
    return Plan(made, sellers, left - made.amount, token)


_FORECAST = ("pending", "payable", "reverse", "debt")


def _check(draft: RefundDraft) -> None:
    checked_reason(draft.reason)
    check_usable(draft.reference, path=("reference",))
    if draft.reference is not None and not 1 <= len(draft.reference) <= REFERENCE_LENGTH_MAX:
        raise InvalidInput(
            f"A reference has 1 to {REFERENCE_LENGTH_MAX} characters.",
            path=("reference",),
            constraint=f"1..{REFERENCE_LENGTH_MAX} characters",
        )
    if (draft.kind is RefundKind.AMOUNT) is not (draft.amount is not None):
        what = "needs" if draft.kind is RefundKind.AMOUNT else "has no"
        raise InvalidInput(f"A refund of kind {draft.kind} {what} amount.", path=("amount",), constraint="AMOUNT only")
    _check_positive(draft.amount, ("amount",))
    takes_lines = draft.kind in (RefundKind.LINES, RefundKind.SHIPPING, RefundKind.TAX)
    if (draft.lines and not takes_lines) or (draft.kind is RefundKind.LINES and not draft.lines):
        what = "has no" if draft.lines else "needs at least one"
        raise InvalidInput(f"A refund of kind {draft.kind} {what} line.", path=("lines",), constraint="LINES only")
    if len(draft.lines) > LINES_MAX:
        raise InvalidInput(f"At most {LINES_MAX} lines.", path=("lines",), constraint=f"<= {LINES_MAX}")
    for index, line in enumerate(draft.lines):
        _check_line(draft, line, ("lines", str(index)))


def _check_line(draft: RefundDraft, line: LineDraft, path: Path) -> None:
    if draft.kind is not RefundKind.LINES and (line.quantity is not None or line.amount is not None):
        raise InvalidInput(
            f"A refund of kind {draft.kind} takes a line whole: name neither quantity nor amount.",
            path=path,
            constraint="line alone",
        )
    if line.quantity is not None and line.amount is not None:
        raise InvalidInput("Name a quantity or an amount, not both.", path=path, constraint="one of both")
    _check_positive(line.quantity, (*path, "quantity"))
    _check_positive(line.amount, (*path, "amount"))


def _check_positive(number: int | None, path: Path) -> None:
    if number is not None:
        bounded(number, path=path)
        if number <= 0:
            raise InvalidInput(f"{path[-1]} must be more than zero.", path=path, constraint="> 0")


def _check_payment(payment: Row[Any], draft: RefundDraft) -> None:
    if draft.currency is not None and draft.currency != payment.currency:
        raise InvalidInput(
            f"The buyer paid in {payment.currency}, and gets back what he paid: not {draft.currency[:10]!r}.",
            path=("currency",),
            constraint=payment.currency,
        )
    if payment.status != PaymentStatus.SUCCEEDED:
        raise NotRefundable(
            "Only a payment that succeeded can be refunded.", current_state=payment.status, path=("paymentId",)
        )
    if payment.disputed:
        raise NotRefundable(
            "The buyer's bank has taken this payment back, so the provider refunds nothing of it: answer the dispute.",
            current_state="DISPUTED",
            path=("paymentId",),
        )
    if payment.settled_at is None:
        raise NotRefundable(
            "The provider has not told yet how it settles this payment: try again in a moment.",
            current_state="NOT_SETTLED",
            path=("paymentId",),
        )


async def _wanted(scope: Scope, payment: Row[Any], draft: RefundDraft) -> Wanted:
    if not draft.lines:
        return Wanted(draft.kind, draft.amount)
    places: dict[UUID, int] = {
        row.id: row.ordinal for row in await scope.rows(_LINES, {"platform": scope.platform, "payment": payment.id})
    }
    lines: dict[int, LineWanted] = {}
    for index, line in enumerate(draft.lines):
        path = ("lines", str(index))
        ordinal = places.get(parse_id("payment line", line.line_id, path=(*path, "lineId")))
        if ordinal is None:
            raise NotFound("payment line", line.line_id, path=(*path, "lineId"))
        if ordinal in lines:
            raise InvalidInput("The line is named twice.", path=(*path, "lineId"), constraint="each line once")
        lines[ordinal] = LineWanted(ordinal, line.quantity, line.amount, path)
    return Wanted(draft.kind, lines=tuple(lines[ordinal] for ordinal in sorted(lines)))


async def _effects(
    scope: Scope, payment: Row[Any], made: Returned, forecasts: Sequence[Forecast]
) -> tuple[SellerEffect, ...]:
    told = {one.seller_id: one for one in forecasts}
    effects: list[SellerEffect] = []
    for share in await scope.rows(_SHARES, {"platform": scope.platform, "payment": payment.id}):
        seller = SellerId(share.seller_id)
        part = made.parts.get(seller, 0)
        if not part:
            continue
        net = share.seller_net if share.settled_net is None else share.settled_net
        effects.append(
            SellerEffect(
                seller_id=seller,
                part=part,
                recharge=made.recharges.get(seller, 0),
                before=net - share.returned,
                after=net - share.returned - part,
                forecast=told[seller],
            )
        )
    return tuple(sorted(effects, key=lambda one: public_id("seller", one.seller_id)))
