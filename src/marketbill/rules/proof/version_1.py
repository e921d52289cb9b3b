"""The proof of a trace of version 1: one fee rule for the whole sale, tax as the line states it."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from marketbill.rules.proof.finding import Finding, Flaw, differing
from marketbill.rules.proof.shares import recompute_shares
from marketbill.rules.proof.steps import SharedStep, Walk, templates

_SUMS = ("gross", "tax", "net", "fee", "fee_tax", "seller_net")
_AMOUNTS = (*_SUMS, "fee_percent_part", "fee_fixed_part")
_FEE_TAX = ("fee_tax_rate", "fee_tax_rule", "fee_tax_label")
_PERCENT = ("{gross} * {percent} / 100", "{net} * {percent} / 100")
_FORMS = templates(
    {
        "gross": ("{quantity} * {unit_price}", "{net} + {tax}"),
        "net": ("{quantity} * {unit_price}", "{gross} - {tax}"),
        "tax": ("{gross} * {tax_rate} / (100 + {tax_rate})", "{net} * {tax_rate} / 100"),
        "fee_percent_part": (*_PERCENT, "{fee} - {rest}", "{fee_with_tax} - {rest}"),
        "fee_fixed_part": (
            "{fixed}",
            "{fixed} * {quantity}",
            "{fixed} * {gross} / {weights}",
            "{fee} - {fee_percent_part}",
            "{fee_with_tax} - {fee_percent_part}",
        ),
        "fee": (
            "{fee_percent_part} + {fee_fixed_part}",
            "{gross} * 100 / (100 + {fee_tax_rate})",
            "{fee_with_tax} - {fee_tax}",
        ),
        "fee_with_tax": ("{fee_percent_part} + {fee_fixed_part}", "{gross}"),
        "fee_tax": ("{fee} * {fee_tax_rate} / 100", "{fee_with_tax} * {fee_tax_rate} / (100 + {fee_tax_rate})"),
        "seller_net": ("{gross} - {fee} - {fee_tax}",),
    }
)


def recompute_version_1(trace: Mapping[str, Any]) -> Iterable[Finding]:
    """What the trace says that does not follow from the rest of it."""
    rule = f"fee:{trace['fee_rule']['id']}@{trace['fee_rule']['version']}"
    shared: list[SharedStep] = []
    for line in trace["lines"]:
        walk = Walk(line["line_id"], line["seller_id"], _FORMS, {"fee_tax_rate": Fraction(line["fee_tax_rate"])})
        walk.walk(line["explanation"])
        shared += walk.shared
        yield from walk.findings
        yield from _line(line, walk, rule)
    yield from recompute_shares(shared)
    yield from _sums(trace)


def _line(line: Mapping[str, Any], walk: Walk, rule: str) -> Iterable[Finding]:
    with_tax = {"fee_with_tax"} & walk.amounts.keys()
    for name in _AMOUNTS:
        yield from differing(Flaw.AMOUNT, walk.subject, name, stored=line[name], recomputed=walk.amounts.get(name))
    for name in walk.amounts.keys() - set(_AMOUNTS) - with_tax:
        yield Finding(Flaw.AMOUNT, walk.subject, name, str(walk.amounts[name]), "no such amount")
    parts = line["fee_percent_part"] + line["fee_fixed_part"]
    stated = line["fee"] + (line["fee_tax"] if with_tax else 0)
    yield from differing(Flaw.IDENTITY, walk.subject, "parts of the fee", stored=parts, recomputed=stated)
    yield from _even(line, walk.subject)
    for named in sorted({one for _, one in walk.rules if one.startswith("fee:")}):
        yield from differing(Flaw.RULE, walk.subject, "fee rule", stored=named, recomputed=rule)


def _sums(trace: Mapping[str, Any]) -> Iterable[Finding]:
    lines: Sequence[Mapping[str, Any]] = trace["lines"]
    sellers = [seller["seller_id"] for seller in trace["sellers"]]
    expected = list(dict.fromkeys(line["seller_id"] for line in lines))
    yield from differing(Flaw.SUM, "sale", "sellers", stored=sellers, recomputed=expected)
    for seller in trace["sellers"]:
        subject = f"seller {seller['seller_id']}"
        own = [line for line in lines if line["seller_id"] == seller["seller_id"]]
        yield from _sum(seller, own, subject)
        yield from _even(seller, subject)
        for name in _FEE_TAX:
            for line in own:
                subject_of_line = f"line {line['line_id']}"
                yield from differing(Flaw.RULE, subject_of_line, name, stored=line[name], recomputed=seller[name])
    yield from _sum(trace["totals"], lines, "sale")
    yield from _even(trace["totals"], "sale")


def _sum(whole: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], subject: str) -> Iterable[Finding]:
    for name in _SUMS:
        total = sum(part[name] for part in parts)
        yield from differing(Flaw.SUM, subject, name, stored=whole[name], recomputed=total)


def _even(amounts: Mapping[str, Any], subject: str) -> Iterable[Finding]:
    gross, parts = amounts["gross"], amounts["seller_net"] + amounts["fee"] + amounts["fee_tax"]
    yield from differing(Flaw.IDENTITY, subject, "net + tax", stored=gross, recomputed=amounts["net"] + amounts["tax"])
    yield from differing(Flaw.IDENTITY, subject, "seller net + fee + fee tax", stored=gross, recomputed=parts)
