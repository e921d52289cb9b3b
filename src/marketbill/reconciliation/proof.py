"""The proof of a payout, pure: from the bank's line down to the lines of orders, every difference with a name.

payout = its lines; a line is a transfer (or a part of one), or what was taken back of one; a transfer is what the
seller's lines of an order earned, less what was kept of it; at the provider each has its balance transaction.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from marketbill.money import decimal_text
from marketbill.text import csv_text, safe_cell


class LegKind(StrEnum):
    """What a leg of a transfer is. ORDER_LINE: what a line of the order earned the seller. The others add to it or
    take from it, and say why."""

    ORDER_LINE = "ORDER_LINE"
    CONVERTED = "CONVERTED"
    PART = "PART"
    PROVIDER_FEE = "PROVIDER_FEE"
    GIVEN_BACK = "GIVEN_BACK"
    SET_OFF = "SET_OFF"
    RESERVE = "RESERVE"
    RESERVE_RELEASE = "RESERVE_RELEASE"
    AGAIN = "AGAIN"
    REVERSAL = "REVERSAL"
    OTHER = "OTHER"
    ELSEWHERE = "ELSEWHERE"
    REMAINDER = "REMAINDER"


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of what a line is made of, in minor units of the payout's currency, below zero for what was kept.

    `of` is ours that it comes from: the line of the order by the platform's own name, the refund, the debt's payment.
    """

    kind: LegKind
    amount: int
    description: str
    of: str


@dataclass(frozen=True, slots=True)
class ProofLine:
    """A line of a payout: `amount` of an item of `whole`, which is `source` (our id), known to the provider as
    `provider_id`. `transaction` is its balance transaction on the seller's account, `moved` that one's amount; both are
    None where the provider was not asked, or does not know it."""

    item: str
    source: str
    amount: int
    whole: int
    payment: str | None
    reference: str | None
    provider_id: str | None
    legs: tuple[Leg, ...]
    transaction: str | None = None
    moved: int | None = None

    @property
    def residue(self) -> int:
        """What its legs do not explain; zero in a proof."""
        return self.whole - sum(leg.amount for leg in self.legs)


@dataclass(frozen=True, slots=True)
class Residue:
    """A difference, by its name."""

    what: str
    amount: int


@dataclass(frozen=True, slots=True)
class BankLine:
    """What the seller's bank shows: the reference by which it is found, the amount, and the day."""

    reference: str | None
    amount: int
    arrival_on: datetime | None
    status: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The whole of a payout. `told` is what the provider (or the bank's file) says it paid, None where nobody said."""

    payout: str
    seller: str
    currency: str
    amount: int
    bank: BankLine
    provider_payout: str | None
    transaction: str | None
    told: int | None
    asked_provider: bool
    lines: tuple[ProofLine, ...]

    @property
    def residues(self) -> tuple[Residue, ...]:
        """Every difference there is; none in a proof that holds."""
        return tuple(self._residues())

    @property
    def residue(self) -> int:
        """The payout less its lines, and what the legs of the lines leave."""
        return self.amount - sum(line.amount for line in self.lines) + sum(line.residue for line in self.lines)

    @property
    def holds(self) -> bool:
        return not self.residues

    def _residues(self) -> Iterator[Residue]:
        if self.told is not None and self.told != self.amount:
            yield Residue("the provider paid another amount than the payout's", self.told - self.amount)
        if lines := self.amount - sum(line.amount for line in self.lines):
            yield Residue("the payout is not the sum of its lines", lines)
        for line in self.lines:
            if line.residue:
                yield Residue(f"{line.source} is not what its order lines and deductions make", line.residue)
            if not self.asked_provider:
                continue
            if line.moved is None:
                yield Residue(f"{line.source} has no balance transaction on the seller's account", line.whole)
            elif line.moved != line.whole:
                yield Residue(f"{line.source} moved another amount at the provider", line.moved - line.whole)


#: The columns of the CSV: one row for the bank's line, one for the payout, one for each line, and one for each leg.
COLUMNS = (
    "level",
    "id",
    "of",
    "description",
    "amount",
    "currency",
    "provider_id",
    "balance_transaction",
    "payment",
    "reference",
    "date",
    "residue",
)


def as_csv(proof: Proof) -> Iterator[str]:
    """The proof as CSV, in parts; amounts are decimal, and the legs of a line follow it."""
    yield csv_text([COLUMNS])
    for row in _rows(proof):
        yield csv_text([row])


def as_json(proof: Proof) -> bytes:
    """The proof as JSON; amounts are texts of decimals."""

    def money(amount: int) -> str:
        return decimal_text(amount, proof.currency)

    body: dict[str, Any] = {
        "payout": proof.payout,
        "seller": proof.seller,
        "currency": proof.currency,
        "amount": money(proof.amount),
        "bankLine": {
            "reference": proof.bank.reference,
            "amount": money(proof.bank.amount),
            "arrivalOn": proof.bank.arrival_on and proof.bank.arrival_on.isoformat(),
            "status": proof.bank.status,
        },
        "providerPayout": proof.provider_payout,
        "balanceTransaction": proof.transaction,
        "askedProvider": proof.asked_provider,
        "holds": proof.holds,
        "residue": money(proof.residue),
        "residues": [{"what": one.what, "amount": money(one.amount)} for one in proof.residues],
        "lines": [
            {
                "item": line.item,
                "source": line.source,
                "amount": money(line.amount),
                "whole": money(line.whole),
                "payment": line.payment,
                "reference": line.reference,
                "providerId": line.provider_id,
                "balanceTransaction": line.transaction,
                "residue": money(line.residue),
                "legs": [
                    {"kind": leg.kind, "amount": money(leg.amount), "description": leg.description, "of": leg.of}
                    for leg in line.legs
                ],
            }
            for line in proof.lines
        ],
    }
    return orjson.dumps(body, option=orjson.OPT_INDENT_2)


def _rows(proof: Proof) -> Iterator[list[str]]:
    code = proof.currency

    def row(level: str, id: str, amount: int, *, residue: int | None = None, **more: str | None) -> list[str]:
        texts = {"level": level, "id": id, "currency": code} | {name: text or "" for name, text in more.items()}
        amounts = {"amount": decimal_text(amount, code)}
        if residue is not None:
            amounts["residue"] = decimal_text(residue, code)
        # Amounts may begin with a minus; they are ours, and no formulas.
        return [amounts[name] if name in amounts else safe_cell(texts.get(name, "")) for name in COLUMNS]

    arrival = proof.bank.arrival_on and proof.bank.arrival_on.date().isoformat()
    yield row("BANK_LINE", proof.bank.reference or "", proof.bank.amount, description=proof.bank.status, date=arrival)
    yield row(
        "PAYOUT",
        proof.payout,
        proof.amount,
        of=proof.seller,
        provider_id=proof.provider_payout,
        balance_transaction=proof.transaction,
        residue=proof.residue,
    )
    for line in proof.lines:
        yield row(
            "LINE",
            line.source,
            line.amount,
            of=proof.payout,
            description=f"of {decimal_text(line.whole, code)}" if line.whole != line.amount else "",
            provider_id=line.provider_id,
            balance_transaction=line.transaction,
            payment=line.payment,
            reference=line.reference,
            residue=line.residue,
        )
        for leg in line.legs:
            yield row(leg.kind, leg.of, leg.amount, of=line.source, description=leg.description, payment=line.payment)
    for one in proof.residues:
        yield row("RESIDUE", "", one.amount, of=proof.payout, description=one.what)
