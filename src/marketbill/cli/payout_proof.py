"""`marketbill payout-proof`: a bank line explained down to the lines of orders."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.failure import FAILED, CommandRefused
from marketbill.cli.joining import joined, platform_named

if TYPE_CHECKING:
    from marketbill.reconciliation.proof import Proof

#: Lines of a payout that a table shows.
_LINES_MAX = 200


def payout_proof(
    payout: Annotated[str, Parameter(help="Id of the payout (pot_...).")],
    /,
    *,
    format: Annotated[Literal["table", "csv", "json"], Parameter(help="How it is written.")] = "table",
    ask_provider: Annotated[
        bool, Parameter(name="--ask-provider", help="Whether the provider is asked for each movement.")
    ] = True,
    platform: Annotated[str | None, Parameter(help="Name or id of the platform.")] = None,
    data: Annotated[Path | None, Parameter(help="Data folder of the running machine.")] = None,
) -> int:
    """Prove a payout: bank line, payout, balance transactions, transfers, order lines, each making the one above.

    Exits 1 when something is not explained, and names it.

    Example: marketbill payout-proof pot_01jd8x0q4mf0v9k2s7c3b6n1ra --format csv > proof.csv
    """
    proof = asyncio.run(_prove(payout, ask_provider, platform, data))
    from marketbill.reconciliation.proof import as_csv, as_json

    if format == "csv":
        for part in as_csv(proof):
            sys.stdout.write(part)
    elif format == "json":
        print(as_json(proof).decode())
    else:
        terminal.console().print(_table(proof))
    return 0 if proof.holds else FAILED


async def _prove(payout: str, ask_provider: bool, platform: str | None, data: Path | None) -> "Proof":
    from marketbill.actor import Actor, Role
    from marketbill.errors import NotFound
    from marketbill.reconciliation.payout_proof import prove

    async with joined(data) as services:
        id, _ = await platform_named(services, platform)
        actor = Actor(Role.OPERATOR_READONLY, "terminal", id)
        try:
            return await prove(services, actor, id, payout, ask_provider=ask_provider)
        except NotFound as unknown:
            raise CommandRefused(unknown.message) from None


def _table(proof: "Proof") -> Table:
    from marketbill.money import decimal_text

    def text(amount: int) -> str:
        return decimal_text(amount, proof.currency)

    bank = proof.bank
    arrival = f", {bank.arrival_on:%Y-%m-%d}" if bank.arrival_on else ""
    title = f"{proof.payout} {text(proof.amount)} {proof.currency}: bank {bank.reference or '(no reference)'}{arrival}"
    table = Table("what", "id", "at the provider", title=title, title_justify="left")
    table.add_column("amount", justify="right")
    table.add_column("residue", justify="right")
    for line in proof.lines[:_LINES_MAX]:
        reference = f" ({line.reference})" if line.reference else ""
        table.add_row(f"line{reference}", line.source, line.transaction or "", text(line.amount), text(line.residue))
        for leg in line.legs:
            table.add_row(f"  {leg.kind.lower().replace('_', ' ')}: {leg.description}", leg.of, "", text(leg.amount))
    if len(proof.lines) > _LINES_MAX:
        table.add_row(f"... {len(proof.lines)} lines in all: --format csv writes every one")
    for one in proof.residues:
        table.add_row(f"NOT EXPLAINED: {one.what}", "", "", "", text(one.amount))
    table.add_row("payout", proof.payout, proof.transaction or "", text(proof.amount), text(proof.residue))
    return table
