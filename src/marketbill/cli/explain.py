"""`marketbill explain`: an amount on the terminal, down to what it was made of."""

import asyncio
import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.text import Text
from rich.tree import Tree

from marketbill.cli import terminal
from marketbill.cli.failure import CommandRefused
from marketbill.cli.joining import joined, platform_named

if TYPE_CHECKING:
    from marketbill.insight.node import Node

#: Rules that say no more than the label of their amount.
_PLAIN = ("sale-tax:inclusive", "sale-tax:exclusive", "seller-net", "fees", "shipping", "discount", "withheld")
_ROUNDED = {
    "HALF_AWAY": "rounded",
    "LARGEST_REMAINDER": "shared out",
    "BOUND": "cut to what fits",
    "MINIMUM": "raised to the least",
    "MAXIMUM": "cut to the most",
}


def explain(
    id: Annotated[str, Parameter(help="Id of a payment (pay_...), journal entry (ent_...) or posting (pst_...).")],
    /,
    *,
    json_: Annotated[bool, Parameter(name="--json", help="Write JSON.", negative="")] = False,
    platform: Annotated[str | None, Parameter(help="Name or id of the platform.")] = None,
    data: Annotated[Path | None, Parameter(help="Data folder of the running machine.")] = None,
) -> None:
    """Explain an amount to the cent: what it was made of, by which rule and law, and where it is booked.

    Formulas are over minor units (cents) and percentages, as they were when the sale was split.

    Example: marketbill explain pay_01k8...
    """
    node = asyncio.run(_explain(id, platform, data))
    if json_:
        print(json.dumps(_plain(node), indent=2, ensure_ascii=False))
    else:
        terminal.console().print(tree(node))


async def _explain(id: str, platform: str | None, data: Path | None) -> "Node":
    from marketbill.actor import Actor, Role
    from marketbill.errors import Refusal
    from marketbill.insight.explanation import explain as explained

    async with joined(data) as services:
        tenant, _ = await platform_named(services, platform)
        async with services.db.read(tenant) as scope:
            try:
                return await explained(scope, Actor(Role.OPERATOR, "cli", tenant), id)
            except Refusal as refused:
                raise CommandRefused(refused.message) from None


def tree(node: "Node") -> Tree:
    """The tree as it is read from the top down."""
    grown = Tree(_line(node), guide_style="dim")
    _grow(grown, node)
    return grown


def _grow(onto: Tree, node: "Node") -> None:
    for child in node.children:
        _grow(onto.add(_line(child, above=node.rule)), child)


def _line(node: "Node", above: str | None = None) -> Text:
    """One line. The rule that the line above named already is left out, and so are names that say nothing more."""
    from marketbill.money import decimal_text

    line = Text(node.label)
    if node.amount is not None and node.currency is not None:
        line.append(f"  {decimal_text(node.amount, node.currency)} {node.currency}", "bold")
    if node.formula is not None:
        line.append(f"  = {_arithmetic(node)}", "cyan")
    if node.note:
        line.append(f"  {node.note}", "bold red" if node.note.startswith("DIFFERS") else "")
    rule = None if node.rule in (above, *_PLAIN) else node.rule
    for told in (rule, node.source, node.reference):
        if told:
            line.append(f"  {told}", "dim")
    for name, told in node.evidence.items():
        if name not in ("stack", "name"):
            line.append(f"  {name.replace('_', ' ')}: {told}", "dim")
    return line


def _arithmetic(node: "Node") -> str:
    """`4999 * 21 / (100 + 21) = 867.5950, rounded`; a whole result says nothing that the amount does not."""
    formula, exact = node.formula or "", Fraction(node.exact or "0")
    words = _ROUNDED.get(str(node.rounding), "")
    if exact.denominator == 1:
        return f"{formula}, {words}" if words and node.rounding != "HALF_AWAY" else formula
    remainder = ", one of the remainder" if node.got_remainder else ""
    # Digits of the exact fraction, cut and never rounded: what is shown is no amount.
    digits = abs(exact.numerator) * 10_000 // exact.denominator
    sign = "-" if exact < 0 else ""
    return f"{formula} = {sign}{digits // 10_000}.{digits % 10_000:04d}, {words}{remainder}"


def _plain(node: "Node") -> dict[str, Any]:
    told = {name: value for name, value in asdict(node).items() if name != "children" and value not in (None, False)}
    if not node.evidence:
        told.pop("evidence", None)
    if node.children:
        told["children"] = [_plain(child) for child in node.children]
    return told
