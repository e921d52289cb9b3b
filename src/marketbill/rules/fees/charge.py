"""What one line is charged by one rule: the two parts of the fee, its limits, and the tax on it, with their steps."""

from decimal import Decimal
from typing import NamedTuple

from marketbill.errors import InvalidInput
from marketbill.money import round_ratio
from marketbill.rules.explanation import Rounding, Step, rounded_step, shared_step, whole_step
from marketbill.rules.fees.fixed import FixedShare, amount_in
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope
from marketbill.rules.fees.schedule import AboveLine, FeeKind, FeePayer, FeeRule
from marketbill.rules.fees.tiers import Slice
from marketbill.rules.rates import WHOLE, rate_parts
from marketbill.rules.tax.arithmetic import tax_on_top, tax_within
from marketbill.rules.tax.fee_tax import FeeTaxDecision


class FeeAboveLine(InvalidInput):
    """A fee that, with its tax, is more than the line still pays its seller, where the schedule refuses that."""

    def __init__(self, *, rule: str, line_id: str, fee: int, room: int) -> None:
        super().__init__(
            f"The fee {rule} of {fee} is more than the {room} that the line {line_id!r} leaves its seller, tax on the "
            "fee included: lower its fixed or least amount, or let the schedule cut fees to the line.",
            path=("lines",),
            constraint=f"<= {room}",
        )
        self.rule = rule
        self.line_id = line_id
        self.fee = fee
        self.room = room


class LineFee(NamedTuple):
    """One fee of a line, in minor units. `amount` is without its tax.

    `rule` is the rule's reference, `stack` and `name` are its own, and `account` and `recipient` say whose money it
    becomes. `base` is what the percentages were taken of, and `slices` are the parts of the line's gross by percentage.
    The two parts are as charged: they sum to `amount`, or to `amount` + `tax` where the rule states its tax included.
    """

    stack: str
    rule: str
    name: str
    kind: FeeKind
    payer: FeePayer
    account: str | None
    recipient: str | None
    base: int
    slices: tuple[Slice, ...]
    percent_part: int
    fixed_part: int
    amount: int
    tax: int
    tax_mode: FeeTaxMode
    tax_decision: FeeTaxDecision
    was_bounded: bool


class Charged(NamedTuple):
    """A rule on a line: everything that the charge is computed from. `room` is what the line still pays its seller, or
    None where the buyer pays the fee."""

    rule: FeeRule
    reference: str
    currency: str
    line_id: str
    base: int
    slices: tuple[Slice, ...]
    share: FixedShare
    room: int | None
    above_line: AboveLine
    decision: FeeTaxDecision


def charge(asked: Charged) -> tuple[LineFee, list[Step]]:
    """The fee, in the order that decides the cents.

    Percent of the base, rounded; plus the line's share of the fixed amount; not below the rule's least and not above
    its most; not above what the line pays, its tax included; then the tax on the fee, rounded. Raises
    `FixedFeeMissing` and `FeeAboveLine`.
    """
    rule, decision = asked.rule, asked.decision
    stack = rule.stack
    rate = rate_parts(decision.rate)
    within = rule.tax_mode is FeeTaxMode.INCLUSIVE
    stated, parts, steps = _state(asked, "with_tax" if within else "amount")
    was_bounded = False
    if asked.room is not None:
        limit = asked.room if within else largest_fee(pays=asked.room, rate=rate)
        if stated > limit:
            if asked.above_line is AboveLine.REFUSE:
                raise FeeAboveLine(rule=asked.reference, line_id=asked.line_id, fee=stated, room=asked.room)
            steps += _bound(asked, limit, parts, "with_tax" if within else "amount")
            stated, parts, was_bounded = limit, _cut(parts, limit), True

    amount, tax = stated, 0
    if rule.kind is FeeKind.PLATFORM:
        if within:
            ratio = tax_within(gross=stated, rate=rate)
            template = "{0} * {1:f} / (100 + {1:f})"
        else:
            ratio = tax_on_top(net=stated, rate=rate)
            template = "{0} * {1:f} / 100"
        taxed = rounded_step(f"{stack}.tax", template, stated, decision.rate, ratio=ratio, rule=decision.rule)
        tax = taxed.rounded
        steps.append(taxed)
    if within:
        amount = stated - tax
        steps.append(whole_step(f"{stack}.amount", "{0} - {1}", stated, tax, amount=amount, rule=asked.reference))
    fee = LineFee(
        stack,
        asked.reference,
        rule.name,
        rule.kind,
        rule.payer,
        rule.account,
        rule.recipient,
        asked.base,
        asked.slices,
        parts[0],
        parts[1],
        amount,
        tax,
        rule.tax_mode,
        decision,
        was_bounded,
    )
    return fee, steps


def largest_fee(*, pays: int, rate: int) -> int:
    """The largest fee that, with tax at `rate` (parts) rounded on top, is not above what a line pays its seller.

    Rounding the tax down can make room for one unit more than pays * 100 / (100 + r), and never for two.
    """
    fee = pays * WHOLE // (WHOLE + rate)
    one_more = fee + 1
    return one_more if one_more + round_ratio(*tax_on_top(net=one_more, rate=rate)) <= pays else fee


def percent_of(base: int, slices: tuple[Slice, ...]) -> tuple[int, int]:
    """The exact percentage of a base whose line is sliced by percentage, as (numerator, denominator)."""
    if len(slices) == 1:
        return base * rate_parts(slices[0].percent), WHOLE
    gross = sum(part for part, _ in slices)
    return base * sum(part * rate_parts(percent) for part, percent in slices), gross * WHOLE


def _percent_step(name: str, base: int, slices: tuple[Slice, ...], rule: str) -> Step:
    ratio = percent_of(base, slices)
    if len(slices) == 1:
        return rounded_step(name, "{0} * {1:f} / 100", base, slices[0].percent, ratio=ratio, rule=rule)
    gross = sum(part for part, _ in slices)
    terms = " + ".join(f"{{{2 * index + 1}}} * {{{2 * index + 2}:f}}" for index in range(len(slices)))
    operands: list[int | Decimal] = [base]
    for part, percent in slices:
        operands += (part, percent)
    template = f"{{0}} * ({terms}) / ({{{len(operands)}}} * 100)"
    return rounded_step(name, template, *operands, gross, ratio=ratio, rule=rule)


def _state(asked: Charged, name: str) -> tuple[int, tuple[int, int], list[Step]]:
    """The fee as the rule states it, with its tax where the rule includes it; its two parts; and the steps."""
    rule, reference = asked.rule, asked.reference
    stack = rule.stack
    percent_step = _percent_step(f"{stack}.percent_part", asked.base, asked.slices, reference)
    fixed_step = _fixed_step(rule, asked.share, reference)
    parts = percent_step.rounded, fixed_step.rounded
    amount = parts[0] + parts[1]
    steps = [
        percent_step,
        fixed_step,
        whole_step(f"{stack}.{name}", "{0} + {1}", *parts, amount=amount, rule=reference),
    ]
    if rule.minimum:
        least = amount_in(rule.minimum, asked.currency, rule=reference, what="least amount") or 0
        if amount < least:
            amount, parts = least, (parts[0], least - parts[0])
            steps += _limit_steps(asked, name, least, parts, Rounding.MINIMUM)
    if rule.maximum:
        most = amount_in(rule.maximum, asked.currency, rule=reference, what="most amount") or 0
        if amount > most:
            amount, parts = most, _cut(parts, most)
            steps += _limit_steps(asked, name, most, parts, Rounding.MAXIMUM)
    return amount, parts, steps


def _fixed_step(rule: FeeRule, share: FixedShare, reference: str) -> Step:
    name = f"{rule.stack}.fixed_part"
    match rule.fixed_scope:
        case FixedScope.LINE:
            return whole_step(name, "{0}", share.whole, amount=share.amount, rule=reference)
        case FixedScope.UNIT:
            return whole_step(name, "{0} * {1}", share.whole, share.weight, amount=share.amount, rule=reference)
        case FixedScope.ORDER | FixedScope.SELLER_ORDER:
            return shared_step(
                name,
                amount=share.amount,
                whole=share.whole,
                weight=share.weight,
                weight_sum=share.weight_sum,
                rule=reference,
            )


def _cut(parts: tuple[int, int], limit: int) -> tuple[int, int]:
    # The fixed part gives way first, so that the percentage, which a refund gives back, stays what the rule says.
    percent_kept = min(parts[0], limit)
    return percent_kept, limit - percent_kept


def _limit_steps(asked: Charged, name: str, limit: int, parts: tuple[int, int], rounding: Rounding) -> list[Step]:
    stack, reference = asked.rule.stack, asked.reference
    return [
        Step(f"{stack}.{name}", "{0}", (limit,), limit, 1, limit, rounding, reference),
        *_part_steps(stack, limit, parts, reference),
    ]


def _bound(asked: Charged, limit: int, parts: tuple[int, int], name: str) -> list[Step]:
    stack, reference, rate, room = asked.rule.stack, asked.reference, asked.decision.rate, asked.room or 0
    if name == "with_tax":
        bound = Step(f"{stack}.{name}", "{0}", (room,), room, 1, limit, Rounding.BOUND, reference)
    else:
        bound = Step(
            f"{stack}.{name}",
            "{0} * 100 / (100 + {1:f})",
            (room, rate),
            room * WHOLE,
            WHOLE + rate_parts(rate),
            limit,
            Rounding.BOUND,
            reference,
        )
    return [bound, *_part_steps(stack, limit, _cut(parts, limit), reference)]


def _part_steps(stack: str, limit: int, parts: tuple[int, int], reference: str) -> tuple[Step, Step]:
    return (
        whole_step(f"{stack}.percent_part", "{0} - {1}", limit, parts[1], amount=parts[0], rule=reference),
        whole_step(f"{stack}.fixed_part", "{0} - {1}", limit, parts[0], amount=parts[1], rule=reference),
    )
