"""The split of one sale: what each line brings, costs and leaves to its seller, and how every amount came about.

`split` is a pure function of the basket and the terms. A preview and the sale itself call it with the same arguments
and therefore agree to the cent; what was decided is kept as the plan's trace and never computed again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from marketbill.errors import InvalidInput, Path
from marketbill.money import bounded
from marketbill.rules.basket import Basket, check_basket
from marketbill.rules.explanation import Step, rounded_step, whole_step
from marketbill.rules.fees.charge import Charged, LineFee, charge
from marketbill.rules.fees.conditions import Facts
from marketbill.rules.fees.fixed import ChargedLine, FixedShare, fixed_shares
from marketbill.rules.fees.resolver import Rejection, by_stack, first_that_holds, resolve
from marketbill.rules.fees.schedule import FeeBase, FeeKind, FeePayer, FeeRule, Unmatched
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.fees.tiers import Climb, Slice, slices_of
from marketbill.rules.fx import NO_RATES, Rates
from marketbill.rules.plan import FEE_BOUNDED, Decisions, LinePlan, SplitPlan, Totals, sum_amounts
from marketbill.rules.pricing import PricedLine, price
from marketbill.rules.rates import rate_parts
from marketbill.rules.shares import buyer_legs_of, shares_of
from marketbill.rules.tax.arithmetic import tax_on_top
from marketbill.rules.tax.decision import decide
from marketbill.rules.tax.fee_tax import NO_FEE_TAX, FeeTaxDecision, buyer_fee_tax, fee_tax
from marketbill.rules.tax.line_tax import Liable
from marketbill.rules.tax.terms import TaxTerms


class SellerTermsMissing(InvalidInput):
    """A line names a seller whose tax status is not among the terms."""

    def __init__(self, seller_id: str, *, path: Path) -> None:
        super().__init__(f"The tax status of the seller {seller_id!r} is not known.", path=path)
        self.seller_id = seller_id


class NoFeeRule(InvalidInput):
    """A line that no rule of a required stack holds for. `nearest` is the rule that nearly did, with its reason."""

    def __init__(self, *, line_id: str, stack: str, nearest: Rejection | None, path: Path) -> None:
        super().__init__(
            f"No fee rule of the stack {stack!r} holds for the line {line_id!r}{_told(nearest)}: add a rule that does, "
            "such as one without conditions.",
            path=path,
        )
        self.line_id = line_id
        self.stack = stack
        self.nearest = nearest


class FeeBaseUnknown(InvalidInput):
    """A fee on the price without tax, on a line whose tax nobody but its seller knows."""

    def __init__(self, *, line_id: str, rule: str, path: Path) -> None:
        super().__init__(
            f"The fee {rule} is taken of the price without tax, and the tax of the line {line_id!r} is unknown: state "
            "the line's tax rate, or take the fee of the gross price.",
            path=path,
        )
        self.line_id = line_id
        self.rule = rule


@dataclass(slots=True)
class _Work:
    """A line under way: what it still pays its seller, and what it was charged until now."""

    index: int
    item: PricedLine
    facts: Facts
    climb: Climb
    room: int
    deemed_tax: int
    withholdings: tuple[tuple[str, int], ...]
    steps: list[Step]
    fees: list[LineFee] = field(default_factory=list)


def split(basket: Basket, fees: FeeTerms, tax: TaxTerms, rates: Rates = NO_RATES) -> SplitPlan:
    """Split a sale among its sellers, the platform, the tax offices and other participants.

    Percentages and taxes are rounded per line, half away from zero, and totals are sums of lines; see `plan.Totals` for
    what sums to what. Stacks are charged in the order of their first rules, and lines in the order of their ids
    wherever the order could matter.

    Raises what `check_basket`, `decide` and `price` raise, `SellerTermsMissing`, `NoFeeRule`, `FixedFeeMissing`,
    `FeeBaseUnknown`, `FeeAboveLine` and `TooManyParts`.
    """
    check_basket(basket)
    for index, line in enumerate(basket.lines):
        if line.seller_id not in tax.sellers:
            raise SellerTermsMissing(line.seller_id, path=("lines", str(index), "sellerId"))
    decisions = Decisions(decide(basket, tax, rates), *_fee_taxes(basket, fees, tax))
    return split_decided(basket, fees, tax, decisions, rates)


def split_decided(
    basket: Basket, fees: FeeTerms, tax: TaxTerms, decisions: Decisions, rates: Rates = NO_RATES
) -> SplitPlan:
    """The same, with every decision on tax given: as for a sale that was decided before."""
    priced = price(basket, decisions.lines)
    bounded(sum(item.gross for item in priced), path=("lines",))
    works = _begin(basket, fees, tax, priced)
    in_order = sorted(works, key=lambda work: work.item.line.id)
    stacks = by_stack(fees.schedule)
    for stack in (*stacks, *sorted(fees.schedule.required - stacks.keys())):
        _charge_stack(stack, stacks.get(stack, ()), in_order, basket.currency, fees, decisions)

    lines = tuple(_finish(work) for work in works)
    shares = shares_of(lines, decisions.seller_fees)
    plan = SplitPlan(
        currency=basket.currency,
        schedule_id=fees.schedule.id,
        schedule_version=fees.schedule.version,
        lines=lines,
        sellers=shares,
        totals=sum_amounts([share.totals for share in shares]),
        buyer_legs=buyer_legs_of(lines),
        basket=basket,
        fees=fees,
        tax=tax,
        rates=rates,
        decisions=decisions,
    )
    bounded(plan.totals.charged, path=("lines",))
    _assert_balanced(plan)
    return plan


def _fee_taxes(basket: Basket, fees: FeeTerms, tax: TaxTerms) -> tuple[dict[str, FeeTaxDecision], FeeTaxDecision]:
    sellers = {
        seller_id: fee_tax(platform=tax.platform, seller=tax.sellers[seller_id])
        for seller_id in dict.fromkeys(line.seller_id for line in basket.lines)
    }
    on = (tax.at or fees.at).date()
    return sellers, buyer_fee_tax(platform=tax.platform, buyer=tax.buyer, table=tax.table, on=on)


def facts_of(item: PricedLine, basket: Basket, fees: FeeTerms, tax: TaxTerms) -> Facts:
    """What the conditions of fee rules look at on a line."""
    line = item.line
    return Facts(
        seller=line.seller_id,
        seller_groups=fees.groups.get(line.seller_id, frozenset()),
        category=line.category,
        product=line.product,
        channel=basket.channel,
        seller_country=tax.sellers[line.seller_id].country,
        buyer_country=tax.buyer.country,
        currency=basket.currency,
        payment_method=basket.payment_method,
        value=item.goods,
        at=fees.at,
    )


def _begin(basket: Basket, fees: FeeTerms, tax: TaxTerms, priced: Sequence[PricedLine]) -> list[_Work]:
    climbs = _climbs(priced)
    works: list[_Work] = []
    for index, item in enumerate(priced):
        deemed = item.tax if item.sale_tax.liable is Liable.PLATFORM else 0
        steps = list(item.steps)
        if deemed:
            steps.append(whole_step("deemed_tax", "{0}", deemed, amount=deemed, rule=item.sale_tax.rule))
        withholdings = _withhold(item, steps)
        room = max(0, item.gross - deemed - sum(amount for _, amount in withholdings))
        facts = facts_of(item, basket, fees, tax)
        works.append(_Work(index, item, facts, climbs[item.line.id], room, deemed, withholdings, steps))
    return works


def _climbs(priced: Sequence[PricedLine]) -> dict[str, Climb]:
    """Where each line stands among the lines of its seller in this sale, in the order of their ids."""
    sold: dict[str, int] = {}
    starts: dict[str, int] = {}
    for item in sorted(priced, key=lambda item: item.line.id):
        before = sold.get(item.line.seller_id, 0)
        starts[item.line.id] = before
        sold[item.line.seller_id] = before + item.gross
    return {item.line.id: Climb(starts[item.line.id], sold[item.line.seller_id]) for item in priced}


def _withhold(item: PricedLine, steps: list[Step]) -> tuple[tuple[str, int], ...]:
    if not item.sale_tax.withheld:
        return ()
    withheld: list[tuple[str, int]] = []
    for held in item.sale_tax.withheld:
        ratio = tax_on_top(net=item.net, rate=rate_parts(held.rate))
        step = rounded_step(
            f"withheld:{held.scheme}", "{0} * {1:f} / 100", item.net, held.rate, ratio=ratio, rule=held.rule
        )
        steps.append(step)
        withheld.append((held.scheme, step.rounded))
    _add_sum("withheld", [amount for _, amount in withheld], steps, rule="withheld")
    return tuple(withheld)


def _charge_stack(
    stack: str,
    rules: Sequence[FeeRule],
    works: Sequence[_Work],
    currency: str,
    fees: FeeTerms,
    decisions: Decisions,
) -> None:
    winners: list[tuple[_Work, FeeRule]] = []
    by_rule: dict[str, list[ChargedLine]] = {}
    for work in works:
        rule = first_that_holds(rules, work.facts)
        if rule is None:
            _refuse_unmatched(stack, work, fees)
            continue
        winners.append((work, rule))
        line = work.item.line
        by_rule.setdefault(rule.name, []).append(ChargedLine(line.id, line.seller_id, line.quantity, work.item.gross))
    schedule = fees.schedule
    references: dict[str, str] = {}
    shares: dict[str, dict[str, FixedShare]] = {}
    for work, rule in winners:
        name = rule.name
        if name not in shares:
            references[name] = reference = schedule.reference(rule)
            shares[name] = fixed_shares(rule, reference=reference, currency=currency, lines=by_rule[name])
        reference = references[name]
        line = work.item.line
        is_buyers = rule.payer is FeePayer.BUYER
        if rule.kind is not FeeKind.PLATFORM:
            decision = NO_FEE_TAX
        else:
            decision = decisions.buyer_fee if is_buyers else decisions.seller_fees[line.seller_id]
        fee, steps = charge(
            Charged(
                rule,
                reference,
                currency,
                line.id,
                _base(rule, work, reference),
                _slices(rule, work, fees, currency, reference),
                shares[name][line.id],
                None if is_buyers else work.room,
                schedule.above_line,
                decision,
            )
        )
        if not is_buyers:
            work.room -= fee.amount + fee.tax
        work.fees.append(fee)
        work.steps += steps


def _refuse_unmatched(stack: str, work: _Work, fees: FeeTerms) -> None:
    schedule = fees.schedule
    if stack in schedule.required and schedule.unmatched is Unmatched.REFUSE:
        nearest = resolve(schedule, stack, work.facts).nearest
        raise NoFeeRule(line_id=work.item.line.id, stack=stack, nearest=nearest, path=("lines", str(work.index)))


def _base(rule: FeeRule, work: _Work, reference: str) -> int:
    item = work.item
    if rule.based_on is not None:
        return sum(fee.amount for fee in work.fees if fee.stack == rule.based_on)
    match rule.base:
        case FeeBase.GROSS:
            return item.goods
        case FeeBase.GROSS_PLUS_SHIPPING:
            return item.gross
        case FeeBase.NET | FeeBase.NET_PLUS_SHIPPING if not item.sale_tax.known:
            raise FeeBaseUnknown(line_id=item.line.id, rule=reference, path=("lines", str(work.index), "taxRate"))
        case FeeBase.NET:
            return item.goods - item.goods_tax
        case FeeBase.NET_PLUS_SHIPPING:
            return item.net


def _slices(rule: FeeRule, work: _Work, fees: FeeTerms, currency: str, reference: str) -> tuple[Slice, ...]:
    gross = work.item.gross
    if rule.tiers is None:
        return (Slice(gross, rule.percent),)
    volume = fees.volumes.get(work.item.line.seller_id, {}).get(rule.tiers.period, 0)
    climb = Climb(volume + work.climb.before, volume + work.climb.after)
    return slices_of(rule.tiers, gross=gross, climb=climb, currency=currency, rule=reference)


def _finish(work: _Work) -> LinePlan:
    item, steps = work.item, work.steps
    platform: list[LineFee] = []
    buyers: list[LineFee] = []
    processor: list[int] = []
    passed: list[int] = []
    was_bounded = False
    for fee in work.fees:
        was_bounded = was_bounded or fee.was_bounded
        if fee.payer is FeePayer.BUYER:
            buyers.append(fee)
        elif fee.kind is FeeKind.PLATFORM:
            platform.append(fee)
        elif fee.kind is FeeKind.PROCESSOR:
            processor.append(fee.amount)
        else:
            passed.append(fee.amount)
    fee, fee_tax = _add_fees("fee", platform, steps)
    buyer_fee, buyer_fee_tax = _add_fees("buyer_fee", buyers, steps)
    processor_fee = _add_sum("processor_fee", processor, steps) if processor else 0
    passed_on = _add_sum("passed_on", passed, steps) if passed else 0
    withheld = sum(amount for _, amount in work.withholdings) if work.withholdings else 0

    seller_net = item.gross - fee - fee_tax
    template, taken = "{0} - {1} - {2}", (item.gross, fee, fee_tax)
    for cost in (work.deemed_tax, withheld, processor_fee, passed_on):
        if cost:
            seller_net -= cost
            template += f" - {{{len(taken)}}}"
            taken = (*taken, cost)
    steps.append(whole_step("seller_net", template, *taken, amount=seller_net, rule="seller-net"))
    amounts = Totals(
        gross=item.gross,
        tax=item.tax,
        net=item.net,
        shipping=item.shipping,
        shipping_tax=item.shipping_tax,
        discount=item.discount,
        promo=item.promo,
        fee=fee,
        fee_tax=fee_tax,
        buyer_fee=buyer_fee,
        buyer_fee_tax=buyer_fee_tax,
        deemed_tax=work.deemed_tax,
        withheld=withheld,
        processor_fee=processor_fee,
        passed_on=passed_on,
        seller_net=seller_net,
    )
    return LinePlan(
        line_id=item.line.id,
        seller_id=item.line.seller_id,
        amounts=amounts,
        sale_tax=item.sale_tax,
        fees=tuple(work.fees),
        withholdings=work.withholdings,
        flags=(FEE_BOUNDED,) if was_bounded else (),
        explanation=tuple(steps),
    )


def _add_fees(name: str, fees: Sequence[LineFee], steps: list[Step]) -> tuple[int, int]:
    if not fees:
        return 0, 0
    return (
        _add_sum(name, [fee.amount for fee in fees], steps),
        _add_sum(f"{name}_tax", [fee.tax for fee in fees], steps),
    )


def _add_sum(name: str, amounts: Sequence[int], steps: list[Step], *, rule: str = "fees") -> int:
    template = "{0}" if len(amounts) == 1 else " + ".join(f"{{{index}}}" for index in range(len(amounts)))
    total = sum(amounts)
    steps.append(whole_step(name, template, *amounts, amount=total, rule=rule))
    return total


def _told(nearest: Rejection | None) -> str:
    if nearest is None:
        return " (it has no rules)"
    if nearest.misses:
        miss = nearest.misses[0]
        return f" (nearest: {nearest.rule.name!r}, for {miss.dimension} {miss.expected}, not {miss.actual!r})"
    return f" (nearest: {nearest.rule.name!r}, {nearest.reason.lower().replace('_', ' ')}: {nearest.expected})"


def _assert_balanced(plan: SplitPlan) -> None:
    rows = [line.amounts for line in plan.lines] + [share.totals for share in plan.sellers] + [plan.totals]
    for amounts in rows:
        paid_out = (
            amounts.seller_net
            + amounts.fee
            + amounts.fee_tax
            + amounts.deemed_tax
            + amounts.withheld
            + amounts.processor_fee
            + amounts.passed_on
        )
        if (
            amounts.gross != amounts.net + amounts.tax
            or amounts.gross + amounts.received != paid_out
            or min(amounts) < 0
        ):
            raise AssertionError(f"a split does not balance: {amounts}")
    totals = plan.totals
    if totals.received != totals.passed_on:
        raise AssertionError(f"what is passed on is not what is received: {totals}")
