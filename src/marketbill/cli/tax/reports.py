"""`marketbill tax report` and `oss`."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.failure import CommandRefused
from marketbill.cli.ledger.operating import Data, PlatformName, instant, reading
from marketbill.cli.ledger.output import output

if TYPE_CHECKING:
    from marketbill.db import ReadScope
    from marketbill.insight.oss_return import SalesListRow
    from marketbill.insight.tax_report import TaxReport
    from marketbill.rules.fx import ExchangeRate
    from marketbill.rules.tax.oss import OssReturn


def report(
    *,
    start: Annotated[str, Parameter(name="--from", help="First day, such as 2026-10-01 (UTC).")],
    end: Annotated[str, Parameter(name="--to", help="First day after the period.")],
    jurisdiction: Annotated[str | None, Parameter(help="One place, such as DE or US-CA; default: all.")] = None,
    csv: Annotated[Path | None, Parameter(help="Write CSV to this file; - is the standard output.")] = None,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Print the taxes of a period by jurisdiction, tied to the tax accounts.

    Exits 1 when the rows do not make the movement of every tax account; the difference is shown.

    Example: marketbill tax report --from 2026-10-01 --to 2027-01-01
    Example: marketbill tax report --from 2026-10-01 --to 2027-01-01 --csv taxes.csv
    """
    from marketbill.insight.tax_csv import tax_report_csv
    from marketbill.insight.tax_report import tax_report

    since, until = instant(start), instant(end)
    name, told = asyncio.run(
        reading(platform, data, lambda scope: tax_report(scope, start=since, end=until, jurisdiction=jurisdiction))
    )
    if csv is not None:
        with output(csv) as file:
            file.write(tax_report_csv(told).encode())
    else:
        console = terminal.console()
        console.print(row_table(name, told))
        console.print(account_table(told))
    if not told.agrees:
        raise CommandRefused("the rows do not make the movement of every tax account (see `marketbill verify`)")


def oss(
    quarter: Annotated[str, Parameter(help="Such as 2026Q4.")],
    /,
    *,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Print the platform's return of the One Stop Shop for a quarter in euro, and its EC sales list.

    Other currencies are converted at the European Central Bank's rate of the quarter's last day, or of the next day of
    publication; until that is published there is no return.

    Example: marketbill tax oss 2026Q4
    """
    from marketbill.rules.tax.oss import Quarter

    asked = Quarter.parse(quarter)

    async def read(scope: "ReadScope") -> "tuple[OssReturn, list[SalesListRow]]":
        from marketbill.insight.oss_return import quarterly_return, sales_list

        return await quarterly_return(scope, asked), await sales_list(scope, asked)

    name, (told, listed) = asyncio.run(reading(platform, data, read))
    console = terminal.console()
    console.print(oss_table(name, told))
    for rate in sorted({_rate_line(part.rate) for line in told.lines for part in line.parts if part.rate is not None}):
        console.print(rate)
    console.print(f"payable {terminal.money(told.payable, 'EUR')}")
    if listed:
        console.print(_sales_list_table(listed))


def row_table(name: str, told: "TaxReport") -> Table:
    """The rows of a tax report."""
    from marketbill.money import decimal_text

    title = f"{name}: taxes, {told.start:%Y-%m-%d} to {told.end:%Y-%m-%d}"
    table = Table("jurisdiction", "kind", "liable", "category", title=title, title_justify="left")
    for heading in ("rate", "base", "tax", "", "lines"):
        table.add_column(heading, justify="right" if heading else "left")
    for row in told.rows:
        table.add_row(
            row.jurisdiction or "as stated",
            row.kind,
            row.liable,
            row.category,
            f"{row.rate:f} %",
            decimal_text(row.base, row.currency),
            decimal_text(row.tax, row.currency),
            row.currency,
            f"{row.lines:,}",
        )
    return table


def account_table(told: "TaxReport") -> Table:
    """The accounts that a tax report is tied to."""
    from marketbill.money import decimal_text

    table = Table("account", title="Tied to the accounts", title_justify="left")
    for heading in ("reported", "other", "moved", "difference"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for one in told.accounts:
        amounts = (one.reported, one.other, one.moved, one.difference)
        table.add_row(one.code, *(decimal_text(amount, one.currency) for amount in amounts), one.currency)
    return table


def oss_table(name: str, told: "OssReturn") -> Table:
    """The lines of a return, and the corrections of earlier quarters after them."""
    from marketbill.money import decimal_text

    table = Table("consumed in", "supply", "sent from", title=f"{name}: One Stop Shop, {told.quarter}, EUR")
    table.title_justify = "left"
    for heading in ("rate", "base", "tax", "of"):
        table.add_column(heading, justify="left" if heading == "of" else "right")
    for line in told.lines:
        of = ", ".join(f"{decimal_text(part.base, part.currency)} {part.currency}" for part in line.parts)
        amounts = (decimal_text(line.base, "EUR"), decimal_text(line.tax, "EUR"))
        table.add_row(line.consumed_in, line.supply, line.sent_from, f"{line.rate:f} %", *amounts, of)
    for one in told.corrections:
        amounts = (decimal_text(one.base, "EUR"), decimal_text(one.tax, "EUR"))
        table.add_row(one.consumed_in, f"correction of {one.quarter}", "", "", *amounts, "")
    table.add_section()
    table.add_row("sum", "", "", "", decimal_text(told.base, "EUR"), decimal_text(told.tax, "EUR"), "")
    return table


def _sales_list_table(listed: "list[SalesListRow]") -> Table:
    from marketbill.money import decimal_text

    table = Table("VAT number", title="EC sales list: fees by reverse charge", title_justify="left")
    table.add_column("net", justify="right")
    table.add_column("")
    for row in listed:
        table.add_row(
            row.vat_number or f"none shown ({row.country})", decimal_text(row.net, row.currency), row.currency
        )
    return table


def _rate_line(rate: "ExchangeRate") -> str:
    from marketbill.rules.fx import decimal_of

    return f"1 {rate.base} = {decimal_of(rate)} {rate.quote} ({rate.source}, {rate.at.date()})"
