"""Payout proofs: a bank line explained down to the lines of orders, and the same as files."""

from datetime import datetime
from typing import Any

import strawberry

from marketbill.ids import parse_id
from marketbill.reconciliation import payout_proof, proof
from marketbill.reconciliation.proof import LegKind, Proof, ProofLine
from marketbill_graphql import declare, proof_files
from marketbill_graphql.access import PLATFORM_READERS, SELLER
from marketbill_graphql.connections import Connection, Position, page, window
from marketbill_graphql.context import Info
from marketbill_graphql.downloads import DownloadLink
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import or_null
from marketbill_graphql.scalars import CurrencyCode

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(
    LegKind,
    name="PayoutProofLegKind",
    description="ORDER_LINE is what a line of the order earned the seller; the others add to it or take from it.",
)


@declare.output(PARTIES)
class PayoutProofLeg:
    """A part of what a line of a payout is made of; below zero for what was kept."""

    kind: LegKind
    amount: Money
    description: str
    of: str = strawberry.field(description="The order's line by the platform's own name, or ours that it comes from.")


@declare.output(PARTIES)
class PayoutProofLine:
    """A line of a payout: a transfer, a part of one, or what was taken back of one."""

    id: strawberry.ID = strawberry.field(description="pit_…")
    source_id: strawberry.ID = strawberry.field(description="The transfer, reversal or sale that it is.")
    payment_id: strawberry.ID | None
    reference: str | None = strawberry.field(description="The order, as the platform calls it.")
    amount: Money = strawberry.field(description="What the payout took of it.")
    whole: Money = strawberry.field(description="All of it; another payout may have the rest.")
    provider_id: str | None
    balance_transaction: str | None = strawberry.field(description="On the seller's account at the provider.")
    legs: list[PayoutProofLeg]
    residue: Money = strawberry.field(description="What the legs do not explain: zero in a proof.")


@declare.output(PARTIES)
class PayoutProofResidue:
    """A difference, by its name."""

    what: str
    amount: Money


@declare.output(PARTIES)
class PayoutProof:
    """Bank line, payout, balance transactions, transfers, order lines: each makes the one above it, to the cent."""

    proof: strawberry.Private[Proof]
    payout_id: strawberry.ID
    seller_id: strawberry.ID
    currency: CurrencyCode
    amount: Money
    bank_reference: str | None = strawberry.field(description="By which the line is found at the bank, once it told.")
    arrival_on: datetime | None
    provider_payout: str | None
    balance_transaction: str | None = strawberry.field(description="Of the payout, on the seller's account.")
    asked_provider: bool = strawberry.field(description="Whether the provider was asked; not for the bank's rail.")
    holds: bool = strawberry.field(description="No difference anywhere.")
    residue: Money = strawberry.field(description="What is not explained: zero in a proof.")
    residues: list[PayoutProofResidue] = strawberry.field(description="Every difference; empty in a proof.")

    @declare.computed
    def lines(self, info: Info, first: int | None = None, after: str | None = None) -> Connection[PayoutProofLine]:
        """What it is made of, oldest first."""
        asked = window(list_name="payoutProof", first=first, after=after, last=None, before=None)
        places = {parse_id("payout item", one.item): place for place, one in enumerate(self.proof.lines)}
        start = places.get(asked.after.id, -1) + 1 if asked.after else 0
        return page(
            self.proof.lines[start : start + asked.rows_wanted],
            asked,
            list_name="payoutProof",
            node=lambda line: _line(line, self.proof.currency),
            position=lambda line: Position((), parse_id("payout item", line.item)),
        )

    @declare.computed
    def csv(self, info: Info) -> DownloadLink:
        """A link to the proof as a CSV file."""
        return proof_files.link(info.context.services, info.context.platform, self.proof.payout, "csv")

    @declare.computed
    def json(self, info: Info) -> DownloadLink:
        """A link to the proof as a JSON file."""
        return proof_files.link(info.context.services, info.context.platform, self.proof.payout, "json")


@strawberry.type
class PayoutProofQueries:
    @declare.query(PARTIES)
    async def payout_proof(self, info: Info, id: strawberry.ID, ask_provider: bool = True) -> PayoutProof | None:
        """The proof of a payout, or null when there is none for this caller; the provider is asked unless told not
        to."""
        context = info.context
        made = await or_null(
            payout_proof.prove(context.services, context.actor, context.platform, id, ask_provider=ask_provider)
        )
        return None if made is None else _proof(made)


def _proof(made: proof.Proof) -> PayoutProof:
    return PayoutProof(
        proof=made,
        payout_id=strawberry.ID(made.payout),
        seller_id=strawberry.ID(made.seller),
        currency=CurrencyCode(made.currency),
        amount=amount(made.amount, made.currency),
        bank_reference=made.bank.reference,
        arrival_on=made.bank.arrival_on,
        provider_payout=made.provider_payout,
        balance_transaction=made.transaction,
        asked_provider=made.asked_provider,
        holds=made.holds,
        residue=amount(made.residue, made.currency),
        residues=[PayoutProofResidue(what=one.what, amount=amount(one.amount, made.currency)) for one in made.residues],
    )


def _line(line: ProofLine, currency: str) -> PayoutProofLine:
    def money(minor: int) -> Any:
        return amount(minor, currency)

    return PayoutProofLine(
        id=strawberry.ID(line.item),
        source_id=strawberry.ID(line.source),
        payment_id=strawberry.ID(line.payment) if line.payment else None,
        reference=line.reference,
        amount=money(line.amount),
        whole=money(line.whole),
        provider_id=line.provider_id,
        balance_transaction=line.transaction,
        legs=[
            PayoutProofLeg(kind=leg.kind, amount=money(leg.amount), description=leg.description, of=leg.of)
            for leg in line.legs
        ],
        residue=money(line.residue),
    )
