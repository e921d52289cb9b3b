"""The worked journal of a basket of 121.00 EUR from three sellers, J0 to J8, posted by hand.

Fee 10 % of gross per line and 0.30 per order; Dutch VAT of 21 % on the fee, reverse charge for seller B; the provider
takes 2.07. Amounts are cents.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from marketbill.ids import SellerId, new_id
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EUR = "EUR"


@dataclass(frozen=True, slots=True)
class Basket:
    a: SellerId
    b: SellerId
    c: SellerId
    entries: tuple[JournalEntry, ...]

    def balances(self) -> dict[tuple[str, str], int]:
        """What every account holds after J8, on its own side."""
        held = {
            chart.bank(EUR): -20000,
            chart.psp_available(EUR): 21208,
            chart.psp_pending(EUR): 0,
            chart.psp_fee(EUR): 207,
            chart.platform_fee(EUR): 1240,
            chart.output_vat("NL", EUR): 175,
            chart.custody_available(self.a, EUR): 4379,
            chart.custody_owed(self.a, EUR): 4379,
        }
        for seller in (self.a, self.b, self.c):
            held[chart.seller_pending(seller, EUR)] = 0
            held[chart.seller_payable(seller, EUR)] = 0
        for seller in (self.b, self.c):
            held[chart.custody_available(seller, EUR)] = 0
            held[chart.custody_in_transit(seller, EUR)] = 0
            held[chart.custody_owed(seller, EUR)] = 0
        return {(ref.code, ref.currency): balance for ref, balance in held.items()}


def basket() -> Basket:
    a, b, c = (SellerId(new_id()) for _ in range(3))
    payment = Source("payment", new_id())
    gross = {a: 4999, b: 3999, c: 3102}
    fee = {a: 512, b: 410, c: 318}
    fee_tax = {a: 108, c: 67}
    net = {a: 4379, b: 3589, c: 2717}
    rule = {"fee_rule": "fee_0000000000000000000000000a", "fee_rule_version": 1}

    psp_pending, psp_available = chart.psp_pending(EUR), chart.psp_available(EUR)
    pending = {seller: chart.seller_pending(seller, EUR) for seller in gross}
    payable = {seller: chart.seller_payable(seller, EUR) for seller in gross}
    available = {seller: chart.custody_available(seller, EUR) for seller in gross}
    in_transit = {seller: chart.custody_in_transit(seller, EUR) for seller in gross}
    owed = {seller: chart.custody_owed(seller, EUR) for seller in gross}

    entries = [
        _entry(0, "float", Source("topup", new_id()), [Posting(psp_available, chart.bank(EUR), 20000)]),
        _entry(1, "charge", payment, [Posting(psp_pending, pending[s], gross[s]) for s in gross]),
        _entry(2, "psp-fee", payment, [Posting(chart.psp_fee(EUR), psp_pending, 207)]),
        _entry(
            3,
            "split",
            payment,
            [Posting(pending[s], chart.platform_fee(EUR), fee[s]) for s in fee]
            + [Posting(pending[s], chart.output_vat("NL", EUR), fee_tax[s]) for s in fee_tax],
            rule,
        ),
        _entry(4, "funds-available", payment, [Posting(psp_available, psp_pending, 11893)]),
        _entry(5, "release", payment, [Posting(pending[s], payable[s], net[s]) for s in net]),
    ]
    entries += [
        _entry(
            6,
            "transfer",
            Source("transfer", new_id()),
            [Posting(payable[s], psp_available, net[s]), Posting(available[s], owed[s], net[s])],
        )
        for s in net
    ]
    for seller in (b, c):
        payout = Source("payout", new_id())
        entries += [
            _entry(7, "payout-created", payout, [Posting(in_transit[seller], available[seller], net[seller])]),
            _entry(8, "payout-paid", payout, [Posting(owed[seller], in_transit[seller], net[seller])]),
        ]
    return Basket(a, b, c, tuple(entries))


def _entry(
    hour: int, kind: str, source: Source, postings: list[Posting], reason: dict[str, object] | None = None
) -> JournalEntry:
    return JournalEntry(
        key=f"{kind}:{source.id}",
        kind=kind,
        source=source,
        postings=tuple(postings),
        effective_at=START + timedelta(hours=hour),
        description=f"J{hour}",
        reason=reason or {},
    )
