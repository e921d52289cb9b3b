"""The worked journal: one basket from charge to payout, a refund in part, a dispute that is lost, a debt written off.

A basket of 121.00 EUR from three sellers: A and C in the Netherlands, B in Germany. The fee is 10 % of gross per line
and 0.30 per order; Dutch VAT of 21 % is on the fee, reverse charge for B; the provider takes 2.07 of the charge, and
20.00 each for a dispute received and contested. 20.00 of A's line are refunded; the other 101.00 are disputed and lost.
Amounts are cents. It is the documentation's example (`money_path`), and the measure of the ledger's tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from marketbill.ids import public_id
from marketbill.ledger.chart import named
from marketbill.ledger.entry import JournalEntry, Posting, Source

CURRENCY = "EUR"

#: What the story's names stand for; those of sellers and disputes are part of their accounts' codes.
OBJECTS = {
    "A": "seller",
    "B": "seller",
    "C": "seller",
    "dp_1": "dispute",
    "top-up": "topup",
    "ch_1": "payment",
    "re_1": "refund",
    "transfer to A": "transfer",
    "transfer to B": "transfer",
    "transfer to C": "transfer",
    "payout of B": "payout",
    "payout of C": "payout",
}

#: What the platform itself has of all of it in the end: its fees less those given back, and its costs.
PLATFORM_RESULT = "-69.04"

_SPLIT_REASON = {"fee_schedule": "fee_0000000000000000000000000a", "fee_schedule_version": 1}


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the story. `source` is a name of `OBJECTS`; postings are debit, credit and cents."""

    name: str
    kind: str
    source: str
    what: str
    postings: tuple[tuple[str, str, int], ...]

    @property
    def hour(self) -> int:
        """When it happens, in hours after the story begins: entries of one name happen together."""
        return _HOURS[self.name]

    def entry(self, ids: Mapping[str, UUID], start: datetime) -> JournalEntry:
        """As it is booked, `ids` standing for the names of `OBJECTS`."""
        source = Source(OBJECTS[self.source], ids[self.source])
        return JournalEntry(
            key=f"{self.name}:{source.id}",
            kind=self.kind,
            source=source,
            postings=tuple(
                Posting(named(_code(debit, ids), CURRENCY), named(_code(credit, ids), CURRENCY), amount)
                for debit, credit, amount in self.postings
            ),
            effective_at=start + timedelta(hours=self.hour),
            description=self.name,
            reason=_SPLIT_REASON if self.kind == "split" else {},
        )


def _transfer(seller: str, amount: int) -> Step:
    return Step(
        "J6",
        "transfer",
        f"transfer to {seller}",
        f"transfer to {seller}",
        (
            (f"seller:{seller}:payable", "psp:available", amount),
            (f"custody:{seller}:available", f"custody:{seller}:owed", amount),
        ),
    )


def _reversal(name: str, seller: str, amount: int) -> Step:
    return Step(
        name,
        "transfer-reversal",
        f"transfer to {seller}",
        f"transfer reversed, {seller}",
        (
            ("psp:available", f"seller:{seller}:payable", amount),
            (f"custody:{seller}:owed", f"custody:{seller}:available", amount),
        ),
    )


def _payout(seller: str, amount: int) -> tuple[Step, Step]:
    available, in_transit, owed = (f"custody:{seller}:{bucket}" for bucket in ("available", "in-transit", "owed"))
    source = f"payout of {seller}"
    return (
        Step("J7", "payout-created", source, f"payout created, {seller}", ((in_transit, available, amount),)),
        Step("J8", "payout-paid", source, f"payout paid, {seller}", ((owed, in_transit, amount),)),
    )


SALE = (
    Step("J0", "float", "top-up", "float top-up", (("psp:available", "bank", 20000),)),
    Step(
        "J1",
        "charge",
        "ch_1",
        "charge",
        (
            ("psp:pending", "seller:A:pending", 4999),
            ("psp:pending", "seller:B:pending", 3999),
            ("psp:pending", "seller:C:pending", 3102),
        ),
    ),
    Step("J2", "psp-fee", "ch_1", "provider's fee", (("expenses:psp-fee", "psp:pending", 207),)),
    Step(
        "J3",
        "split",
        "ch_1",
        "platform fee and the tax on it",
        (
            ("seller:A:pending", "revenue:platform-fee", 512),
            ("seller:B:pending", "revenue:platform-fee", 410),
            ("seller:C:pending", "revenue:platform-fee", 318),
            ("seller:A:pending", "tax:output-vat:NL", 108),
            ("seller:C:pending", "tax:output-vat:NL", 67),
        ),
    ),
    Step("J4", "funds-available", "ch_1", "funds available", (("psp:available", "psp:pending", 11893),)),
    Step(
        "J5",
        "release",
        "ch_1",
        "released, delivered",
        (
            ("seller:A:pending", "seller:A:payable", 4379),
            ("seller:B:pending", "seller:B:payable", 3589),
            ("seller:C:pending", "seller:C:payable", 2717),
        ),
    ),
    _transfer("A", 4379),
    _transfer("B", 3589),
    _transfer("C", 2717),
    *_payout("B", 3589),
    *_payout("C", 2717),
)
"""J0 to J8: from the charge to the payouts of B and C."""

REFUND = (
    _reversal("R2", "A", 1758),
    Step(
        "R1",
        "refund",
        "re_1",
        "refund of 20.00 approved",
        (
            ("seller:A:payable", "buyer:refund-payable", 1758),
            ("revenue:platform-fee-refunded", "buyer:refund-payable", 200),
            ("tax:output-vat:NL", "buyer:refund-payable", 42),
        ),
    ),
    Step("R3", "refund-paid", "re_1", "refund paid", (("buyer:refund-payable", "psp:available", 2000),)),
)
"""R1 to R3. The reversal comes first: what is payable to A does not go below zero."""

DISPUTE = (
    Step(
        "D1",
        "dispute-opened",
        "dp_1",
        "dispute of 101.00 opened",
        (("dispute:dp_1", "psp:available", 10100), ("expenses:dispute-fee", "psp:available", 2000)),
    ),
    Step("D2", "dispute-countered", "dp_1", "dispute contested", (("expenses:dispute-fee", "psp:available", 2000),)),
    _reversal("D4", "A", 2621),
    Step(
        "D5",
        "debt",
        "dp_1",
        "what the sellers lack becomes their debt",
        (
            ("seller-receivable:A", "seller:A:payable", 15),
            ("seller-receivable:B", "seller:B:payable", 3599),
            ("seller-receivable:C", "seller:C:payable", 2727),
        ),
    ),
    Step(
        "D3",
        "dispute-lost",
        "dp_1",
        "dispute lost",
        (
            ("seller:A:payable", "dispute:dp_1", 2636),
            ("seller:B:payable", "dispute:dp_1", 3599),
            ("seller:C:payable", "dispute:dp_1", 2727),
            ("revenue:platform-fee-refunded", "dispute:dp_1", 1010),
            ("tax:output-vat:NL", "dispute:dp_1", 128),
        ),
    ),
    Step("D6", "write-off", "C", "debt of C written off", (("expenses:bad-debt", "seller-receivable:C", 2727),)),
)
"""D1 to D6. Reversal and debts come before the loss that takes them, for the same reason."""

STORY = SALE + REFUND + DISPUTE
"""All steps, in the order in which they are booked."""

_HOURS = {name: hour for hour, name in enumerate(dict.fromkeys(step.name for step in STORY))}


def end_balances() -> dict[str, int]:
    """What each account of the story holds at its end, in cents, as net debits; most are back at zero."""
    held: dict[str, int] = {}
    for step in STORY:
        for debit, credit, amount in step.postings:
            held[debit] = held.get(debit, 0) + amount
            held[credit] = held.get(credit, 0) - amount
    return held


def _code(text: str, ids: Mapping[str, UUID]) -> str:
    """The code of an account of the story, with the id of the seller or dispute that it names."""
    return ":".join(
        public_id(OBJECTS[part], ids[part]) if OBJECTS.get(part) in ("seller", "dispute") else part
        for part in text.split(":")
    )
