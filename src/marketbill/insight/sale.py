"""The tree of one line of a sale, from the trace that the split left behind."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import Any

from marketbill.insight.node import Node
from marketbill.rules.explanation import Rounding

Part = Mapping[str, Any]

_LABELS = {
    "price": "price",
    "gross": "price with tax",
    "net": "price without tax",
    "goods": "goods after discounts",
    "goods_tax": "tax on the goods",
    "document_tax": "tax on all that the seller charges at this rate",
    "tax": "tax",
    "shipping_share": "share of the seller's shipping",
    "shipping_tax": "tax on the shipping",
    "shipping": "shipping with tax",
    "discount": "discount that the seller gives",
    "promo": "discount that the platform pays",
    "deemed_tax": "tax that the platform owes on the sale",
    "withheld": "tax withheld",
    "fee": "fees of the platform",
    "fee_tax": "tax on the fees",
    "fee_percent_part": "percentage",
    "fee_fixed_part": "fixed part",
    "fee_with_tax": "fee with its tax",
    "buyer_fee": "fees that the buyer pays",
    "buyer_fee_tax": "tax on the buyer's fees",
    "processor_fee": "part of the provider's fee",
    "passed_on": "parts of other participants",
    "seller_net": "left for the seller",
    "percent_part": "percentage",
    "fixed_part": "fixed part",
    "amount": "fee",
    "with_tax": "fee with its tax",
}
#: Sums of what stands above them anyway, where there is only one of it.
_SUMS = ("fee", "fee_tax", "buyer_fee", "buyer_fee_tax", "processor_fee", "passed_on")
_LIABLE = {
    "SELLER": "the seller owes it",
    "PLATFORM": "the platform owes it",
    "BUYER": "the buyer owes it (reverse charge)",
    "NOBODY": "nobody owes any",
}
_FEES_OF_1 = ("fee_percent_part", "fee_fixed_part", "fee_with_tax", "fee", "fee_tax")


def line_node(trace: Part, line: Part, *, description: str = "") -> Node:
    """One line: its price and the tax on it, each fee with the tax on it, and what is left for the seller."""
    currency, steps = trace["currency"], line["explanation"]
    stacks = {fee["stack"]: fee for fee in line.get("fees", ())}
    children = [*_price_nodes(trace, line)]
    if trace["trace_version"] == 1:
        fees = [step_node(step, currency) for step in steps if step["name"] in _FEES_OF_1]
        children.append(Node("fee of the platform", line["fee"], currency, children=tuple(fees)))
    for stack, fee in stacks.items():
        children.append(_fee_node(fee, [step for step in steps if _stack(step) == stack], currency))
    children += [step_node(step, currency) for step in steps if _is_sum(step["name"], stacks.values())]
    children += [step_node(step, currency) for step in steps if step["name"] == "seller_net"]
    label = f"line {line['line_id']}" + (f", {description}" if description else "")
    note = "the fee was cut to what the line pays" if line["flags"] else None
    return Node(label, line["gross"], currency, note=note, children=tuple(children))


def step_node(step: Part, currency: str, *, label: str | None = None) -> Node:
    """One step, with its arithmetic; of a share it says whether it got a unit of the remainder."""
    rounding = Rounding(step["rounding"])
    return Node(
        label or _label(step["name"]),
        step["rounded"],
        currency,
        formula=step["formula"],
        exact=step["exact"],
        rounding=rounding,
        got_remainder=rounding is Rounding.LARGEST_REMAINDER and step["rounded"] > floor(Fraction(step["exact"])),
        rule=step["rule"],
    )


def part_node(trace: Part, line: Part, name: str, amount: int) -> Node:
    """An amount of a line as a part of something else: with the steps that lead to it."""
    currency = trace["currency"]
    whole = line_node(trace, line)
    stack, _, part = name.rpartition(".")
    label = f"line {line['line_id']}: {_label(part or name)}"
    for child in whole.children:
        if stack and child.evidence.get("stack") == stack:
            found = child.children if part == "amount" else [one for one in child.children if one.label == "tax on it"]
            return Node(f"line {line['line_id']}: {child.label}", amount, currency, children=tuple(found))
    if name == "fee" and trace["trace_version"] == 1:
        return Node(label, amount, currency, children=next(c.children for c in whole.children if "fee of" in c.label))
    if name == "gross":
        own = tuple(child for child in whole.children if child.amount is not None and not child.evidence.get("stack"))
        names = {_label(one) for one in (*_SUMS, "seller_net")} | {"fee of the platform"}
        return Node(label, amount, currency, children=tuple(one for one in own if one.label not in names))
    steps = [step_node(step, currency) for step in line["explanation"] if step["name"] == name]
    return Node(label, amount, currency, children=tuple(steps))


def _price_nodes(trace: Part, line: Part) -> Iterable[Node]:
    currency = trace["currency"]
    stacks = {fee["stack"] for fee in line.get("fees", ())}
    for step in line["explanation"]:
        name = step["name"]
        if _stack(step) in stacks or name in (*_SUMS, *_FEES_OF_1, "seller_net"):
            continue
        node = step_node(step, currency)
        yield _decided(node, trace, line) if name == "tax" and trace["trace_version"] != 1 else node


def _decided(node: Node, trace: Part, line: Part) -> Node:
    """The tax on the sale with the decision behind it."""
    tax = trace["inputs"]["lines"][line["line_id"]]["tax"]
    place = f"{tax['jurisdiction']} " if tax["jurisdiction"] else ""
    words = (tax["label"] or "tax", f"{place}{tax['rate']} %", _LIABLE[tax["liable"]])
    note = ", ".join(words) if tax["known"] else "only the seller knows it: counted as none"
    return Node(
        *(node.label, node.amount, node.currency, node.formula, node.exact, node.rounding, node.got_remainder),
        rule=tax["rule"],
        source=tax["source"] or None,
        evidence=tax["evidence"],
        note=note,
    )


def _fee_node(fee: Part, steps: Sequence[Part], currency: str) -> Node:
    taxed = f"{fee['tax_label'] or 'tax'} {fee['tax_rate']} %"
    nodes = [
        Node(
            *("tax on it", step["rounded"], currency, step["formula"], step["exact"], Rounding(step["rounding"])),
            rule=step["rule"],
            note=taxed,
        )
        if step["name"].endswith(".tax")
        else step_node(step, currency)
        for step in steps
    ]
    whose = {
        "PROCESSOR": "the seller's part of the provider's fee",
        "PART": f"goes to {fee['recipient']}",
    }.get(fee["kind"], "paid by the buyer" if fee["payer"] == "BUYER" else "paid by the seller")
    evidence = {"stack": fee["stack"], "name": fee["name"]}
    if len(fee["slices"]) > 1:
        evidence["tiers"] = ", ".join(f"{part} at {percent} %" for part, percent in fee["slices"])
    return Node(
        f"fee {fee['stack']}",
        fee["amount"],
        currency,
        rule=fee["rule"],
        evidence=evidence,
        note=whose,
        children=tuple(nodes),
    )


def _is_sum(name: str, fees: Iterable[Part]) -> bool:
    """Whether this is the sum of several fees; of one fee it would say nothing new."""
    if name not in _SUMS:
        return False
    return len([fee for fee in fees if fee["tax" if name.endswith("_tax") else "amount"]]) > 1 and name in (
        "fee",
        "fee_tax",
        "passed_on",
    )


def _stack(step: Part) -> str:
    return step["name"].rpartition(".")[0]


def _label(name: str) -> str:
    if name.startswith("withheld:"):
        return f"tax withheld ({name.partition(':')[2]})"
    if name.startswith("discount:"):
        id, _, part = name.removeprefix("discount:").rpartition(".")
        return f"discount {id}" + (", the platform's part" if part == "promo" else "")
    return _LABELS.get(name.rpartition(".")[2], name)
