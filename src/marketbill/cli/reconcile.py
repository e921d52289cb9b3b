"""`marketbill reconcile`: compares the provider's records with ours now, and lists what differs."""

import asyncio
import json as json_text
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text
from sqlalchemy import Row

from marketbill.cli import terminal
from marketbill.cli.failure import FAILED, CommandRefused, WrongUse
from marketbill.cli.joining import joined, platform_named, platforms

if TYPE_CHECKING:
    from marketbill.ids import PlatformId
    from marketbill.services import Services

#: Drifts of a platform that are listed.
_SHOWN_MAX = 500
Data = Annotated[Path | None, Parameter(help="Data folder of the running machine.")]


def reconcile(
    *,
    platform: Annotated[str | None, Parameter(help="Name or id of one platform; default: all.")] = None,
    since: Annotated[str | None, Parameter(help="Compare again, from this day on (2026-11-01).")] = None,
    until: Annotated[str | None, Parameter(help="First day after what is compared; default: now.")] = None,
    json: Annotated[bool, Parameter(help="Write JSON.", negative="")] = False,
    data: Data = None,
) -> int:
    """Compare the provider's records with ours, and list each difference by its name.

    Workers do the same every ten minutes. Without --since it does one cycle of theirs: what is new, a part of what is
    old, and what was found before. Money that moved in the last quarter of an hour is left for later. Exits 1 while
    a difference is open that nobody accepted.

    Example: marketbill reconcile --since 2026-11-01
    """
    if until is not None and since is None:
        raise WrongUse("--until needs --since: from which day on is to be compared?")
    start, end = _day(since), _day(until)
    told = asyncio.run(_reconcile(platform, start, end, data))
    if json:
        print(json_text.dumps([one for _, found, _ in told for one in found], indent=1))
        return FAILED if any(found for _, found, _ in told) else 0
    console = terminal.console()
    for name, found, compared in told:
        if found:
            console.print(_table(name, found))
        else:
            console.print(Text(f"{name}: nothing differs; compared up to {compared}.", "green"))
    return FAILED if any(found for _, found, _ in told) else 0


async def _reconcile(
    platform: str | None, start: datetime | None, end: datetime | None, data: Path | None
) -> list[tuple[str, list[dict[str, Any]], str]]:
    async with joined(data) as services:
        chosen = [await platform_named(services, platform)] if platform else await platforms(services)
        return [(name, *(await _of(services, id, start, end))) for id, name in chosen]


async def _of(
    services: "Services", platform: "PlatformId", start: datetime | None, end: datetime | None
) -> tuple[list[dict[str, Any]], str]:
    from marketbill.reconciliation import drifts, state
    from marketbill.reconciliation.reconcile import compare
    from marketbill.reconciliation.reconcile import reconcile as cycle

    if start is None:
        await cycle(services, platform)
    else:
        async with services.db.read(platform) as scope:
            now = scope.now
        await compare(services, platform, start, end or now)
    async with services.db.read(platform) as scope:
        found = await drifts.open_drifts(scope, limit=_SHOWN_MAX)
        came_to = await state.state(scope)
    if start is None and came_to.error is not None:
        raise CommandRefused(f"the provider's records could not be compared: {came_to.error}")
    compared = "nothing yet" if came_to.compared_until is None else f"{came_to.compared_until:%Y-%m-%d %H:%M} UTC"
    return [_as_json(row) for row in found], compared


def _as_json(row: Row[Any]) -> dict[str, Any]:
    from marketbill.ids import public_id
    from marketbill.money import decimal_text
    from marketbill.reconciliation import drifts

    return {
        "id": public_id("drift", row.id),
        "kind": row.kind,
        "side": row.side,
        "thing": row.thing,
        "about": row.about,
        "subject": row.name,
        "providerId": row.provider_id,
        "currency": row.currency,
        "expected": decimal_text(row.expected, row.currency),
        "found": decimal_text(row.found, row.currency),
        "movedAt": row.at.isoformat(),
        "openedAt": row.opened_at.isoformat(),
        "toDo": drifts.to_do(row),
    }


def _table(name: str, found: list[dict[str, Any]]) -> Table:
    title = f"{name}: {terminal.counted(len(found), 'difference')}"
    table = Table("what", "ours", "the provider's", title=title, title_justify="left")
    table.add_column("provider says", justify="right")
    table.add_column("we say", justify="right")
    table.add_column("what to do", overflow="fold")
    for one in found:
        table.add_row(
            f"{one['kind']} {one['thing'].lower()} ({one['about']})",
            one["subject"] or "",
            one["providerId"] or "",
            f"{one['expected']} {one['currency']}",
            f"{one['found']} {one['currency']}",
            one["toDo"],
        )
    return table


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise WrongUse(f"{text!r} is not a day: write 2026-11-01") from None
