"""The proof of a trace of version 2: fees by stacks, decisions on tax, discounts, shipping, parts of others."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from marketbill.money import round_half_away
from marketbill.rules.proof.finding import Finding, Flaw, differing
from marketbill.rules.proof.forms import LineForms, number_of
from marketbill.rules.proof.legs import FIELDS, recompute_sums
from marketbill.rules.proof.shares import recompute_shares
from marketbill.rules.proof.steps import Number, SharedStep, Walk

#: What every line has a step for; the other amounts have one unless they are zero.
_REQUIRED = ("gross", "tax", "net", "seller_net")
_PARTS = ("percent_part", "fixed_part", "amount", "tax")
_LIMITED = ("percent_part", "fixed_part", "amount", "with_tax")
Part = Mapping[str, Any]


def recompute_version_2(trace: Part) -> Iterable[Finding]:
    """What the trace says that does not follow from the rest of it."""
    inputs, reference = trace["inputs"], f"fee:{trace['schedule']['id']}@{trace['schedule']['version']}/"
    ids = [line["line_id"] for line in trace["lines"]]
    yield from differing(Flaw.SUM, "sale", "lines", stored=sorted(inputs["lines"]), recomputed=sorted(set(ids)))
    shared: list[SharedStep] = []
    for line in trace["lines"]:
        asked = inputs["lines"][line["line_id"]]
        walk = Walk(line["line_id"], line["seller_id"], LineForms(line), _known(line, asked), _family(asked))
        walk.walk(line["explanation"])
        shared += walk.shared
        yield from walk.findings
        yield from _amounts(line, asked, walk)
        for fee in line["fees"]:
            yield from _fee(fee, line, walk, reference, inputs)
    yield from recompute_shares(shared)
    yield from _wholes(trace, shared)
    yield from recompute_sums(trace)


def _known(line: Part, asked: Part) -> dict[str, Number]:
    """The numbers that a line's formulas start from."""
    known: dict[str, Number] = {
        "quantity": asked["quantity"],
        "unit_price": asked["unit_price"],
        "rate": number_of(asked["tax"]["rate"]),
        "shipping_share": 0,
    }
    for scheme, rate, _ in asked["tax"]["withheld"]:
        known[f"withheld:{scheme}.rate_withheld"] = number_of(rate)
    room = max(0, line["gross"] - line["deemed_tax"] - line["withheld"])
    for fee in line["fees"]:
        stack = fee["stack"]
        known |= {f"{stack}.tax_rate": number_of(fee["tax_rate"]), f"{stack}.room": room, f"{stack}.tax": 0}
        if fee["payer"] == "SELLER":
            room -= fee["amount"] + fee["tax"]
    return known


def _family(asked: Part) -> str:
    tax = asked["tax"]
    return " ".join(map(str, (asked["tax_inclusive"], tax["rate"], tax["jurisdiction"], tax["liable"])))


def _amounts(line: Part, asked: Part, walk: Walk) -> Iterable[Finding]:
    tax = asked["tax"]
    for name in FIELDS:
        recomputed = walk.amounts.get(name, None if name in _REQUIRED else 0)
        yield from differing(Flaw.AMOUNT, walk.subject, name, stored=line[name], recomputed=recomputed)
    deemed = line["tax"] if tax["liable"] == "PLATFORM" else 0
    yield from differing(Flaw.IDENTITY, walk.subject, "deemed_tax", stored=line["deemed_tax"], recomputed=deemed)
    rules = (line["sale_tax_rule"], tax["rule"])
    yield from differing(Flaw.RULE, walk.subject, "sale_tax_rule", stored=rules[0], recomputed=rules[1])
    bounded = ["FEE_BOUNDED"] if any(fee["was_bounded"] for fee in line["fees"]) else []
    yield from differing(Flaw.RULE, walk.subject, "flags", stored=line["flags"], recomputed=bounded)
    if not tax["known"]:
        yield from differing(Flaw.RULE, walk.subject, "tax of an unknown rate", stored=line["tax"], recomputed=0)


def _fee(fee: Part, line: Part, walk: Walk, reference: str, inputs: Part) -> Iterable[Finding]:
    stack, subject = fee["stack"], walk.subject
    for part in _PARTS:
        recomputed = walk.amounts.get(f"{stack}.{part}", 0 if part == "tax" else None)
        yield from differing(Flaw.AMOUNT, subject, f"{stack}.{part}", stored=fee[part], recomputed=recomputed)
    within = fee["tax"] if fee["tax_mode"] == "INCLUSIVE" else 0
    parts = fee["percent_part"] + fee["fixed_part"]
    yield from differing(Flaw.IDENTITY, subject, f"parts of {stack}", stored=parts, recomputed=fee["amount"] + within)
    sliced = sum(part for part, _ in fee["slices"])
    yield from differing(Flaw.SUM, subject, f"tiers of {stack}", stored=sliced, recomputed=line["gross"])
    if fee["base"] not in (bases := _bases(line)):
        yield Finding(Flaw.OPERAND, subject, f"base of {stack}", str(fee["base"]), f"one of {bases}")
    if not fee["rule"].startswith(reference):
        yield Finding(Flaw.RULE, subject, f"rule of {stack}", fee["rule"], f"{reference}…")
    for name, rule in walk.rules:
        if name in {f"{stack}.{part}" for part in _LIMITED}:
            yield from differing(Flaw.RULE, subject, name, stored=rule, recomputed=fee["rule"])
        elif name == f"{stack}.tax":
            yield from differing(Flaw.RULE, subject, name, stored=rule, recomputed=fee["tax_rule"])
    if fee["kind"] == "PLATFORM":
        decided = inputs["buyer"] if fee["payer"] == "BUYER" else inputs["sellers"][line["seller_id"]]
        for name, decision in decided["fee_tax"].items():
            yield from differing(
                Flaw.RULE, subject, f"tax {name} of {stack}", stored=fee[f"tax_{name}"], recomputed=decision
            )
    else:
        yield from differing(Flaw.RULE, subject, f"tax rate of {stack}", stored=fee["tax_rate"], recomputed="0")


def _bases(line: Part) -> list[int]:
    """What a percentage may be taken of: the price or the net, with shipping or without, or another fee."""
    goods, goods_tax = line["gross"] - line["shipping"], line["tax"] - line["shipping_tax"]
    bases = [goods, line["gross"], goods - goods_tax, line["net"], *(fee["amount"] for fee in line["fees"])]
    return sorted({*bases, 0} if line["fees"] else set(bases))


def _wholes(trace: Part, shared: Sequence[SharedStep]) -> Iterable[Finding]:
    """What is shared out is what was asked for: the shipping, the discounts, the platform's part of them."""
    steps: dict[str, list[SharedStep]] = {}
    for step in shared:
        steps.setdefault(step.name, []).append(step)
    shipping = dict(trace["inputs"]["shipping"])
    for step in steps.get("shipping_share", ()):
        whole = shipping.get(step.seller_id)
        yield from differing(Flaw.OPERAND, step.subject, step.name, stored=step.total, recomputed=whole)
    left = {id: line["quantity"] * line["unit_price"] for id, line in trace["inputs"]["lines"].items()}
    for discount in trace["inputs"]["discounts"]:
        yield from _discount(discount, left, steps)


def _discount(discount: Part, left: dict[str, int], steps: Mapping[str, Sequence[SharedStep]]) -> Iterable[Finding]:
    """One discount; `left` is what the discounts before it left of the prices, and is lowered by this one."""
    name = f"discount:{discount['id']}"
    shares, promos = steps.get(f"{name}.amount", ()), steps.get(f"{name}.promo", ())
    lines = discount["line_ids"] or list(left)
    if discount["percent"] is None:
        whole = discount["amount"]
    else:
        whole = round_half_away(sum(left[id] for id in lines) * number_of(discount["percent"]) / 100)
    given = [share.line_id for share in shares]
    yield from differing(Flaw.SUM, "sale", name, stored=sorted(given), recomputed=sorted(lines) if whole else [])
    for share in shares:
        yield from differing(Flaw.OPERAND, share.subject, share.name, stored=share.total, recomputed=whole)
        stored, recomputed = share.weight, left[share.line_id]
        yield from differing(Flaw.OPERAND, share.subject, share.name, stored=stored, recomputed=recomputed)
        left[share.line_id] -= share.amount
    platform = round_half_away(whole * number_of(discount["platform_percent"]) / 100)
    given = [promo.line_id for promo in promos]
    of_lines = sorted(share.line_id for share in shares) if platform else []
    yield from differing(Flaw.SUM, "sale", f"{name}.promo", stored=sorted(given), recomputed=of_lines)
    for promo in promos:
        yield from differing(Flaw.OPERAND, promo.subject, promo.name, stored=promo.total, recomputed=platform)
