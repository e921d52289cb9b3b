"""Shares, totals and the legs that they are booked on, summed again from the lines of a trace of version 2."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from marketbill.rules.proof.finding import Finding, Flaw, differing

Part = Mapping[str, Any]

#: The amounts of a line, a share and the sale.
FIELDS = (
    *("gross", "tax", "net", "shipping", "shipping_tax", "discount", "promo", "fee", "fee_tax"),
    *("buyer_fee", "buyer_fee_tax", "deemed_tax", "withheld", "processor_fee", "received", "passed_on", "seller_net"),
)
_COSTS = ("fee", "fee_tax", "deemed_tax", "withheld", "processor_fee", "passed_on")


def recompute_sums(trace: Part) -> Iterable[Finding]:
    """Every share as the sum of its lines and of what it receives, every total as the sum of the shares."""
    by_seller: dict[str, list[Part]] = {}
    for line in trace["lines"]:
        by_seller.setdefault(line["seller_id"], []).append(line)
        yield from _even(line, f"line {line['line_id']}")
    received = _received(trace["lines"])
    sellers = [share["seller_id"] for share in trace["sellers"]]
    expected = [*by_seller, *sorted(received.keys() - by_seller.keys())]
    yield from differing(Flaw.SUM, "sale", "sellers", stored=sellers, recomputed=expected)

    for share in trace["sellers"]:
        subject, own = f"seller {share['seller_id']}", by_seller.get(share["seller_id"], [])
        sums = _sums(own)
        sums["received"] += received.get(share["seller_id"], 0)
        sums["seller_net"] += received.get(share["seller_id"], 0)
        yield from _same(Flaw.SUM, subject, share, sums)
        yield from _even(share, subject)
        yield from _same_legs(subject, share["legs"], _legs(trace, own, payer="SELLER"))
        yield from _fee_tax(share, trace["inputs"])

    totals = trace["totals"]
    yield from _same(Flaw.SUM, "sale", totals, _sums(trace["sellers"]))
    yield from _even(totals, "sale")
    charged = totals["gross"] - totals["promo"] + totals["buyer_fee"] + totals["buyer_fee_tax"]
    yield from differing(Flaw.SUM, "sale", "charged", stored=totals["charged"], recomputed=charged)
    moved = totals["received"], totals["passed_on"]
    yield from differing(Flaw.IDENTITY, "sale", "received", stored=moved[0], recomputed=moved[1])
    yield from _same_legs("sale", trace["buyer_legs"], _legs(trace, trace["lines"], payer="BUYER"))


def _legs(trace: Part, lines: Sequence[Part], *, payer: str) -> dict[str, Any]:
    """Where the fees that `payer` bears are booked, and with the seller's the taxes on his sales."""
    legs: dict[str, Any] = {name: {} for name in ("fees", "fee_tax", "deemed", "withheld", "parts")}
    legs |= {"processor": 0, "promo": 0}
    for line in lines:
        for fee in line["fees"]:
            if fee["payer"] != payer:
                continue
            match fee["kind"]:
                case "PLATFORM":
                    _add(legs["fees"], fee["account"] or "", fee["amount"])
                    _add(legs["fee_tax"], fee["tax_jurisdiction"], fee["tax"])
                case "PART":
                    _add(legs["parts"], fee["recipient"] or "", fee["amount"])
                case _:
                    legs["processor"] += fee["amount"]
        if payer == "SELLER":
            legs["promo"] += line["promo"]
            _add(legs["deemed"], trace["inputs"]["lines"][line["line_id"]]["tax"]["jurisdiction"], line["deemed_tax"])
            for scheme, amount in withheld_of(line).items():
                _add(legs["withheld"], scheme, amount)
    return legs


def withheld_of(line: Part) -> dict[str, int]:
    """What is withheld of a line, by scheme."""
    steps = ((step["name"].partition(":"), step["rounded"]) for step in line["explanation"])
    return {scheme: amount for (word, colon, scheme), amount in steps if word == "withheld" and colon}


def _add(sums: dict[str, int], name: str, amount: int) -> None:
    if amount:
        sums[name] = sums.get(name, 0) + amount


def _received(lines: Sequence[Part]) -> dict[str, int]:
    received: dict[str, int] = {}
    for line in lines:
        for fee in line["fees"]:
            if fee["kind"] == "PART" and fee["payer"] == "SELLER":
                _add(received, fee["recipient"] or "", fee["amount"])
    return received


def _sums(parts: Sequence[Part]) -> dict[str, int]:
    return {name: sum(part[name] for part in parts) for name in FIELDS}


def _same(flaw: Flaw, subject: str, stored: Part, recomputed: Part) -> Iterable[Finding]:
    for name, amount in recomputed.items():
        yield from differing(flaw, subject, name, stored=stored[name], recomputed=amount)


def _same_legs(subject: str, stored: Part, recomputed: Part) -> Iterable[Finding]:
    for name, legs in recomputed.items():
        yield from differing(Flaw.LEG, subject, f"legs.{name}", stored=stored[name], recomputed=legs)


def _even(amounts: Part, subject: str) -> Iterable[Finding]:
    gross, net = amounts["gross"], amounts["net"] + amounts["tax"]
    yield from differing(Flaw.IDENTITY, subject, "net + tax", stored=gross, recomputed=net)
    spent = amounts["seller_net"] + sum(amounts[cost] for cost in _COSTS) - amounts["received"]
    yield from differing(Flaw.IDENTITY, subject, "seller net and what was taken", stored=gross, recomputed=spent)


def _fee_tax(share: Part, inputs: Part) -> Iterable[Finding]:
    """The tax on fees that a share tells is the one that was decided for its seller; none for who only receives."""
    subject, rule, platform = f"seller {share['seller_id']}", share["fee_tax_rule"], inputs["platform"]["rate"]
    decided = inputs["sellers"].get(share["seller_id"], {"fee_tax": {"rate": "0"}})["fee_tax"]
    for name in ("rate", "rule", "label"):
        stored = share[f"fee_tax_{name}"]
        recomputed = decided.get(name, stored)
        yield from differing(Flaw.RULE, subject, f"fee_tax_{name}", stored=stored, recomputed=recomputed)
    if rule in ("fee-vat:domestic", "fee-vat:eu-fallback"):
        rate = share["fee_tax_rate"]
        yield from differing(Flaw.RULE, subject, "fee_tax_rate", stored=rate, recomputed=platform)
