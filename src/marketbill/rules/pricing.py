"""What each line brings: its price after discounts, its share of shipping, the tax in or on them, and the net."""

from collections.abc import Mapping
from typing import NamedTuple

from marketbill.money import bounded
from marketbill.rules.allocation import allocate
from marketbill.rules.basket import Basket, BasketLine
from marketbill.rules.discounts import Cut, cuts_of
from marketbill.rules.explanation import Step, rounded_step, shared_step, whole_step
from marketbill.rules.rates import rate_parts
from marketbill.rules.shipping import RULE as SHIPPING
from marketbill.rules.shipping import shipping_shares
from marketbill.rules.tax.arithmetic import tax_on_top, tax_within
from marketbill.rules.tax.line_tax import LineTax, TaxRounding


class PricedLine(NamedTuple):
    """A basket line with its amounts in minor units: gross = net + tax, with shipping; and the steps to them.

    `goods` and `goods_tax` are without the shipping, `goods` with its tax; `shipping` too is with its tax. `discount`
    is what the seller gave, already off `gross`; `promo` what the platform pays of `gross`.
    """

    line: BasketLine
    sale_tax: LineTax
    goods: int
    goods_tax: int
    shipping: int
    shipping_tax: int
    discount: int
    promo: int
    gross: int
    tax: int
    net: int
    steps: tuple[Step, ...]


#: The tax on a line's goods or on its shipping, where it is rounded once for many: (line id, is shipping) -> steps.
_Documents = Mapping[tuple[str, bool], tuple[Step, Step]]


def price(basket: Basket, decisions: Mapping[str, LineTax]) -> tuple[PricedLine, ...]:
    """The lines with their amounts, in the order of the basket. `decisions` are the lines' taxes by line id.

    Only taxes are rounded, and only one side of each: net or gross is the rest. Raises `DiscountAboveLines`, and
    `AmountTooLarge` when tax or shipping takes a line beyond the largest amount.
    """
    cuts = cuts_of(basket)
    goods = {
        line.id: line.quantity * line.unit_price - (cuts[line.id].discount if line.id in cuts else 0)
        for line in basket.lines
    }
    shares = shipping_shares(basket, goods, decisions) if basket.shipping else {}
    documents = _documents(basket, goods, shares, decisions)
    priced: list[PricedLine] = []
    for index, line in enumerate(basket.lines):
        cut, share, decision = cuts.get(line.id), shares.get(line.id), decisions[line.id]
        if cut is None and share is None and not documents:
            item = _plain(line, decision)
        else:
            item = _with_extras(line, decision, cut, share, documents)
        bounded(item.gross, path=("lines", str(index), "unitPrice"))
        priced.append(item)
    return tuple(priced)


def _plain(line: BasketLine, decision: LineTax) -> PricedLine:
    asked = line.quantity * line.unit_price
    taxed = _tax_step("tax", asked, line, decision)
    tax = taxed.rounded
    if line.tax_inclusive:
        gross, net, rule = asked, asked - tax, "sale-tax:inclusive"
        steps = (
            whole_step("gross", "{0} * {1}", line.quantity, line.unit_price, amount=gross, rule=rule),
            taxed,
            whole_step("net", "{0} - {1}", gross, tax, amount=net, rule=rule),
        )
    else:
        gross, net, rule = asked + tax, asked, "sale-tax:exclusive"
        steps = (
            whole_step("net", "{0} * {1}", line.quantity, line.unit_price, amount=net, rule=rule),
            taxed,
            whole_step("gross", "{0} + {1}", net, tax, amount=gross, rule=rule),
        )
    return PricedLine(line, decision, gross, tax, 0, 0, 0, 0, gross, tax, net, steps)


def _with_extras(
    line: BasketLine, decision: LineTax, cut: Cut | None, share: Step | None, documents: _Documents
) -> PricedLine:
    rule = "sale-tax:inclusive" if line.tax_inclusive else "sale-tax:exclusive"
    asked = line.quantity * line.unit_price
    steps = [whole_step("price", "{0} * {1}", line.quantity, line.unit_price, amount=asked, rule=rule)]
    discount, promo = (cut.discount, cut.promo) if cut else (0, 0)
    goods = asked - discount
    if cut:
        steps += cut.steps
        steps.append(whole_step("goods", "{0} - {1}", asked, discount, amount=goods, rule=rule))

    goods_tax = _add_tax(steps, "tax" if share is None else "goods_tax", goods, line, decision, documents)
    carried, carried_tax = 0, 0
    if share is not None:
        carried = share.rounded
        steps.append(share)
        carried_tax = _add_tax(steps, "shipping_tax", carried, line, decision, documents)
        steps.append(
            whole_step("tax", "{0} + {1}", goods_tax, carried_tax, amount=goods_tax + carried_tax, rule=decision.rule)
        )
    tax = goods_tax + carried_tax
    stated = goods + carried
    if line.tax_inclusive:
        gross, net, shipping = stated, stated - tax, carried
        steps += (
            whole_step("gross", "{0} + {1}", goods, carried, amount=gross, rule=rule),
            whole_step("net", "{0} - {1}", gross, tax, amount=net, rule=rule),
        )
    else:
        gross, net, shipping, goods = stated + tax, stated, carried + carried_tax, goods + goods_tax
        steps += (
            whole_step("net", "{0} + {1}", stated - carried, carried, amount=net, rule=rule),
            whole_step("gross", "{0} + {1}", net, tax, amount=gross, rule=rule),
        )
    if share is not None:
        on_top = 0 if line.tax_inclusive else carried_tax
        steps.append(whole_step("shipping", "{0} + {1}", carried, on_top, amount=shipping, rule=SHIPPING))
    return PricedLine(
        line, decision, goods, goods_tax, shipping, carried_tax, discount, promo, gross, tax, net, tuple(steps)
    )


def _add_tax(
    steps: list[Step], name: str, amount: int, line: BasketLine, decision: LineTax, documents: _Documents
) -> int:
    shared = documents.get((line.id, name == "shipping_tax"))
    if shared is None:
        taxed = _tax_step(name, amount, line, decision)
        steps.append(taxed)
        return taxed.rounded
    whole, part = shared
    steps += (whole, part._replace(name=name))
    return part.rounded


def _tax_step(name: str, amount: int, line: BasketLine, decision: LineTax) -> Step:
    rate = rate_parts(decision.rate)
    if line.tax_inclusive:
        ratio = tax_within(gross=amount, rate=rate)
        return rounded_step(name, "{0} * {1:f} / (100 + {1:f})", amount, decision.rate, ratio=ratio, rule=decision.rule)
    ratio = tax_on_top(net=amount, rate=rate)
    return rounded_step(name, "{0} * {1:f} / 100", amount, decision.rate, ratio=ratio, rule=decision.rule)


def _documents(
    basket: Basket, goods: Mapping[str, int], shares: Mapping[str, Step], decisions: Mapping[str, LineTax]
) -> _Documents:
    """The tax of all that one seller charges at one rate and in one jurisdiction, rounded once and shared out over the
    amounts by largest remainder, for lines whose country rounds by document."""
    groups: dict[tuple[object, ...], list[tuple[str, bool, int]]] = {}
    by_id: dict[str, BasketLine] = {}
    for line in basket.lines:
        decision = decisions[line.id]
        if decision.rounding is not TaxRounding.DOCUMENT:
            continue
        by_id[line.id] = line
        key = (line.seller_id, line.tax_inclusive, decision.rate, decision.jurisdiction, decision.liable)
        group = groups.setdefault(key, [])
        group.append((line.id, False, goods[line.id]))
        if line.id in shares:
            group.append((line.id, True, shares[line.id].rounded))

    documents: dict[tuple[str, bool], tuple[Step, Step]] = {}
    for group in groups.values():
        line = by_id[group[0][0]]
        decision = decisions[line.id]
        amount = sum(item[2] for item in group)
        whole = _tax_step("document_tax", amount, line, decision)
        # The goods of a line stand before its shipping where their remainders tie.
        weights = {f"{id}\x00{is_shipping:d}": weight for id, is_shipping, weight in group}
        taxes = allocate(whole.rounded, weights)
        for (id, is_shipping, weight), tax in zip(group, taxes.values(), strict=True):
            part = shared_step(
                "tax", amount=tax, whole=whole.rounded, weight=weight, weight_sum=amount or 1, rule=decision.rule
            )
            documents[id, is_shipping] = (whole, part)
    return documents
