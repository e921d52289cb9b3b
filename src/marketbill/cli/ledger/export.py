"""`marketbill ledger export`."""

import asyncio
import sys
from contextlib import AsyncExitStack
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from marketbill.cli.failure import WrongUse
from marketbill.cli.joining import joined, platform_named
from marketbill.cli.ledger.output import STDOUT, output

if TYPE_CHECKING:
    from marketbill.ledger.export.books import Books

#: How to check what was written.
_CHECKS = {"hledger": "hledger -f {} check --strict", "beancount": "bean-check {}"}


def export(
    *,
    format: Annotated[Literal["hledger", "beancount", "csv", "parquet"], Parameter(help="What to write.")],
    out: Annotated[
        Path,
        Parameter(name=["--output", "-o"], help="File to write; - is the standard output.", allow_leading_hyphen=True),
    ],
    since: Annotated[str | None, Parameter(name="--from", help="First day, such as 2026-11-01; default: all.")] = None,
    until: Annotated[
        str | None, Parameter(name="--to", help="First day after the period, such as 2026-12-01; default: all.")
    ] = None,
    currency: Annotated[str | None, Parameter(help="Only this currency; default: all.")] = None,
    platform: Annotated[str | None, Parameter(help="Name or id of the platform.")] = None,
    data: Annotated[Path | None, Parameter(help="Data folder of the running machine.")] = None,
) -> None:
    """Write a period as hledger journal, beancount file, CSV or Parquet.

    Days are UTC, and the effective time of an entry decides. The hledger and beancount files begin with the opening
    balances of the period and end with an assertion of what the ledger keeps as every account's balance, so those
    programs prove the sums. The file is written beside its place and takes it at the end, whole or not at all.

    Example: marketbill ledger export --format hledger -o november.journal --from 2026-11-01 --to 2026-12-01

    Example: marketbill ledger export --format csv -o - | head
    """
    if out != STDOUT and str(out).startswith("-"):
        raise WrongUse(f"-o needs a file, not {str(out)!r} (./{out} is one of that name)")
    if format == "parquet" and out == STDOUT and sys.stdout.isatty():
        raise WrongUse("Parquet is no text for a terminal: name a file with -o")
    period = (_day("--from", since), _day("--to", until))
    books = asyncio.run(_export(format, out, period, currency and currency.upper(), platform, data))
    if out == STDOUT:
        return
    checked = f"; check it: {_CHECKS[format].format(out)}" if format in _CHECKS else ""
    span = f"{books.period.first or 'the first entry'} to {books.period.end or 'the last'}"
    print(f"{out}: the books of {books.name}, {span}{checked}")


async def _export(
    format: str,
    out: Path,
    period: tuple[date | None, date | None],
    currency: str | None,
    platform: str | None,
    data: Path | None,
) -> "Books":
    from marketbill.ledger.export.books import open_books
    from marketbill.ledger.export.formats import Format, check, write
    from marketbill.ledger.export.period import Period

    check(Format(format))
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(joined(data))
        id, name = await platform_named(services, platform)
        read = partial(services.db.read, id)
        books = await open_books(read, name=name, period=Period(*period), currency=currency)
        file = stack.enter_context(output(out))
        # The bar goes to the error stream, and is shown on a terminal only: the output may be the file itself.
        columns = (TextColumn("Exporting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
        bars = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        task = stack.enter_context(bars).add_task("", total=books.head.entries)
        await write(books, Format(format), file, lambda done, _: bars.update(task, completed=done))
    return books


def _day(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{name}: {text!r} is not a day: write it such as 2026-11-01") from None
