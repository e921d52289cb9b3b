"""`marketbill tax rates` and `rate-add`."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.failure import WrongUse
from marketbill.cli.ledger.operating import Data, PlatformName, Reason, person, reading, writing

if TYPE_CHECKING:
    from marketbill.db import ReadScope
    from marketbill.platforms.tax_rates import OwnTaxRate
    from marketbill.rules.tax.rate_row import RateRow
    from marketbill.rules.tax.rate_table import RateTable

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_PERCENT = re.compile(r"\d{1,3}(\.\d{1,20})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Listing:
    table: "RateTable"
    own: "Sequence[OwnTaxRate]"
    day: date


def rates(
    *,
    jurisdiction: Annotated[
        str | None, Parameter(help="ISO 3166 code such as DE or CA-ON; default: standard rates everywhere.")
    ] = None,
    on: Annotated[str | None, Parameter(help="Day, 2026-11-22; default: today, in UTC.")] = None,
    built_in: Annotated[
        bool, Parameter(help="Without a platform's own rates; needs no database.", negative="")
    ] = False,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """List the tax rates that hold on a day, each with its law and where to check it; own ones are marked.

    Example: marketbill tax rates --jurisdiction DE --on 2020-07-01
    Example: marketbill tax rates --built-in
    """
    from marketbill.rules.tax.rate_table import UnknownJurisdiction

    given = _day(on, option="--on") if on else None
    if built_in:
        name, listing = "built in", _built_in(given)
    else:
        name, listing = asyncio.run(reading(platform, data, lambda scope: _listing(scope, given)))
    places = sorted(listing.table.jurisdictions)
    if jurisdiction is not None:
        if jurisdiction not in places:
            raise UnknownJurisdiction(jurisdiction, path=("jurisdiction",))
        places = [jurisdiction]
    rows = [
        row
        for place in places
        for row in listing.table.on(place, listing.day)
        if jurisdiction is not None or row.subject == "standard"
    ]
    title = f"{name}: tax rates on {listing.day.isoformat()}"
    console = terminal.console()
    console.print(_table(title, rows, listing) if rows else f"{title}: none.")


def rate_add(
    jurisdiction: str,
    category: str,
    rate: str,
    /,
    *,
    law: Annotated[str, Parameter(help="The act and its section.")],
    page: Annotated[str, Parameter(help="https address where a person can check it.")],
    reason: Reason,
    begins: Annotated[str, Parameter(name="--from", help="First day it holds, 2027-01-01.")],
    until: Annotated[
        str | None,
        Parameter(help="First day it holds no more; default: until the next own rate begins."),
    ] = None,
    supply: Annotated[str, Parameter(help="The product that alone has this rate, such as books.")] = "",
    tax: Annotated[str, Parameter(help="Its name, needed where the place has no rates yet.")] = "",
    note: Annotated[str, Parameter(help="What else to know of it.")] = "",
    estimate: Annotated[
        bool, Parameter(help="Good for a guess shown to a buyer, not for a return.", negative="")
    ] = False,
    replaces: Annotated[str | None, Parameter(help="txr_..., an own rate that was wrong.")] = None,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Add a tax rate of the platform's own, or override a built-in one.

    Refused without a source, and where it would overlap another own rate or leave days without any. It counts for
    sales whose tax is decided from now on; what was sold keeps the rate it was sold with.

    Example: marketbill tax rate-add JP standard 10 --from 2019-10-01 --tax JCT --law "Consumption Tax Act, s. 29"
    --page https://www.nta.go.jp/english/ --reason "we sell in Japan"

    Parameters
    ----------
    jurisdiction
        ISO 3166 code such as DE or CA-ON; XI is Northern Ireland.
    category
        A category of rates: standard, reduced, zero, ...
    rate
        Percent, such as 17 or 8.875.
    """
    from marketbill.platforms import tax_rates
    from marketbill.platforms.tax_rates import TaxRateDraft

    draft = TaxRateDraft(
        jurisdiction=jurisdiction,
        category=category,
        rate=_percent(rate),
        valid_from=_day(begins, option="--from"),
        valid_to=_day(until, option="--until") if until else None,
        legal_source=law,
        source_url=page,
        reason=reason,
        supply=supply,
        tax=tax,
        note=note,
        estimate=estimate,
        replaces=replaces,
    )
    name, made = asyncio.run(writing(platform, data, lambda scope: tax_rates.add(scope, draft, by=person())))
    from marketbill.ids import public_id

    end = f" until {made.row.valid_to.isoformat()}" if made.row.valid_to else ""
    print(
        f"{name}: {made.row.reference}: {made.row.rate} % {made.row.tax} from {made.row.valid_from.isoformat()}{end}."
        f" Kept as {public_id('tax rate', made.id)}."
    )


async def _listing(scope: "ReadScope", on: date | None) -> _Listing:
    from marketbill.platforms import tax_rates

    return _Listing(await tax_rates.table_for(scope), await tax_rates.own_rows(scope), on or scope.now.date())


def _built_in(on: date | None) -> _Listing:
    from marketbill import clock, tax_data

    return _Listing(tax_data.built_in(), (), on or clock.now().astimezone(UTC).date())


def _table(title: str, rows: "Sequence[RateRow]", listing: _Listing) -> Table:
    own = {(one.row.jurisdiction, one.row.subject, one.row.valid_from): one for one in listing.own}
    table = Table(title=title, title_justify="left")
    for heading in ("place", "tax", "of", "percent", "from", "until", "law", "to check at", ""):
        table.add_column(heading, overflow="fold", justify="right" if heading == "percent" else "left")
    for row in rows:
        entry = own.get((row.jurisdiction, row.subject, row.valid_from))
        marks = [f"own, by {entry.added_by}"] if entry else []
        marks += ["estimate"] if row.estimate else []
        marks += [f"and {row.on_top_of}'s"] if row.on_top_of else []
        table.add_row(
            row.jurisdiction,
            row.tax,
            f"{row.supply} ({row.category})" if row.supply else row.category,
            format(row.rate, "f"),
            row.valid_from.isoformat(),
            row.valid_to.isoformat() if row.valid_to else "",
            row.legal_source,
            row.source_url,
            ", ".join(marks),
        )
    return table


def _day(text: str, *, option: str) -> date:
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{option} {text[:40]!r} is no day: write 2027-01-01") from None


def _percent(text: str) -> Decimal:
    try:
        if not _PERCENT.fullmatch(text):
            raise InvalidOperation
        return Decimal(text)
    except InvalidOperation:
        raise WrongUse(f"{text[:40]!r} is no rate: write a percentage such as 17 or 8.875") from None
