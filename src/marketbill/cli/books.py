"""`marketbill verify` and `marketbill statement`."""

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from marketbill.cli import terminal
from marketbill.cli.failure import CommandRefused, WrongUse
from marketbill.cli.joining import joined, platform_named, platforms
from marketbill.cli.walk import Walk

if TYPE_CHECKING:
    from sqlalchemy import Row

    from marketbill.db import ReadScope
    from marketbill.reconciliation.check import Check
    from marketbill.statements.statement import Statement

_LINES_MAX = 1_000

Data = Annotated[Path | None, Parameter(help="Data folder of the running machine.")]


def verify(
    *,
    platform: Annotated[str | None, Parameter(help="Name or id of one platform; default: all.")] = None,
    explain: Annotated[
        bool, Parameter(help="Also compute every payment again from its trace, to the posting.", negative="")
    ] = False,
    data: Data = None,
) -> int:
    """Prove the books: replay the journal, check payments, statements and fees, ask the provider.

    Prints a table of what was expected and what was found. Exits 1 when one cent is off anywhere or one byte of the
    journal is another, and names the account or the entry. A warning tells of something that waits; it does not change
    the exit code. What the provider did may not be recorded yet while requests have no end: the last line then says so,
    and the exit code is 1 all the same.

    Example: marketbill verify --platform "Demo Market"
    """
    console = terminal.console()
    proofs, told = asyncio.run(_verify(platform, data, console, explain=explain))
    from marketbill.reconciliation.check import Verdict

    wrong = [check for _, checks in proofs for check in checks if check.verdict is Verdict.BROKEN]
    for name, checks in proofs:
        console.print(check_table(name, checks))
    if not proofs:
        console.print("There is no platform yet: nothing to prove.")
        return 0
    console.print(told)
    if wrong:
        accounts = ", ".join(dict.fromkeys(check.subject for check in wrong[:5]))
        raise CommandRefused(
            f"the books do not agree: {terminal.counted(len(wrong), 'broken check')}: {accounts}{_explained(proofs)}"
        )
    console.print(
        f"The books agree: {terminal.counted(sum(map(len, (checks for _, checks in proofs))), 'check')}, to the cent."
    )
    return 0


def _explained(proofs: "list[tuple[str, list[Check]]]") -> str:
    """What could explain a difference: requests of which nobody knows yet what the provider did."""
    from marketbill.health.waits import WAITS, Kind

    words = WAITS[Kind.REQUEST_UNRESOLVED].words
    told = [check.found for _, checks in proofs for check in checks if check.name == "waits" and check.subject == words]
    waiting = sum(int(found.replace(",", "")) for found in told)
    if not waiting:
        return ""
    return (
        f"; {terminal.counted(waiting, 'request')} to the provider without an end could explain this: ask again when"
        " all have ended (`marketbill doctor --all`)"
    )


async def _verify(
    platform: str | None, data: Path | None, console: Console, *, explain: bool
) -> "tuple[list[tuple[str, list[Check]]], str]":
    from marketbill.demo.sandbox import SandboxControl
    from marketbill.reconciliation.verify import PARTS, PARTS_EXPLAINED
    from marketbill.reconciliation.verify import verify as prove

    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(joined(data))
        chosen = [await platform_named(services, platform)] if platform else await platforms(services)
        reader = None
        if url := services.settings.provider_base_url:
            control = await stack.enter_async_context(SandboxControl(url))
            reader = control.holdings
        walk = stack.enter_context(
            Walk(console, "Verifying", steps=(PARTS_EXPLAINED if explain else PARTS) * len(chosen))
        )
        proofs = []
        for id, name in chosen:
            report = partial(walk.step, name)
            explained = walk.payments if explain else None
            checks = await prove(services, id, reader=reader, report=report, progress=walk.entries, explained=explained)
            proofs.append((name, checks))
        return proofs, walk.told()


def check_table(title: str, checks: "list[Check]") -> Table:
    """The checks of one platform."""
    from marketbill.reconciliation.check import Verdict

    marks = {
        Verdict.HOLDS: Text("ok", "green"),
        Verdict.BROKEN: Text("BROKEN", "bold red"),
        Verdict.WARNING: Text("warning", "yellow"),
    }
    table = Table("check", title=title, title_justify="left")
    table.add_column("subject", overflow="fold")
    table.add_column("")
    table.add_column("expected", justify="right", overflow="fold")
    table.add_column("found", justify="right", overflow="fold")
    for check in checks:
        table.add_row(check.name, check.subject, marks[check.verdict], check.expected, check.found)
    return table


def statement(
    seller: Annotated[str, Parameter(help="Id (sel_...) or external reference of the seller.")],
    /,
    *,
    currency: Annotated[str | None, Parameter(help="Currency; default: the platform's.")] = None,
    period: Annotated[str | None, Parameter(help="A month (2018-01), or a year (2018).")] = None,
    since: Annotated[str | None, Parameter(help="First day, such as 2026-11-01.")] = None,
    until: Annotated[str | None, Parameter(help="First day after the period; default: tomorrow.")] = None,
    known_at: Annotated[str | None, Parameter(help="As it was known at the end of this day.")] = None,
    format: Annotated[str, Parameter(help="table, csv, xlsx or pdf.")] = "table",
    language: Annotated[str | None, Parameter(help="en, nl, de or fr; default: the seller's.")] = None,
    output: Annotated[Path | None, Parameter(help="File to write; default: standard output.")] = None,
    csv: Annotated[bool, Parameter(help="The same as --format csv.", negative="")] = False,
    platform: Annotated[str | None, Parameter(help="Name or id of the platform.")] = None,
    data: Data = None,
) -> None:
    """Print a seller's statement: opening balance, every movement with its source, closing balance.

    Days are UTC. As a table it shows the first 1,000 lines, in a PDF there may be 5,000, in other files 100,000. A PDF
    or a workbook is written to a file of its own when the output is a terminal.

    Example: marketbill statement demo-A --period 2026-11 --format pdf
    """
    start, end = _period(period, since, until)
    known = _day(known_at) + timedelta(days=1) if known_at else None
    asked = _Asked(seller, currency, start, end, known, "csv" if csv else format, language, output)
    asyncio.run(_statement(asked, platform, data))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A statement as it was asked for."""

    seller: str
    currency: str | None
    start: datetime
    end: datetime | None
    known_at: datetime | None
    format: str
    language: str | None
    output: Path | None


async def _statement(asked: _Asked, platform: str | None, data: Path | None) -> None:
    from marketbill.errors import Refusal
    from marketbill.ids import SellerId
    from marketbill.platforms import platform as platform_rows
    from marketbill.statements.document import draw_up
    from marketbill.statements.rendering import parse_format, render
    from marketbill.statements.statement import statement as first_page
    from marketbill.statements.words import parse_language

    async with joined(data) as services:
        id, _ = await platform_named(services, platform)
        try:
            async with services.db.read(id) as scope:
                found = await _seller_named(scope, asked.seller)
                money = (asked.currency or (await platform_rows.load(scope)).default_currency).upper()
                until = asked.end or scope.now + timedelta(days=1)
                told: dict[str, Any] = {
                    "seller": SellerId(found.id),
                    "currency": money,
                    "start": asked.start,
                    "end": until,
                    "known_at": min(asked.known_at, scope.now) if asked.known_at else None,
                }
                if asked.format == "table":
                    drawn = await first_page(scope, **told, limit=_LINES_MAX)
                    terminal.console().print(statement_table(found.name, drawn))
                    return
            form = parse_format(asked.format)
            document = await draw_up(partial(services.db.read, id), **told)
            language = parse_language(asked.language) if asked.language else document.language
            content = render(document, form, language)
        except Refusal as refused:
            raise CommandRefused(refused.message) from None
    _write(content, asked, f"statement-{asked.seller}-{money}-{asked.start:%Y-%m-%d}.{form.lower()}")


async def _seller_named(scope: "ReadScope", named: str) -> "Row[Any]":
    from sqlalchemy import select

    from marketbill.errors import NotFound
    from marketbill.ids import parse_id
    from marketbill.sellers.model import seller as table

    match = table.c.external_ref == named
    if named.startswith("sel_"):
        try:
            match = table.c.id == parse_id("seller", named)
        except NotFound as unknown:
            raise CommandRefused(unknown.message) from None
    found = await scope.first(select(table.c.id, table.c.name).where(table.c.platform_id == scope.platform, match))
    if found is None:
        raise CommandRefused(f"there is no seller {named!r}: give an id (sel_...) or an external reference")
    return found


def _write(content: bytes, asked: _Asked, name: str) -> None:
    """To the file that was asked for, or to standard output; no terminal is sent what is no text."""
    target = asked.output
    if target is None and asked.format.lower() != "csv" and sys.stdout.isatty():
        target = Path(name)
    if target is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        target.write_bytes(content)
    except OSError as error:
        raise CommandRefused(f"cannot write {target}: {error.strerror}") from None
    terminal.console().print(f"Written: {target} ({len(content):,} bytes)")


def statement_table(name: str, drawn: "Statement") -> Table:
    """A statement as a table for a terminal."""
    from marketbill.money import decimal_text

    def text(amount: int) -> str:
        return decimal_text(amount, drawn.currency)

    title = f"{name}, {drawn.currency}, {drawn.start:%Y-%m-%d} to {drawn.end:%Y-%m-%d}"
    table = Table("time (UTC)", "section", "what", title=title, title_justify="left")
    for column in ("amount", "moved", "balance"):
        table.add_column(column, justify="right")
    table.add_row("", "OPENING", "", "", "", text(drawn.opening.total))
    for line in drawn.lines:
        moved = f"{text(line.moved)} to {line.target.lower()}" if line.origin and line.target else ""
        table.add_row(
            f"{line.effective_at:%Y-%m-%d %H:%M}",
            line.section,
            line.description,
            text(line.amount),
            moved,
            text(line.balance_after),
        )
    if drawn.more:
        table.add_row("", "", f"... {drawn.line_count} lines in all: --format csv writes every one", "", "", "")
    table.add_row("", "CLOSING", "", "", "", text(drawn.closing.total))
    return table


def _period(period: str | None, since: str | None, until: str | None) -> tuple[datetime, datetime | None]:
    """The first instant, and the first after it; the second is None for tomorrow."""
    if period is None:
        return _day(since or "2000-01-01"), _day(until) if until else None
    if since or until:
        raise WrongUse("give --period, or --since and --until, not both")
    try:
        if len(period) == len("2018"):
            start = datetime.strptime(period, "%Y").replace(tzinfo=UTC)
            return start, start.replace(year=start.year + 1)
        start = datetime.strptime(period, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise WrongUse(f"{period!r} is no month and no year: write 2018-01 or 2018") from None
    return start, (start + timedelta(days=31)).replace(day=1)


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise WrongUse(f"{text!r} is not a day: write 2026-11-01") from None
