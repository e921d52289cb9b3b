"""A sale as far as it was given back: its lines as they were split, the state of each, and its shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, bindparam, func, select

from marketbill.db import Scope
from marketbill.ids import public_id
from marketbill.payments.model import payment_line, payment_share
from marketbill.prepared import prepared
from marketbill.refunds.model import line_return, sale_return
from marketbill.rules.allocation import allocate
from marketbill.rules.fees.schedule import FeeKind, FeePayer
from marketbill.rules.line_return import PART, WITHHELD, Amounts, LineState
from marketbill.rules.plan import LinePlan
from marketbill.rules.stored_lines import stored_lines

_QUANTITIES = prepared(
    select(payment_line.c.quantity)
    .where(payment_line.c.platform_id == bindparam("platform"), payment_line.c.payment_id == bindparam("payment"))
    .order_by(payment_line.c.ordinal)
)
_SHARES = prepared(
    select(payment_share)
    .where(payment_share.c.platform_id == bindparam("platform"), payment_share.c.payment_id == bindparam("payment"))
    .order_by(payment_share.c.seller_id)
)
_SALE_RETURNS = prepared(
    select(sale_return.c.legs, sale_return.c.settled).where(
        sale_return.c.platform_id == bindparam("platform"), sale_return.c.payment_id == bindparam("payment")
    )
)
_OF_LINE = (line_return.c.platform_id == bindparam("platform")) & (line_return.c.payment_id == bindparam("payment"))
_STATES = prepared(
    select(line_return.c.ordinal, *(func.sum(line_return.c[name]).label(name) for name in LineState._fields))
    .where(_OF_LINE)
    .group_by(line_return.c.ordinal)
)
_CARRIES = prepared(select(line_return.c.ordinal, line_return.c.carry).where(_OF_LINE))


@dataclass(frozen=True, slots=True)
class Sale:
    """`lines`, `quantities`, `states` and `carries` are by the place of the line; `given` and `given_settled` what was
    given back until now, by leg, in the sale's currency and in `currency`, that of its settlement."""

    payment: Row[Any]
    shares: Sequence[Row[Any]]
    currency: str
    lines: tuple[LinePlan, ...]
    quantities: tuple[int, ...]
    states: tuple[LineState, ...]
    carries: tuple[Amounts, ...]
    given: Mapping[str, int]
    given_settled: Mapping[str, int]
    provider_fees: Mapping[str, int]

    @property
    def is_converted(self) -> bool:
        return self.currency != self.payment.currency

    def leg(self, ordinal: int, name: str) -> str | None:
        """The leg of the sale that an amount of a line belongs to; None for what only the tax office is told."""
        line = self.lines[ordinal]
        if name.startswith(PART):
            return f"seller:{name.removeprefix(PART)}"
        if name.startswith(WITHHELD):
            return name
        match name:
            case "seller":
                return f"seller:{line.seller_id}"
            case "fee" | "buyer_fee":
                return "fee"
            case "fee_tax" | "buyer_fee_tax":
                payer = FeePayer.SELLER if name == "fee_tax" else FeePayer.BUYER
                return f"fee_tax:{_country(line, payer)}"
            case "deemed":
                return f"deemed:{line.sale_tax.jurisdiction}"
            case "tax" | "net":
                return None
            case _:
                return name

    def unborne(self, ordinal: int) -> int:
        """What of the provider's fee for a line its seller was not charged, in the settlement's currency."""
        line = self.lines[ordinal]
        borne = sum(fee.amount for fee in line.fees if fee.kind is FeeKind.PROCESSOR)
        if self.is_converted:
            borne = borne * self.payment.settlement_gross // self.payment.gross
        return max(0, self.provider_fees[line.line_id] - borne)


async def open_sale(scope: Scope, payment: Row[Any]) -> Sale:
    """The sale of a settled payment. Raises TraceNotReplayable."""
    values = {"platform": scope.platform, "payment": payment.id}
    shares = await scope.rows(_SHARES, values)
    lines = _with_real_fees(stored_lines(payment.trace), shares)
    states = {
        row.ordinal: LineState(*(int(getattr(row, name)) for name in LineState._fields))
        for row in await scope.rows(_STATES, values)
    }
    carries: dict[int, Amounts] = {}
    for row in await scope.rows(_CARRIES, values):
        _add(carries.setdefault(row.ordinal, {}), row.carry)
    given: Amounts = {}
    given_settled: Amounts = {}
    for row in await scope.rows(_SALE_RETURNS, values):
        _add(given, row.legs)
        _add(given_settled, row.settled)
    gross = {line.line_id: line.amounts.gross for line in lines}
    return Sale(
        payment=payment,
        shares=shares,
        currency=payment.settlement_currency or payment.currency,
        lines=lines,
        quantities=tuple(row.quantity for row in await scope.rows(_QUANTITIES, values)),
        states=tuple(states.get(ordinal, LineState()) for ordinal in range(len(lines))),
        carries=tuple(carries.get(ordinal, {}) for ordinal in range(len(lines))),
        given=given,
        given_settled=given_settled,
        provider_fees=allocate(payment.provider_fee or 0, gross) if any(gross.values()) else dict.fromkeys(gross, 0),
    )


def _with_real_fees(lines: Sequence[LinePlan], shares: Sequence[Row[Any]]) -> tuple[LinePlan, ...]:
    """The lines with the sellers' real parts of the provider's fee, which the trace only estimates."""
    real = {public_id("seller", share.seller_id): share.processor_fee for share in shares}
    told: dict[str, dict[str, int]] = {}
    for line in lines:
        for fee in line.fees:
            if fee.kind is FeeKind.PROCESSOR:
                of = told.setdefault(line.seller_id, {})
                of[line.line_id] = of.get(line.line_id, 0) + fee.amount
    changed: dict[str, int] = {}
    for seller, estimates in told.items():
        if sum(estimates.values()) != real[seller]:
            weights = estimates if any(estimates.values()) else dict.fromkeys(estimates, 1)
            changed |= allocate(real[seller], weights)
    return tuple(_with_real_fee(line, changed[line.line_id]) if line.line_id in changed else line for line in lines)


def _with_real_fee(line: LinePlan, amount: int) -> LinePlan:
    fees, left = [], amount
    for fee in line.fees:
        if fee.kind is FeeKind.PROCESSOR:
            # As a percentage of no slices, so that it goes back in proportion.
            fee, left = fee._replace(percent_part=left, fixed_part=0, amount=left, base=0), 0
        fees.append(fee)
    return replace(line, fees=tuple(fees))


def _country(line: LinePlan, payer: FeePayer) -> str:
    return next(
        (fee.tax_decision.jurisdiction for fee in line.fees if fee.kind is FeeKind.PLATFORM and fee.payer is payer), ""
    )


def _add(to: Amounts, amounts: Mapping[str, int]) -> None:
    for name, amount in amounts.items():
        to[name] = to.get(name, 0) + amount
