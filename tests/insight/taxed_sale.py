"""Sales for the tests of the tax reports: the trace that a split would have left, and the entries that book it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row

from marketbill.db import Database
from marketbill.ids import PlatformId, SellerId, new_id, public_id
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source, post_all
from marketbill.payments import tax_lines

#: What one line says unless it is told otherwise: 100.00 and German tax of 19.00 that the platform owes through OSS.
DEEMED: dict[str, Any] = {
    "net": 10_000,
    "tax": 1_900,
    "rate": "19",
    "liable": "PLATFORM",
    "rule": "sale-tax:eu-deemed-goods-oss",
    "jurisdiction": "DE",
    "category": "standard",
    "evidence": {"scheme": "OSS", "kind": "GOODS", "ship_from": "NL"},
    "withheld": [],
}
#: The same owed by the seller at home.
DOMESTIC: dict[str, Any] = DEEMED | {"liable": "SELLER", "rule": "sale-tax:eu-domestic", "evidence": {}}


@dataclass(slots=True)
class TaxedSale:
    """One sale of one currency; `fee` is the seller's (net, tax, rate, rule, jurisdiction) on each line."""

    currency: str = "EUR"
    seller: SellerId = field(default_factory=lambda: SellerId(new_id()))
    seller_country: str = "NL"
    buyer_country: str = "DE"
    lines: list[dict[str, Any]] = field(default_factory=lambda: [DEEMED])
    fee: tuple[int, int, str, str, str] = (1_000, 210, "21", "fee-vat:domestic", "NL")
    buyer_fee: tuple[int, int, str, str, str] | None = None
    id: UUID = field(default_factory=new_id)

    def again(self) -> "TaxedSale":
        """Another sale like this one."""
        return replace(self, id=new_id())

    def payment(self) -> Row[Any]:
        return cast("Row[Any]", SimpleNamespace(id=self.id, trace=self.trace()))

    def trace(self) -> dict[str, Any]:
        seller = public_id("seller", self.seller)
        lines, inputs = [], {}
        for number, line in enumerate(self.lines, 1):
            id = f"{number:03d}"
            inputs[id] = {"tax": {name: line[name] for name in (
                "rate", "liable", "rule", "jurisdiction", "category", "withheld", "evidence")}}  # fmt: skip
            fees = [_fee(self.fee, "SELLER")]
            if self.buyer_fee is not None and number == 1:
                fees.append(_fee(self.buyer_fee, "BUYER"))
            deemed = line["tax"] if line["liable"] == "PLATFORM" else 0
            lines.append({"line_id": id, "seller_id": seller, "net": line["net"], "tax": line["tax"],
                          "deemed_tax": deemed, "withheld": _withheld(line), "fees": fees})  # fmt: skip
        return {
            "trace_version": 2,
            "currency": self.currency,
            "inputs": {
                "buyer": {"country": self.buyer_country, "region": "", "business": False},
                "platform": {"country": "NL", "rate": "21"},
                "sellers": {seller: {"country": self.seller_country}},
                "lines": inputs,
            },
            "lines": lines,
        }

    def entries(self, at: datetime) -> list[JournalEntry]:
        """As a sale is booked: the charge, and what leaves the seller's share with it."""
        payment, currency = Source("payment", self.id), self.currency
        pending, psp = chart.seller_pending(self.seller, currency), chart.psp_pending(currency)
        charge = [Posting(psp, pending, sum(line["net"] + line["tax"] for line in self.lines))]
        if self.buyer_fee is not None:
            net, tax, _, _, place = self.buyer_fee
            charge += [Posting(psp, chart.platform_fee(currency), net)]
            charge += [Posting(psp, chart.output_vat(place, currency), tax)]
        split: list[Posting] = []
        for line in self.lines:
            net, tax, _, _, place = self.fee
            split.append(Posting(pending, chart.platform_fee(currency), net))
            if tax:
                split.append(Posting(pending, chart.output_vat(place, currency), tax))
            if line["liable"] == "PLATFORM" and line["tax"]:
                deemed = chart.account(chart.DEEMED_TAX, currency, line["jurisdiction"])
                split.append(Posting(pending, deemed, line["tax"]))
            for scheme, _, _ in line["withheld"]:
                split.append(Posting(pending, chart.account(chart.WITHHELD_TAX, currency, scheme), _withheld(line)))
        name = public_id("payment", self.id)
        return [
            JournalEntry(f"charge:{name}", "charge", payment, tuple(charge), at, "", {}),
            JournalEntry(f"split:{name}", "split", payment, tuple(split), at, "", {}),
        ]


def _withheld(line: dict[str, Any]) -> int:
    """Half a percent of the net, the one scheme of these tests."""
    return sum(line["net"] // 200 for _ in line["withheld"])


def _fee(told: tuple[int, int, str, str, str], payer: str) -> dict[str, Any]:
    net, tax, rate, rule, place = told
    return {"kind": "PLATFORM", "payer": payer, "amount": net, "tax": tax, "tax_rate": rate, "tax_rule": rule,
            "tax_jurisdiction": place}  # fmt: skip


async def book(db: Database, platform: PlatformId, *sales: tuple[TaxedSale, datetime]) -> None:
    """Books sales with their tax lines, as settling does."""
    async with db.write(platform) as scope:
        await post_all(scope, [entry for sale, at in sales for entry in sale.entries(at)])
        await tax_lines.keep(scope, [(sale.payment(), at) for sale, at in sales])
