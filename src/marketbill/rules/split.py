"""The split of one sale: what each line brings, costs and leaves to its seller, and how every amount came about.

`split` is a pure function of the basket and the terms. A preview and the sale itself call it with the same arguments
and therefore agree to the cent; what was decided is kept as the plan's trace and never computed again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from marketbill.errors import InvalidInput, Path
from marketbill.money import bounded
from marketbill.rules.basket import Basket, check_basket
from marketbill.rules.charge import charge_line
from marketbill.rules.explanation import whole_step
from marketbill.rules.fees.rule import ChargedLine, FeeRule, FixedShare, fixed_shares
from marketbill.rules.plan import FEE_BOUNDED, LinePlan, SplitPlan, sum_by_seller, sum_lines
from marketbill.rules.pricing import PricedLine, price
from marketbill.rules.tax.fee_tax import FeeTaxDecision, fee_tax
from marketbill.rules.tax.parties import PlatformTax, SellerTax


class SellerTermsMissing(InvalidInput):
    """A line names a seller whose tax status is not among the terms."""

    def __init__(self, seller_id: str, *, path: Path) -> None:
        super().__init__(f"The tax status of the seller {seller_id!r} is not known.", path=path)
        self.seller_id = seller_id


@dataclass(frozen=True, slots=True)
class Terms:
    """What a sale is split by: the platform's fee rule, its own tax status, and that of each seller by seller id."""

    fee_rule: FeeRule
    platform: PlatformTax
    sellers: Mapping[str, SellerTax]


def split(basket: Basket, terms: Terms) -> SplitPlan:
    """Split a sale among its sellers, the platform and the tax on the platform's fee.

    Percentages and taxes are rounded per line, half away from zero, and totals are sums of lines. For every line, and
    so for the sale: gross = seller net + fee + fee tax. The sales tax stays with the seller, who owes it.

    Raises what `check_basket` and `price` raise, `SellerTermsMissing` and `FixedFeeMissing`.
    """
    check_basket(basket)
    decisions = _decide_fee_tax(basket, terms)
    priced = [price(line, index=index) for index, line in enumerate(basket.lines)]
    bounded(sum(item.gross for item in priced), path=("lines",))

    shares = fixed_shares(terms.fee_rule, currency=basket.currency, lines=[_charged(item) for item in priced])
    lines = tuple(
        _split_line(item, rule=terms.fee_rule, share=shares[item.line.id], decision=decisions[item.line.seller_id])
        for item in priced
    )
    plan = SplitPlan(
        currency=basket.currency,
        fee_rule_id=terms.fee_rule.id,
        fee_rule_version=terms.fee_rule.version,
        lines=lines,
        sellers=sum_by_seller(lines),
        totals=sum_lines(lines),
    )
    _assert_balanced(plan)
    return plan


def _decide_fee_tax(basket: Basket, terms: Terms) -> dict[str, FeeTaxDecision]:
    decisions: dict[str, FeeTaxDecision] = {}
    for index, line in enumerate(basket.lines):
        if line.seller_id in decisions:
            continue
        seller = terms.sellers.get(line.seller_id)
        if seller is None:
            raise SellerTermsMissing(line.seller_id, path=("lines", str(index), "sellerId"))
        decisions[line.seller_id] = fee_tax(platform=terms.platform, seller=seller)
    return decisions


def _charged(item: PricedLine) -> ChargedLine:
    return ChargedLine(item.line.id, item.line.seller_id, item.line.quantity, item.gross)


def _split_line(item: PricedLine, *, rule: FeeRule, share: FixedShare, decision: FeeTaxDecision) -> LinePlan:
    charge = charge_line(rule, gross=item.gross, net=item.net, share=share, decision=decision)
    seller_net = item.gross - charge.fee - charge.fee_tax
    last_step = whole_step(
        "seller_net", "{0} - {1} - {2}", item.gross, charge.fee, charge.fee_tax, amount=seller_net, rule="seller-net"
    )
    return LinePlan(
        line_id=item.line.id,
        seller_id=item.line.seller_id,
        gross=item.gross,
        tax=item.tax,
        net=item.net,
        fee_percent_part=charge.percent_amount,
        fee_fixed_part=charge.fixed_amount,
        fee=charge.fee,
        fee_tax=charge.fee_tax,
        fee_tax_rate=decision.rate,
        fee_tax_rule=decision.rule,
        fee_tax_label=decision.label,
        seller_net=seller_net,
        flags=(FEE_BOUNDED,) if charge.was_bounded else (),
        explanation=(*item.steps, *charge.steps, last_step),
    )


def _assert_balanced(plan: SplitPlan) -> None:
    for amounts in (*plan.lines, plan.totals):
        if (
            amounts.gross != amounts.net + amounts.tax
            or amounts.gross != amounts.seller_net + amounts.fee + amounts.fee_tax
            or min(amounts.seller_net, amounts.fee, amounts.fee_tax) < 0
        ):
            raise AssertionError(f"a split does not balance: {amounts}")
