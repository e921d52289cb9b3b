"""`marketbill ledger close-period` and `periods`."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.failure import CommandRefused
from marketbill.cli.ledger.operating import Data, PlatformName, instant, person, reading, writing

if TYPE_CHECKING:
    from marketbill.db import ReadScope
    from marketbill.ledger.operations.refusal import AccountBalance


def close_period(
    until: str,
    /,
    *,
    check: Annotated[bool, Parameter(help="Only tell what stands against it; change nothing.", negative="")] = False,
    platform: PlatformName = None,
    data: Data = None,
) -> int:
    """Close the books for whatever is effective before UNTIL, for ever.

    Suspense accounts must be zero by then: what they hold is listed, and nothing is closed. What comes later and
    happened before is booked at the first open instant. The trial balance is sealed; `marketbill verify` proves it.

    Example: marketbill ledger close-period 2026-11-01 --check
    Example: marketbill ledger close-period 2026-11-01

    Parameters
    ----------
    until
        The first instant that stays open: a day (its beginning, UTC) or 2026-11-01T00:00:00+01:00.
    """
    from marketbill.ledger.operations import period
    from marketbill.ledger.operations.refusal import SuspenseNotZero

    end = instant(until)
    if check:
        name, against = asyncio.run(reading(platform, data, lambda scope: _against(scope, end)))
        return _tell(name, end, against)
    try:
        name, closed = asyncio.run(writing(platform, data, lambda scope: period.close(scope, until=end, by=person())))
    except SuspenseNotZero as refused:
        terminal.console().print(_suspense_table("Suspense", end, refused.balances))
        raise
    print(f"{name}: the books are closed until {closed.closed_until.isoformat()}, {closed.entries:,} entries.")
    print(f"Sealed as {closed.trial_hash.hex()}.")
    return 0


def periods(*, platform: PlatformName = None, data: Data = None) -> None:
    """List the closed periods, the last one first, each with the seal on its trial balance.

    Example: marketbill ledger periods
    """
    from marketbill.ledger.operations import period

    name, closed = asyncio.run(reading(platform, data, period.periods))
    table = Table(title=f"{name}: closed periods", title_justify="left")
    for heading in ("closed until", "closed at (UTC)", "by", "entries", "seal"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "entries" else "left")
    for one in closed:
        table.add_row(
            one.closed_until.isoformat(),
            f"{one.closed_at:%Y-%m-%d %H:%M:%S}",
            one.closed_by,
            f"{one.entries:,}",
            one.trial_hash.hex(),
        )
    console = terminal.console()
    if closed:
        console.print(table)
    else:
        console.print(f"{name}: no period is closed yet (see `marketbill ledger close-period --help`).")


async def _against(scope: "ReadScope", end: datetime) -> "list[AccountBalance]":
    from marketbill.ledger.operations import period

    return list(await period.suspense_balances(scope, end))


def _tell(name: str, end: datetime, against: "list[AccountBalance]") -> int:
    console = terminal.console()
    if not against:
        console.print(f"{name}: nothing stands against closing the books until {end.isoformat()}.")
        return 0
    console.print(_suspense_table(f"{name}: suspense", end, against))
    raise CommandRefused(f"{terminal.counted(len(against), 'suspense account')} not zero: find where it belongs first")


def _suspense_table(title: str, end: datetime, balances: "list[AccountBalance] | tuple[AccountBalance, ...]") -> Table:
    from marketbill.money import decimal_text

    table = Table("account", "currency", title=f"{title} at {end.isoformat()}", title_justify="left")
    table.add_column("holds", justify="right")
    for one in balances:
        table.add_row(one.code, one.currency, decimal_text(one.net, one.currency))
    return table
