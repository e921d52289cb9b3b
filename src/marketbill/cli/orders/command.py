"""`marketbill import-orders`."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import uvloop
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.failure import FAILED, CommandRefused, WrongUse
from marketbill.cli.joining import joined, platform_named
from marketbill.cli.orders.file import USUAL_DATE, Columns, OrderFile, Reject, check_rejects, read_orders, write_rejects
from marketbill.cli.orders.outcome import Outcome
from marketbill.cli.orders.progress import Bars
from marketbill.cli.orders.run import OrderRun, Terms
from marketbill.cli.terminal import counted
from marketbill.demo.sandbox import SandboxControl, SandboxUnreachable
from marketbill.errors import Unavailable
from marketbill.money import display

_AT_ONCE_MAX = 64
_REASONS_SHOWN_MAX = 5


def _column(meaning: str) -> Parameter:
    return Parameter(help=f"Column of {meaning}.")


def import_orders(
    file: Annotated[Path, Parameter(help="The CSV file, with a header.")],
    /,
    *,
    platform: Annotated[str | None, Parameter(help="Name or id of the platform; not needed when there is one.")] = None,
    order_column: Annotated[str, _column("the order's id, the same on each of its rows")] = "order_id",
    item_column: Annotated[str, _column("the item's number in its order")] = "order_item_id",
    product_column: Annotated[str, _column("the product")] = "product_id",
    seller_column: Annotated[str, _column("the seller; sellers are made on the way")] = "seller_id",
    price_column: Annotated[str, _column("the item's price, in major units such as 58.90")] = "price",
    freight_column: Annotated[str, _column("the item's freight, paid on top; '' for none")] = "freight",
    currency_column: Annotated[str, _column("the currency (ISO 4217)")] = "currency",
    date_column: Annotated[
        str, Parameter(help="Column of when it was ordered; '' for none. The default may be missing.")
    ] = USUAL_DATE,
    encoding: Annotated[str, Parameter(help="How the file is encoded.")] = "utf-8",
    tax_rate: Annotated[str, Parameter(help="Percentage of tax that prices and freight include.")] = "0",
    seller_country: Annotated[str | None, Parameter(help="Country of new sellers; default: the platform's.")] = None,
    at_once: Annotated[int, Parameter(help="Orders under way at once.")] = 16,
    patience: Annotated[int, Parameter(help="Seconds without any movement after which it gives up waiting.")] = 240,
    rejects: Annotated[
        Path | None, Parameter(help="File for rejected rows; default: <name of FILE>.rejects.csv, in this folder.")
    ] = None,
    data: Annotated[Path | None, Parameter(help="Data folder of the running machine.")] = None,
) -> int:
    """Run every order of a CSV file as a payment: split, booked, released, transferred to its sellers.

    Pays with a test card, so it works with the sandbox or a Stripe test key only. Run it again after an interruption:
    what was done is skipped. A row that is wrong is written to the rejects file with its line and the reason, its whole
    order is left out (a part of it would be a wrong total), and the rest goes on. Imported orders count as delivered.
    Exits 1 when money is stuck.

    Example: marketbill import-orders orders.csv --platform "Demo Market" --price-column amount
    """
    rate = _rate(tax_rate)
    if not 1 <= at_once <= _AT_ONCE_MAX:
        raise WrongUse(f"--at-once is from 1 to {_AT_ONCE_MAX}")
    columns = Columns(
        order_column,
        item_column,
        product_column,
        seller_column,
        price_column,
        freight_column or None,
        currency_column,
        date_column or None,
    )
    read = read_orders(file, columns, encoding=encoding)
    place = rejects or Path(f"{file.name}.rejects.csv")
    check_rejects(place, file)
    terms = Terms(rate, seller_country.upper() if seller_country else None, at_once, float(patience))
    started = time.monotonic()
    console = terminal.console()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(_run(read, terms, platform=platform, data=data, console=console))
    rejected = [*read.rejects, *(Reject(row, reason) for order, reason in outcome.refused for row in order.rows)]
    if rejected:
        write_rejects(place, read.header, rejected)
    _summary(console, read, outcome, rejected, seconds=time.monotonic() - started)
    if rejected:
        were = "1 row was" if len(rejected) == 1 else f"{len(rejected):,} rows were"
        console.print(f"{were} rejected: {place} has the lines and reasons.", soft_wrap=True)
    for line in _waiting(outcome):
        console.print(line, soft_wrap=True)
    if outcome.stuck:
        raise CommandRefused(_stuck(outcome, patience))
    return FAILED if not read.orders else 0


async def _run(read: OrderFile, terms: Terms, *, platform: str | None, data: Path | None, console: Console) -> Outcome:
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(joined(data, pool_size=min(terms.at_once, 24)))
        if services.settings.live:
            raise CommandRefused("STRIPE_SECRET_KEY is a live key: an import pays with a test card, so it does not run")
        id, _ = await platform_named(services, platform)
        sandbox_url = services.settings.provider_base_url
        onboarding = await stack.enter_async_context(SandboxControl(sandbox_url)) if sandbox_url else None
        bars = stack.enter_context(Bars(console))
        run = OrderRun(services, id, terms, progress=bars, onboarding=onboarding)
        try:
            return await run.run(read.orders)
        except (Unavailable, SandboxUnreachable) as away:
            reason = str(away).split(";")[0].rstrip(".")
            raise CommandRefused(f"{reason}: run it again; what was done is skipped") from away


def _waiting(outcome: Outcome) -> Iterator[str]:
    for stage, count in outcome.waiting.most_common(_REASONS_SHOWN_MAX):
        until = outcome.waiting_until.get(stage)
        waits = "order waits" if count == 1 else "orders wait"
        yield f"{count:,} {waits}: {stage}{f' until {until:%Y-%m-%d %H:%M} UTC at the latest' if until else ''}."
    if len(outcome.waiting) > _REASONS_SHOWN_MAX:
        yield f"... and {counted(len(outcome.waiting) - _REASONS_SHOWN_MAX, 'kind')} more."


def _stuck(outcome: Outcome, patience: int) -> str:
    stages = [f"{count} {stage}" for stage, count in outcome.stuck.most_common(_REASONS_SHOWN_MAX)]
    if len(outcome.stuck) > _REASONS_SHOWN_MAX:
        stages.append(f"and {counted(len(outcome.stuck) - _REASONS_SHOWN_MAX, 'kind')} more")
    hint = f"nothing moved for {patience} seconds: are worker and relay running? " if outcome.workers_idle else ""
    return f"money is stuck: {', '.join(stages)}; {hint}See `marketbill doctor --all`"


def _summary(
    console: Console, read: OrderFile, outcome: Outcome, rejected: Sequence[Reject], *, seconds: float
) -> None:
    table = Table("", "", title="Import", title_justify="left", show_header=False)
    table.columns[1].justify = "right"
    left_out = len({reject.row.line for reject in rejected})
    figures = [
        ("Rows read", f"{read.rows:,}"),
        ("Rows rejected", f"{left_out:,}"),
        ("Orders paid now", f"{outcome.created:,}"),
        ("Orders that were there already", f"{outcome.existed:,}"),
        ("Orders left to the workers", f"{outcome.left_to_workers:,}"),
        ("Sellers made", f"{outcome.sellers_created:,}"),
        ("Orders transferred to their sellers", f"{outcome.transferred:,}"),
        *((f"Sold in {currency}", display(amount, currency)) for currency, amount in sorted(outcome.sold.items())),
        ("Seconds", f"{seconds:,.1f}"),
        ("Orders a second", f"{outcome.created / seconds:,.1f}" if outcome.created else "-"),
    ]
    for name, figure in figures:
        table.add_row(name, figure)
    console.print(table)
    reasons = Counter(reject.reason for reject in rejected)
    for reason, count in reasons.most_common(_REASONS_SHOWN_MAX):
        console.print(f"  {count} x {reason}", markup=False, highlight=False)
    if len(reasons) > _REASONS_SHOWN_MAX:
        console.print(f"  ... and {counted(len(reasons) - _REASONS_SHOWN_MAX, 'kind')} more")


def _rate(text: str) -> Decimal:
    try:
        rate = Decimal(text)
    except InvalidOperation:
        raise WrongUse(f"--tax-rate {text!r} is not a percentage: write 21 or 5.5") from None
    if not 0 <= rate <= 100:
        raise WrongUse("--tax-rate is a percentage from 0 to 100")
    return rate
