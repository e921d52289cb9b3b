"""`marketbill ledger holds` and `void-hold`."""

import asyncio
from typing import TYPE_CHECKING

from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.ledger.operating import Data, PlatformName, Reason, person, reading, writing

if TYPE_CHECKING:
    from marketbill.db import ReadScope
    from marketbill.ledger.original import Original


def holds(*, platform: PlatformName = None, data: Data = None) -> None:
    """List the holds that are open: what they keep aside, and until when; the newest hundred.

    Example: marketbill ledger holds
    """
    name, found = asyncio.run(reading(platform, data, _holds))
    table = Table(title=f"{name}: open holds", title_justify="left")
    table.add_column("hold", no_wrap=True)
    table.add_column("ends (UTC)")
    table.add_column("amount", justify="right")
    table.add_column("what, from and to", overflow="fold")
    for one in found:
        table.add_row(
            one.public_id,
            f"{one.expires_at:%Y-%m-%d %H:%M}" if one.expires_at else "when resolved",
            "\n".join(["", *(terminal.money(leg.amount, leg.debit.currency) for leg in one.postings)]),
            "\n".join(
                [f"{one.kind}: {one.description}", *(f"{p.credit.code} -> {p.debit.code}" for p in one.postings)]
            ),
        )
    console = terminal.console()
    if found:
        console.print(table)
    else:
        console.print(f"{name}: no hold is open.")


def void_hold(hold: str, /, *, reason: Reason, platform: PlatformName = None, data: Data = None) -> None:
    """Give back all that a hold keeps aside; a second time changes nothing.

    Holds with an end are given back by the schedule once it has passed.

    Example: marketbill ledger void-hold ent_01jd8x0q4mf0v9k2s7c3b6n1ra --reason "the order was called off"

    Parameters
    ----------
    hold
        Id of the hold (ent_...), as `marketbill ledger holds` tells it.
    """
    from marketbill.ids import parse_id
    from marketbill.ledger import hold as ledger

    id = parse_id("journal entry", hold, path=("hold",))
    name, _ = asyncio.run(writing(platform, data, lambda scope: ledger.void(scope, id, by=person(), reason=reason)))
    print(f"{name}: {hold} is given back.")


async def _holds(scope: "ReadScope") -> "list[Original]":
    from marketbill.ledger import hold, original
    from marketbill.paging import PAGE_MAX, PageRequest

    page = await hold.open_holds(scope, PageRequest(PAGE_MAX))
    return [await original.load(scope, row.id) for row in page.rows]
