"""What holds for every sale: discounts, shipping, taxes, tiers, stacks, parts and all."""

import json
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from tests.rules.anything import sales

from marketbill.rules.explanation import Rounding
from marketbill.rules.fees.schedule import FeeKind, FeePayer
from marketbill.rules.plan import SplitPlan, Totals
from marketbill.rules.replay import sale_of, split_again
from marketbill.rules.split import split_decided


@given(plan=sales())
def test_every_cent_has_one_place(plan: SplitPlan) -> None:
    totals = plan.totals
    paid_out = (
        totals.seller_net
        + totals.fee
        + totals.fee_tax
        + totals.buyer_fee
        + totals.buyer_fee_tax
        + totals.deemed_tax
        + totals.withheld
        + totals.processor_fee
    )
    assert totals.charged + totals.promo == paid_out
    for name in Totals._fields:
        in_shares = sum(getattr(share.totals, name) for share in plan.sellers)
        assert in_shares == getattr(totals, name)
        if name not in ("received", "seller_net"):
            assert sum(getattr(line.amounts, name) for line in plan.lines) == in_shares


@given(plan=sales())
def test_the_legs_are_the_amounts(plan: SplitPlan) -> None:
    received: dict[str, int] = {}
    for share in plan.sellers:
        legs, totals = share.legs, share.totals
        assert sum(legs.fees.values()) == totals.fee
        assert sum(legs.fee_tax.values()) == totals.fee_tax
        assert sum(legs.deemed.values()) == totals.deemed_tax
        assert sum(legs.withheld.values()) == totals.withheld
        assert sum(legs.parts.values()) == totals.passed_on
        assert (legs.processor, legs.promo) == (totals.processor_fee, totals.promo)
        for id, amount in legs.parts.items():
            received[id] = received.get(id, 0) + amount
    assert {share.seller_id: share.totals.received for share in plan.sellers if share.totals.received} == received
    assert sum(plan.buyer_legs.fees.values()) == plan.totals.buyer_fee
    assert sum(plan.buyer_legs.fee_tax.values()) == plan.totals.buyer_fee_tax


@given(plan=sales())
def test_what_is_shared_is_given_out_whole(plan: SplitPlan) -> None:
    asked = sum(line.quantity * line.unit_price for line in plan.basket.lines)
    shipping = sum(one.amount for one in plan.basket.shipping)
    inclusive = {line.id for line in plan.basket.lines if line.tax_inclusive}
    stated = sum(line.amounts.gross if line.line_id in inclusive else line.amounts.net for line in plan.lines)
    assert stated == asked + shipping - plan.totals.discount


@given(plan=sales())
def test_every_step_is_within_one_unit_of_exact(plan: SplitPlan) -> None:
    for line in plan.lines:
        last = {}
        for step in line.explanation:
            exact = Fraction(step.exact)
            if step.rounding in (Rounding.NONE, Rounding.MINIMUM, Rounding.MAXIMUM):
                assert exact == step.rounded
            elif step.rounding is Rounding.HALF_AWAY:
                assert abs(exact - step.rounded) <= Fraction(1, 2)
            else:
                assert abs(exact - step.rounded) < 1
            last[step.name] = step.rounded
        for name, amount in line.amounts._asdict().items():
            assert last.get(name, amount) == amount
            assert amount == 0 or name in last
        for fee in line.fees:
            tax = last.get(f"{fee.stack}.tax", 0)
            assert (last[f"{fee.stack}.percent_part"], last[f"{fee.stack}.fixed_part"]) == (
                fee.percent_part,
                fee.fixed_part,
            )
            assert (last[f"{fee.stack}.amount"], tax) == (fee.amount, fee.tax)


@given(plan=sales(), data=st.data())
def test_the_order_of_lines_moves_no_cent_between_ids(plan: SplitPlan, data: st.DataObject) -> None:
    shuffled = replace(plan.basket, lines=tuple(data.draw(st.permutations(plan.basket.lines))))
    again = split_decided(shuffled, plan.fees, plan.tax, plan.decisions)
    assert {line.line_id: line for line in again.lines} == {line.line_id: line for line in plan.lines}
    assert again.totals == plan.totals


@given(plan=sales())
def test_a_trace_is_plain_and_gives_the_same_sale_again(plan: SplitPlan) -> None:
    trace = json.loads(json.dumps(plan.to_trace()))
    assert trace == plan.to_trace()
    assert split_again(trace, plan.fees.schedule).to_trace() == trace
    assert sale_of(trace).basket.lines[0].id == plan.lines[0].line_id


@given(plan=sales())
def test_nobody_but_the_platform_is_charged_tax_on_a_fee(plan: SplitPlan) -> None:
    for line in plan.lines:
        for fee in line.fees:
            assert fee.tax == 0 or fee.kind is FeeKind.PLATFORM
            assert fee.payer is FeePayer.SELLER or fee.kind is FeeKind.PLATFORM
