"""`marketbill fees simulate`."""

import asyncio
import csv as csv_files
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.failure import WrongUse
from marketbill.cli.fees.file import placed, read_document
from marketbill.cli.joining import joined, platform_named
from marketbill.cli.ledger.operating import Data, PlatformName, instant
from marketbill.cli.ledger.output import output
from marketbill.cli.orders.progress import Rate

if TYPE_CHECKING:
    from marketbill.db import ReadScope
    from marketbill.insight.fee_replay import Tally
    from marketbill.rules.fees.schedule import Schedule

#: Sellers that are shown on either side.
_SHOWN_MAX = 10
_BAR_WIDTH = 40
_PROCESSES_MAX = 16
_CHANGES = (
    "5 % or more less", "2 to 5 % less", "1 to 2 % less", "0.5 to 1 % less", "0.1 to 0.5 % less", "below 0.1 % less",
    "the same", "below 0.1 % more", "0.1 to 0.5 % more", "0.5 to 1 % more", "1 to 2 % more", "2 to 5 % more",
    "5 % or more more",
)  # fmt: skip
_COLUMNS = (
    "currency",
    "seller",
    "name",
    "sales",
    "gross",
    "fee before",
    "fee after",
    "change",
    "net before",
    "net after",
)


def simulate(
    file: Annotated[Path | None, Parameter(help="YAML file of the schedule.")] = None,
    /,
    *,
    live: Annotated[bool, Parameter(help="The schedule in force in place of a file.", negative="")] = False,
    from_: Annotated[str | None, Parameter(name="--from", help="Orders from this day or instant on.")] = None,
    to: Annotated[str | None, Parameter(help="Orders up to this day (its end, UTC) or before this instant.")] = None,
    group: Annotated[str | None, Parameter(help="Only sellers who are in this group now.")] = None,
    charged: Annotated[
        bool, Parameter(help="Compare with what was charged, not with the schedule in force.", negative="")
    ] = False,
    groups_now: Annotated[
        bool, Parameter(help="Take sellers to have been in the groups that they are in now.", negative="")
    ] = False,
    csv: Annotated[Path | None, Parameter(help="File for every seller's sums; --csv=- is the standard output.")] = None,
    processes: Annotated[int, Parameter(help="Processes that compute.")] = 2,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Run fees over the stored sales: what the platform and each seller would have had. Nothing is written.

    Sales count by the date of their order, and are compared with the schedule in force: one that was made under it
    counts as it was charged. Fees are without the tax on them. What a schedule would refuse is counted apart.

    Example: marketbill fees simulate draft.yaml --from 2017-01-01 --to 2018-12-31
    Example: marketbill fees simulate draft.yaml --group founders --csv founders.csv
    """
    from marketbill.insight.fee_simulation import Simulation

    if (file is None) is not live:
        raise WrongUse("name the file of a schedule, or --live for the one in force")
    if not 1 <= processes <= _PROCESSES_MAX:
        raise WrongUse(f"--processes is from 1 to {_PROCESSES_MAX}")
    draft = _draft(file) if file is not None else None
    start, end = instant(from_) if from_ else None, _end(to) if to else None
    if start is not None and end is not None and start >= end:
        raise WrongUse("--from is before --to")

    async def work(scope: "ReadScope", console: Console) -> "tuple[Tally, dict[str, str]]":
        from marketbill.insight.fee_simulation import simulate as simulated
        from marketbill.platforms import fee_schedule

        schedule = draft or fee_schedule.schedule_of(await fee_schedule.current(scope))
        asked: Simulation = Simulation(schedule, start, end, group, charged, groups_now)
        with _Bar(console) as bar:
            return await simulated(scope, asked, processes=processes, told=bar)

    started = time.monotonic()
    # The bar and the tables go where the CSV does not.
    console = (
        Console(stderr=True, markup=False, emoji=False, highlight=False) if _is_stdout(csv) else terminal.console()
    )
    tally, names = asyncio.run(_run(platform, data, lambda scope: work(scope, console)))
    seconds = time.monotonic() - started
    if csv is not None:
        with output(csv) as place:
            place.write(csv_text(tally, names).encode())
    _show(console, tally, names, seconds=seconds)


async def _run(platform: str | None, data: Path | None, work: Any) -> Any:
    async with joined(data) as services:
        id, _ = await platform_named(services, platform)
        async with services.db.read(id) as scope:
            return await work(scope)


class _Bar:
    """How far it is; without a terminal only the end is shown."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def total(self, sales: int) -> None:
        self._task = self._progress.add_task("Sales computed", total=sales)

    def done(self, sales: int) -> None:
        if self._task is not None:
            self._progress.advance(self._task, sales)


def csv_text(tally: "Tally", names: dict[str, str]) -> str:
    """Every seller's sums in major units, one row a currency."""
    from marketbill.money import decimal_text
    from marketbill.text import safe_cell

    text = io.StringIO()
    writer = csv_files.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for (currency, seller), sums in sorted(tally.sellers.items()):
        amounts = (sums.gross, sums.fee_before, sums.fee_after, sums.fee_change, sums.net_before, sums.net_after)
        cells = [decimal_text(amount, currency) for amount in amounts]
        writer.writerow([currency, seller, safe_cell(names.get(seller, "")), sums.sales, *cells])
    return text.getvalue()


def _show(console: Console, tally: "Tally", names: dict[str, str], *, seconds: float) -> None:
    from marketbill.money import decimal_text

    table = Table("currency", title="Fees", title_justify="left")
    for heading in ("sales", "price", "fees before", "fees after", "change"):
        table.add_column(heading, justify="right")
    for currency, sums in sorted(tally.currencies.items()):
        amounts = (sums.gross, sums.fee_before, sums.fee_after, sums.fee_change)
        table.add_row(currency, f"{sums.sales:,}", *(decimal_text(amount, currency) for amount in amounts))
    if tally.currencies:
        console.print(table)
    else:
        console.print("No sale was computed.")
    for currency in sorted(tally.currencies):
        _show_sellers(console, tally, names, currency)
        _show_changes(console, tally, currency)
    count = sum(sums.sales for sums in tally.currencies.values())
    console.print(f"{terminal.counted(count, 'sale')} in {seconds:,.1f} seconds; {tally.changed:,} would change.")
    for name, refused in tally.refused.most_common():
        console.print(f"{terminal.counted(refused, 'sale')} would be refused ({name}), and are in no sum.")
    if tally.unreadable:
        console.print(f"{terminal.counted(tally.unreadable, 'sale')} of an older form cannot be computed again.")


def _show_sellers(console: Console, tally: "Tally", names: dict[str, str], currency: str) -> None:
    from marketbill.money import decimal_text

    own = [(seller, sums) for (code, seller), sums in tally.sellers.items() if code == currency and sums.net_change]
    own.sort(key=lambda one: (-one[1].net_change, one[0]))
    winners = [one for one in own if one[1].net_change > 0]
    losers = [one for one in reversed(own) if one[1].net_change < 0]
    for title, chosen in (("get more", winners), ("get less", losers)):
        if not chosen:
            continue
        heading = f"{terminal.counted(len(chosen), 'seller')} {title} in {currency}"
        shown = f"; the first {_SHOWN_MAX}" if len(chosen) > _SHOWN_MAX else ""
        table = Table("seller", title=heading + shown, title_justify="left")
        for column in ("sales", "price", "fees before", "fees after", "gets more by"):
            table.add_column(column, justify="right")
        for seller, sums in chosen[:_SHOWN_MAX]:
            amounts = (sums.gross, sums.fee_before, sums.fee_after, sums.net_change)
            table.add_row(
                names.get(seller, seller), f"{sums.sales:,}", *(decimal_text(amount, currency) for amount in amounts)
            )
        console.print(table)


def _show_changes(console: Console, tally: "Tally", currency: str) -> None:
    counts = tally.changes[currency]
    most = max(counts)
    console.print(f"Fees of a sale, as part of its price ({currency})")
    for label, count in zip(_CHANGES, counts, strict=True):
        if count:
            bar = "#" * max(1, count * _BAR_WIDTH // most)
            console.print(f"  {label:>18}  {bar:<{_BAR_WIDTH}}  {count:,}")


def _draft(file: Path) -> "Schedule":
    from marketbill.errors import InvalidInput, NotFound
    from marketbill.platforms.fee_schedule import draft_schedule

    try:
        return draft_schedule(read_document(file))
    except (InvalidInput, NotFound) as error:
        raise placed(file, error) from None


def _end(text: str) -> Any:
    from datetime import timedelta

    at = instant(text)
    return at + timedelta(days=1) if len(text) == len("2026-11-01") else at


def _is_stdout(path: Path | None) -> bool:
    return path is not None and str(path) == "-"
