"""`marketbill fx`: exchange rates."""

import asyncio
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from marketbill.cli import terminal
from marketbill.cli.failure import CommandRefused
from marketbill.cli.joining import joined

if TYPE_CHECKING:
    from marketbill.rates.refresh import Refreshed
    from marketbill.rules.fx import ExchangeRate

_HELP = """Show the official exchange rates, and bring them up to date.

They are the European Central Bank's: its history since 1999 is installed with marketbill, what came later is read from
its feed when ECB_RATES_URL is set.

Example: marketbill fx rate USD EUR --on 2026-10-01
Example: marketbill fx refresh
"""

Data = Annotated[Path | None, Parameter(help="Data folder of the running machine.")]


def rate(base: str, quote: str, *, on: date | None = None, data: Data = None) -> None:
    """Print what one unit of BASE is worth in QUOTE: as a fraction, as a decimal, with its source and day.

    On a day without rates it is the last one published before, with that day's date; older than five days it is none.
    Example: marketbill fx rate USD EUR --on 2026-10-01

    Parameters
    ----------
    on
        The day, such as 2026-10-01; default: today.
    """
    found, days = asyncio.run(_rate(base.upper(), quote.upper(), on, data))
    from marketbill.rules.fx import decimal_of

    console = terminal.console()
    console.print(f"1 {found.base} = {found.fraction} {found.quote}")
    console.print(f"1 {found.base} = {decimal_of(found)} {found.quote}")
    console.print(f"source: {found.source}, {found.at.date()}{f' ({days} days before)' if days else ''}")


def refresh(*, data: Data = None) -> None:
    """Load the whole installed history, and what the feed at ECB_RATES_URL has beyond it. Runs again without harm.

    Exits 1 when the feed does not answer or answers nonsense; the rates that are there stay as they are.

    Example: ECB_RATES_URL=https://www.ecb.europa.eu/stats/eurofxref marketbill fx refresh
    """
    done = asyncio.run(_refresh(data))
    console = terminal.console()
    console.print(f"{terminal.counted(done.embedded, 'rate')} added from the installed history")
    console.print(f"{terminal.counted(done.live, 'rate')} added from the feed")
    console.print(f"the newest day is {done.newest}")
    if done.problem is not None:
        raise CommandRefused(done.problem)


async def _rate(base: str, quote: str, on: date | None, data: Path | None) -> "tuple[ExchangeRate, int]":
    from marketbill.rates.store import rates_on

    async with joined(data) as services, services.db.system() as scope:
        day = on or scope.now.date()
        found = (await rates_on(scope, day, [(base, quote)])).rate(base, quote)
        return found, (day - found.at.date()).days


async def _refresh(data: Path | None) -> "Refreshed":
    from marketbill.rates.refresh import refresh

    async with joined(data) as services:
        return await refresh(services.db, feed=services.settings.ecb_rates_url)


def __getattr__(name: str) -> App:
    # Made anew for each use: where it is only listed, it is given a shorter help.
    if name != "fx":
        raise AttributeError(name)
    app = App(name="fx", help=_HELP, help_format="plaintext")
    app.command(rate)
    app.command(refresh)
    return app
