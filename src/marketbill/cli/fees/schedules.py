"""`marketbill fees list`, `show`, `draft`, `publish` and `discard`."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.fees.file import document_text, placed, read_document
from marketbill.cli.ledger.operating import Data, PlatformName, instant, person, reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Row

    from marketbill.db import ReadScope, Scope, WriteScope

_SHOWN_MAX = 100


def list_(*, platform: PlatformName = None, data: Data = None) -> None:
    """List drafts and published versions, newest made first; the newest hundred.

    Example: marketbill fees list
    """
    name, (rows, standings) = asyncio.run(reading(platform, data, _listed))
    table = Table(title=f"{name}: fee schedules", title_justify="left")
    table.add_column("schedule", no_wrap=True)
    table.add_column("version", justify="right")
    for heading in ("state", "holds from (UTC)", "name", "by"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        start = row.effective_from
        table.add_row(
            _id(row),
            str(row.version or ""),
            standings[row.id].value.lower(),
            f"{start:%Y-%m-%d %H:%M:%S}" if start else "",
            row.name,
            row.published_by or row.created_by,
        )
    terminal.console().print(table)


def show(schedule: str = "live", /, *, platform: PlatformName = None, data: Data = None) -> None:
    """Print a schedule as the file that it came from: the live one, a version, or a draft.

    Example: marketbill fees show > fees.yaml
    Example: marketbill fees show 3

    Parameters
    ----------
    schedule
        live, the number of a version, or an id (fee_...).
    """
    _, row = asyncio.run(reading(platform, data, lambda scope: found(scope, schedule)))
    print(document_text(row.document), end="")


def draft(
    file: Annotated[Path, Parameter(help="YAML file of the schedule.")],
    /,
    *,
    replace: Annotated[str | None, Parameter(help="Id of a draft (fee_...) whose rules it takes the place of.")] = None,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Keep a file as a draft: checked, and without any effect on payments until it is published.

    Example: marketbill fees draft fees.yaml
    Example: marketbill fees draft fees.yaml --replace fee_01jd8x0q4mf0v9k2s7c3b6n1ra
    """
    from marketbill.errors import InvalidInput
    from marketbill.ids import parse_id
    from marketbill.platforms import fee_schedule

    document = read_document(file)

    async def work(scope: "WriteScope") -> "Row[Any]":
        if replace is None:
            return await fee_schedule.add_draft(scope, document, by=person())
        return await fee_schedule.change_draft(scope, parse_id("fee schedule", replace), document)

    try:
        name, row = asyncio.run(writing(platform, data, work))
    except InvalidInput as error:
        raise placed(file, error) from None
    print(f"{name}: {_id(row)} is a draft. Publish it: marketbill fees publish {_id(row)}")


def publish(
    schedule: str,
    /,
    *,
    at: Annotated[str | None, Parameter(help="From when it holds; default: now. Never in the past.")] = None,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Publish a draft as the next version. It never changes again; a later version takes over from it.

    Example: marketbill fees publish fee_01jd8x0q4mf0v9k2s7c3b6n1ra
    Example: marketbill fees publish fee_01jd8x0q4mf0v9k2s7c3b6n1ra --at 2027-01-01T00:00:00+01:00

    Parameters
    ----------
    schedule
        Id of the draft (fee_...).
    """
    from marketbill.ids import parse_id
    from marketbill.platforms import fee_schedule

    id, start = parse_id("fee schedule", schedule), instant(at) if at else None
    name, row = asyncio.run(
        writing(platform, data, lambda scope: fee_schedule.publish_draft(scope, id, at=start, by=person()))
    )
    print(f"{name}: {_id(row)} is version {row.version}, in force from {row.effective_from.isoformat()}.")


def discard(schedule: str, /, *, platform: PlatformName = None, data: Data = None) -> None:
    """Drop a draft.

    Example: marketbill fees discard fee_01jd8x0q4mf0v9k2s7c3b6n1ra

    Parameters
    ----------
    schedule
        Id of the draft (fee_...).
    """
    from marketbill.ids import parse_id
    from marketbill.platforms import fee_schedule

    id = parse_id("fee schedule", schedule)
    name, _ = asyncio.run(writing(platform, data, lambda scope: fee_schedule.discard_draft(scope, id)))
    print(f"{name}: {schedule} is discarded.")


async def found(scope: "Scope", named: str) -> "Row[Any]":
    """The schedule that is live, has this version, or this id. Raises NotFound, ScheduleMissing."""
    from sqlalchemy import select

    from marketbill.errors import NotFound
    from marketbill.ids import parse_id
    from marketbill.platforms import fee_schedule
    from marketbill.platforms.model import fee_schedule as table

    if named == "live":
        return await fee_schedule.current(scope)
    if named.isascii() and named.isdigit() and len(named) < 9:
        statement = select(table).where(table.c.platform_id == scope.platform, table.c.version == int(named))
        row = await scope.first(statement)
        if row is None:
            raise NotFound("version of the fees", named)
        return row
    return await fee_schedule.load(scope, parse_id("fee schedule", named))


async def _listed(scope: "ReadScope") -> tuple[Any, Any]:
    from marketbill.paging import PageRequest
    from marketbill.platforms import fee_schedule

    rows = (await fee_schedule.page(scope, PageRequest(_SHOWN_MAX))).rows
    return rows, await fee_schedule.standings(scope, [row.id for row in rows])


def _id(row: "Row[Any]") -> str:
    from marketbill.ids import public_id

    return public_id("fee schedule", row.id)
