"""`marketbill ledger rebuild`."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from marketbill.cli import terminal
from marketbill.cli.failure import CommandRefused, WrongUse
from marketbill.cli.joining import joined, platform_named, platforms
from marketbill.cli.walk import Walk

if TYPE_CHECKING:
    from marketbill.ledger.rebuild import Comparison

#: Differences that are named for each platform.
_SHOWN_MAX = 20


def rebuild(
    *,
    check: Annotated[bool, Parameter(help="Only compare; change nothing.", negative="")] = False,
    yes: Annotated[bool, Parameter(help="Change what differs.", negative="")] = False,
    platform: Annotated[str | None, Parameter(help="Name or id of one platform; default: all.")] = None,
    data: Annotated[Path | None, Parameter(help="Data folder of the running machine.")] = None,
) -> int:
    """Replay the journal, and make balances, open holds and the end of the chain what follows from it.

    With --check it only compares: prints the hash of what follows from the journal and of what is stored, names what
    differs, and exits 1 when anything does. With --yes it repairs. A journal that does not hold itself is never
    rebuilt from: see `marketbill verify`.

    Example: marketbill ledger rebuild --check
    """
    if check == yes:
        raise WrongUse("say what to do: --check only compares, --yes changes the stored totals where they differ")
    console = terminal.console()
    compared = asyncio.run(_rebuild(platform, data, console, changes=yes))
    different = [name for name, comparison in compared if not comparison.is_equal]
    for name, comparison in compared:
        _show(console, name, comparison, changed=yes)
    if not compared:
        console.print("There is no platform yet: nothing to rebuild.")
    if different and check:
        raise CommandRefused(
            f"what is stored is not what follows from the journal: {', '.join(different)}"
            " (`marketbill ledger rebuild --yes` repairs it)"
        )
    return 0


async def _rebuild(
    platform: str | None, data: Path | None, console: Console, *, changes: bool
) -> "list[tuple[str, Comparison]]":
    from marketbill.ledger import rebuild as ledger

    async with joined(data) as services:
        chosen = [await platform_named(services, platform)] if platform else await platforms(services)
        compared: list[tuple[str, Comparison]] = []
        with Walk(console, "Replaying", steps=len(chosen)) as walk:
            for id, name in chosen:
                walk.step(name, "journal")
                read, write = partial(services.db.read, id), partial(services.db.write, id)
                if changes:
                    comparison = await ledger.rebuild(read, write, progress=walk.entries)
                else:
                    comparison = await ledger.examine(read, progress=walk.entries)
                compared.append((name, comparison))
        return compared


def _show(console: Console, name: str, comparison: "Comparison", *, changed: bool) -> None:
    console.print(f"{name}: {terminal.counted(comparison.entries, 'entry', 'entries')}")
    console.print(f"  from the journal  {comparison.replayed.hex()}")
    console.print(f"  as stored         {comparison.stored.hex()}  {'equal' if comparison.is_equal else 'DIFFERENT'}")
    for finding in comparison.differences[:_SHOWN_MAX]:
        verb = "was" if changed else "is"
        console.print(
            f"  {finding.subject}: {finding.expected} follows from the journal, {finding.found} {verb} stored"
        )
    rest = len(comparison.differences) - _SHOWN_MAX
    if rest > 0:
        console.print(f"  and {rest} more")
    if changed:
        console.print("  repaired" if comparison.differences else "  nothing to repair")
