"""What the postings of a sale are made of: the amounts of its lines that were added up on each pair of accounts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marketbill.ids import SellerId, parse_id
from marketbill.ledger import chart
from marketbill.rules.proof.legs import withheld_of

#: The kinds of entries whose postings follow from the trace of their payment alone.
TRACED_KINDS = ("charge", "promo", "split")


@dataclass(frozen=True, slots=True)
class Leg:
    """One movement of an entry of a kind, by the codes of its accounts."""

    kind: str
    debit: str
    credit: str


@dataclass(frozen=True, slots=True)
class Part:
    """An amount of a line, by its name in the line's explanation: `gross`, `commission.amount`, `commission.tax`."""

    line_id: str
    name: str
    amount: int


def parts_of_sale(trace: Mapping[str, Any], *, tax_country: str) -> dict[Leg, list[Part]]:
    """The parts of every posting of a sale's entries (`TRACED_KINDS`); the sum of a leg's parts is its posting.

    `tax_country` is where a trace of version 1 owes its tax on fees.
    """
    legs: dict[Leg, list[Part]] = {}
    of_line = _of_line_1 if trace["trace_version"] == 1 else _of_line
    for line in trace["lines"]:
        for leg, part in of_line(line, trace, tax_country):
            if part.amount:
                legs.setdefault(leg, []).append(part)
    return legs


def _of_line_1(line: Mapping[str, Any], trace: Mapping[str, Any], tax_country: str) -> Iterator[tuple[Leg, Part]]:
    currency, id = trace["currency"], line["line_id"]
    pending = _pending(line["seller_id"], currency)
    yield Leg("charge", chart.psp_pending(currency).code, pending), Part(id, "gross", line["gross"])
    yield Leg("split", pending, chart.platform_fee(currency).code), Part(id, "fee", line["fee"])
    yield Leg("split", pending, chart.output_vat(tax_country, currency).code), Part(id, "fee_tax", line["fee_tax"])


def _of_line(line: Mapping[str, Any], trace: Mapping[str, Any], _: str) -> Iterator[tuple[Leg, Part]]:
    currency, id = trace["currency"], line["line_id"]
    psp, pending = chart.psp_pending(currency).code, _pending(line["seller_id"], currency)
    yield Leg("charge", psp, pending), Part(id, "gross", line["gross"] - line["promo"])
    yield Leg("promo", chart.account(chart.PROMO, currency).code, pending), Part(id, "promo", line["promo"])
    for fee in line["fees"]:
        is_buyers = fee["payer"] == "BUYER"
        kind, debit = ("charge", psp) if is_buyers else ("split", pending)
        yield Leg(kind, debit, _account(fee, currency)), Part(id, f"{fee['stack']}.amount", fee["amount"])
        if fee["tax"]:
            country = chart.output_vat(fee["tax_jurisdiction"], currency).code
            yield Leg(kind, debit, country), Part(id, f"{fee['stack']}.tax", fee["tax"])
    if line["deemed_tax"]:
        jurisdiction = trace["inputs"]["lines"][id]["tax"]["jurisdiction"]
        account = chart.account(chart.DEEMED_TAX, currency, jurisdiction).code
        yield Leg("split", pending, account), Part(id, "deemed_tax", line["deemed_tax"])
    for scheme, amount in withheld_of(line).items():
        account = chart.account(chart.WITHHELD_TAX, currency, scheme).code
        yield Leg("split", pending, account), Part(id, f"withheld:{scheme}", amount)


def _account(fee: Mapping[str, Any], currency: str) -> str:
    match fee["kind"]:
        case "PROCESSOR":
            return chart.psp_fee(currency).code
        case "PART":
            return _pending(fee["recipient"], currency)
        case _ if fee["account"]:
            return chart.account(chart.OWN_FEE, currency, fee["account"]).code
        case _:
            return chart.platform_fee(currency).code


def _pending(seller: str, currency: str) -> str:
    return chart.seller_pending(SellerId(parse_id("seller", seller)), currency).code
