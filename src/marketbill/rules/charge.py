"""What one line is charged: the two parts of the fee, the bound, and the tax on it, each with its step."""

from dataclasses import dataclass

from marketbill.rules.explanation import Rounding, Step, rounded_step, whole_step
from marketbill.rules.fees.rule import FeeBase, FeeRule, FeeTaxMode, FixedScope, FixedShare, largest_fee, percent_part
from marketbill.rules.rates import WHOLE, rate_parts
from marketbill.rules.tax.arithmetic import tax_on_top, tax_within
from marketbill.rules.tax.fee_tax import FeeTaxDecision


@dataclass(frozen=True, slots=True)
class Charge:
    """A line's fee in minor units; `fee` is without its tax. See `plan.LinePlan` for what the parts sum to."""

    percent_amount: int
    fixed_amount: int
    fee: int
    fee_tax: int
    was_bounded: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class _Stated:
    """The fee as the rule states it, after the bound: with its tax where the rule includes it, else without."""

    amount: int
    percent_amount: int
    fixed_amount: int
    was_bounded: bool
    steps: tuple[Step, ...]


def charge_line(rule: FeeRule, *, gross: int, net: int, share: FixedShare, decision: FeeTaxDecision) -> Charge:
    """The fee on a line that pays its seller `gross`, in the order that decides the cents.

    Percent of the chosen base, rounded; plus the line's share of the fixed amount; not above what the line pays, its
    tax included; then the tax on the fee, rounded.
    """
    if rule.fee_tax_mode is FeeTaxMode.INCLUSIVE:
        return _charge_with_tax_within(rule, gross=gross, net=net, share=share, decision=decision)
    return _charge_with_tax_on_top(rule, gross=gross, net=net, share=share, decision=decision)


def _charge_with_tax_on_top(
    rule: FeeRule, *, gross: int, net: int, share: FixedShare, decision: FeeTaxDecision
) -> Charge:
    rate = rate_parts(decision.rate)
    limit = largest_fee(pays=gross, rate=rate)
    bound = Step(
        "fee",
        "{0} * 100 / (100 + {1:f})",
        (gross, decision.rate),
        gross * WHOLE,
        WHOLE + rate,
        limit,
        Rounding.BOUND,
        rule.reference,
    )
    stated = _state(rule, name="fee", base=_base(rule, gross=gross, net=net), share=share, bound=bound)
    taxed = rounded_step(
        "fee_tax",
        "{0} * {1:f} / 100",
        stated.amount,
        decision.rate,
        ratio=tax_on_top(net=stated.amount, rate=rate),
        rule=decision.rule,
    )
    return Charge(
        percent_amount=stated.percent_amount,
        fixed_amount=stated.fixed_amount,
        fee=stated.amount,
        fee_tax=taxed.rounded,
        was_bounded=stated.was_bounded,
        steps=(*stated.steps, taxed),
    )


def _charge_with_tax_within(
    rule: FeeRule, *, gross: int, net: int, share: FixedShare, decision: FeeTaxDecision
) -> Charge:
    rate = rate_parts(decision.rate)
    name = "fee_with_tax"
    bound = Step(name, "{0}", (gross,), gross, 1, gross, Rounding.BOUND, rule.reference)
    stated = _state(rule, name=name, base=_base(rule, gross=gross, net=net), share=share, bound=bound)
    taxed = rounded_step(
        "fee_tax",
        "{0} * {1:f} / (100 + {1:f})",
        stated.amount,
        decision.rate,
        ratio=tax_within(gross=stated.amount, rate=rate),
        rule=decision.rule,
    )
    fee = stated.amount - taxed.rounded
    rest = whole_step("fee", "{0} - {1}", stated.amount, taxed.rounded, amount=fee, rule=rule.reference)
    return Charge(
        percent_amount=stated.percent_amount,
        fixed_amount=stated.fixed_amount,
        fee=fee,
        fee_tax=taxed.rounded,
        was_bounded=stated.was_bounded,
        steps=(*stated.steps, taxed, rest),
    )


def _base(rule: FeeRule, *, gross: int, net: int) -> int:
    return gross if rule.base is FeeBase.GROSS else net


def _state(rule: FeeRule, *, name: str, base: int, share: FixedShare, bound: Step) -> _Stated:
    percent = rate_parts(rule.percent)
    percent_step = rounded_step(
        "fee_percent_part",
        "{0} * {1:f} / 100",
        base,
        rule.percent,
        ratio=percent_part(amount=base, percent=percent),
        rule=rule.reference,
    )
    fixed_step = _fixed_step(rule, share)
    percent_amount, fixed_amount = percent_step.rounded, fixed_step.rounded
    amount = percent_amount + fixed_amount
    sum_step = whole_step(name, "{0} + {1}", percent_amount, fixed_amount, amount=amount, rule=rule.reference)
    steps = (percent_step, fixed_step, sum_step)
    if amount <= bound.rounded:
        return _Stated(amount, percent_amount, fixed_amount, was_bounded=False, steps=steps)

    # The fixed part gives way first, so that the percentage, which a refund gives back, stays what the rule says.
    limit = bound.rounded
    percent_kept = min(percent_amount, limit)
    fixed_kept = limit - percent_kept
    cut = (
        bound,
        whole_step("fee_percent_part", "{0} - {1}", limit, fixed_kept, amount=percent_kept, rule=rule.reference),
        whole_step("fee_fixed_part", "{0} - {1}", limit, percent_kept, amount=fixed_kept, rule=rule.reference),
    )
    return _Stated(limit, percent_kept, fixed_kept, was_bounded=True, steps=(*steps, *cut))


def _fixed_step(rule: FeeRule, share: FixedShare) -> Step:
    name = "fee_fixed_part"
    match rule.fixed_scope:
        case FixedScope.LINE:
            return whole_step(name, "{0}", share.whole, amount=share.amount, rule=rule.reference)
        case FixedScope.UNIT:
            return whole_step(name, "{0} * {1}", share.whole, share.weight, amount=share.amount, rule=rule.reference)
        case FixedScope.ORDER | FixedScope.SELLER_ORDER:
            return Step(
                name,
                "{0} * {1} / {2}",
                (share.whole, share.weight, share.weight_sum),
                share.whole * share.weight,
                share.weight_sum,
                share.amount,
                Rounding.LARGEST_REMAINDER,
                rule.reference,
            )
