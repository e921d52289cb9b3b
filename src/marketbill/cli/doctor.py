"""`marketbill doctor`: whatever waits longer than it should, since when, and what to do; and the remedies."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.table import Table
from rich.text import Text

from marketbill.cli import terminal
from marketbill.cli.failure import FAILED, USAGE, CommandRefused, failure_of
from marketbill.cli.joining import joined, platform_named, platforms

if TYPE_CHECKING:
    from marketbill.health.findings import Finding
    from marketbill.ids import PlatformId
    from marketbill.provider.intent import Intent
    from marketbill.services import Services

#: Who decides, as it is kept with a request: an operator at a terminal of the machine.
BY = "terminal"
Data = Annotated[Path | None, Parameter(help="Data folder of the running machine.")]
PlatformName = Annotated[str | None, Parameter(help="Name or id of one platform; default: all.")]

_HELP = """List whatever waits longer than it should, since when, and what to do about it.

Looks at every payment, transfer, payout, seller, request to the provider and event that has not come to its end, at the
processes as far as the database shows them (schedule, relay, schema), and at the clocks. Exits 0 when nothing is late
or wrong, 1 when something is, and 2 when it could not look (no database, wrong use): ask it from your monitoring.

Example: marketbill doctor --json
"""


class CouldNotLook(CommandRefused):
    """Nobody knows whether all is well: for a monitoring another answer than that something is late."""

    exit_code = USAGE


def __getattr__(name: str) -> App:
    # Made anew for each use: where it is only listed, it is given a shorter help.
    if name != "doctor":
        raise AttributeError(name)
    app = App(name="doctor", help=_HELP, help_format="plaintext")
    app.command(retry)
    app.command(abandon)
    app.command(replay)
    app.command(dismiss)
    app.default(examine_all)
    return app


def examine_all(
    *,
    platform: PlatformName = None,
    everything: Annotated[
        bool, Parameter(name="--all", help="Also what waits within its limit; it does not count.", negative="")
    ] = False,
    json: Annotated[bool, Parameter(help="Write JSON.", negative="")] = False,
    data: Data = None,
) -> int:
    """List what is late."""
    try:
        found, waiting, names = asyncio.run(_examine(platform, everything, data))
    except Exception as error:
        raise CouldNotLook(failure_of(error).line) from error
    if json:
        _write_json(found, waiting)
        return FAILED if found else 0
    console = terminal.console()
    for within, findings in ((False, found), (True, waiting)):
        for id, of_platform in groupby(findings, key=lambda finding: finding.platform):
            title = names.get(id, id) if id else "The processes"
            console.print(findings_table(f"{title}, within its limit" if within else title, list(of_platform)))
    if not found:
        looked_at = terminal.counted(len(names), "platform")
        console.print(Text(f"All is well: nothing waits longer than it should ({looked_at}).", "green"))
    return FAILED if found else 0


def retry(request: str, /, *, platform: PlatformName = None, data: Data = None) -> None:
    """Have a request to the provider tried again at once that was given up, waits, or is an abandoned transfer.

    It is looked up at the provider first, and sent under a new key only where it was refused for certain.

    Example: marketbill doctor retry int_01jd8x0q4mf0v9k2s7c3b6n1ra

    Parameters
    ----------
    request
        Id of the request (int_...), as `marketbill doctor` tells it.
    """
    asyncio.run(_intervene(request, None, platform, data))
    print(f"{request} is tried again now.")


def abandon(
    request: str,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why; it is kept with the request.")],
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """End a request to the provider for good, after the provider was asked that it was never done.

    The money of a transfer stays payable to the seller, and `marketbill doctor retry` takes the abandonment back. That
    of a payout goes back to the seller's balance; he is paid by a new payout.

    Example: marketbill doctor abandon int_01jd8x0q4mf0v9k2s7c3b6n1ra --reason "the seller closed his account"

    Parameters
    ----------
    request
        Id of the request (int_...), as `marketbill doctor` tells it.
    """
    became = asyncio.run(_intervene(request, reason, platform, data))
    print(f"{request} is abandoned{became}")


def replay(event: str, /, *, platform: PlatformName = None, data: Data = None) -> None:
    """Have an event of the provider handled again that was parked or keeps failing.

    A worker does it within seconds; look again with `marketbill doctor`. Events that were handled stay as they are.

    Example: marketbill doctor replay evt_1QAbCdEf

    Parameters
    ----------
    event
        The provider's id of the event.
    """
    asyncio.run(_replay(event, platform, data))
    print(f"{event} will be handled within seconds: look again with `marketbill doctor`.")


def dismiss(
    event: str,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why; it is kept with the event.")],
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """End an event of the provider that can never be handled: parked, or failing again and again.

    It has no effect and is told of no more. Who dismissed it, when and why are kept as long as handled events are.

    Example: marketbill doctor dismiss evt_1QAbCdEf --reason "its object is a charge"

    Parameters
    ----------
    event
        The provider's id of the event.
    """
    asyncio.run(_dismiss(event, reason, platform, data))
    print(f"{event} is dismissed.")


def findings_table(title: str, findings: "Sequence[Finding]") -> Table:
    """What is late on one platform."""
    table = Table(title=title, title_justify="left")
    for heading in ("what", "id", "since (UTC)", "limit", "tried", "why", "what to do"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("limit", "tried") else "left")
    for one in findings:
        table.add_row(
            one.what,
            one.id or "",
            f"{one.since:%Y-%m-%d %H:%M}" if one.since else "",
            _span(int(one.limit.total_seconds())),
            "" if one.attempts is None else f"{one.attempts}",
            one.why or "",
            one.to_do,
        )
    return table


async def _examine(
    named: str | None, everything: bool, data: Path | None
) -> "tuple[list[Finding], list[Finding], dict[str, str]]":
    """What is late, what waits within its limit, and the names of the platforms that were looked at."""
    from marketbill.health.examination import examine
    from marketbill.health.processes import Part, schema_finding
    from marketbill.ids import public_id

    async with joined(data) as services:
        schema = await schema_finding(services.db)
        if schema is not None:
            return [schema], [], {}
        chosen = await _chosen(services, named)
        ids = [id for id, _ in chosen] if named else None
        found = [*await _provider_clock(services), *await examine(services.db, ids)]
        # The processes come first, whoever found it.
        found.sort(key=lambda finding: finding.platform is not None)
        late = {(one.platform, one.id) for one in found if one.id}
        waiting = await examine(services.db, ids, everything=True) if everything else []
        parts = set(Part)
        rest = [one for one in waiting if (one.platform, one.id) not in late and one.kind not in parts]
        return found, rest, {public_id("platform", id): name for id, name in chosen}


async def _provider_clock(services: "Services") -> "list[Finding]":
    """Whether the sandbox, where there is one, is there and lives at our time."""
    from datetime import UTC, datetime, timedelta

    from marketbill.demo.sandbox import SandboxControl, SandboxUnreachable
    from marketbill.health.findings import Finding
    from marketbill.health.processes import Part, clocks

    url = services.settings.provider_base_url
    if url is None:
        return []
    try:
        async with SandboxControl(url) as control:
            theirs = datetime.fromtimestamp((await control.time()).now, UTC)
    except SandboxUnreachable as away:
        return [Finding(Part.PROVIDER_AWAY, str(away), None, timedelta(0), "start `marketbill sandbox`")]
    async with services.db.system() as scope:
        return clocks("the sandbox", scope.now - theirs)


async def _intervene(request: str, reason: str | None, named: str | None, data: Path | None) -> str:
    """Retries a request, or abandons it where there is a reason; what became of its money. Raises what refuses it."""
    from marketbill.errors import NotFound
    from marketbill.interventions import provider_intent as interventions

    async with joined(data) as services:
        for platform, _ in await _chosen(services, named):
            with suppress(NotFound):
                if reason is None:
                    await interventions.retry(services, platform, id=request, by=BY)
                    return "."
                abandoned = await interventions.abandon(services, platform, id=request, reason=reason, by=BY)
                return await _became(services, platform, request, abandoned)
    raise CommandRefused(f"no request to the provider is called {request!r}: `marketbill doctor --all` lists them")


async def _became(services: "Services", platform: "PlatformId", request: str, abandoned: "Intent") -> str:
    """The rest of the sentence: where the money is now, and how to take it back."""
    from sqlalchemy import select

    from marketbill.money import decimal_text
    from marketbill.payouts.model import payout, transfer
    from marketbill.provider.kinds import CREATE_PAYOUT, CREATE_TRANSFER
    from marketbill.sellers.model import seller

    if abandoned.kind not in (CREATE_TRANSFER, CREATE_PAYOUT):
        return "."
    moved = transfer if abandoned.kind == CREATE_TRANSFER else payout
    own = (seller.c.platform_id == moved.c.platform_id) & (seller.c.id == moved.c.seller_id)
    wanted = select(moved.c.amount, moved.c.currency, seller.c.name).join(seller, own)
    async with services.db.read(platform) as scope:
        row = await scope.one(wanted.where(moved.c.platform_id == platform, moved.c.id == abandoned.subject_id))
    name, money = row.name, f"{decimal_text(row.amount, row.currency)} {row.currency}"
    if abandoned.kind == CREATE_TRANSFER:
        return f": {money} stay payable to {name}; `marketbill doctor retry {request}` takes it back."
    return f": {money} are back in the balance of {name}, who is paid by a new payout."


async def _replay(event: str, named: str | None, data: Path | None) -> None:
    from marketbill.webhooks.replay import replay as handle_again

    async with joined(data) as services:
        for platform, _ in await _chosen(services, named):
            async with services.db.write(platform) as scope:
                if await handle_again(scope, event):
                    return
    raise CommandRefused(f"no event that waits is called {event!r}: `marketbill doctor --all` lists those that do")


async def _dismiss(event: str, reason: str, named: str | None, data: Path | None) -> None:
    from marketbill.webhooks.replay import dismiss as end

    async with joined(data) as services:
        for platform, _ in await _chosen(services, named):
            async with services.db.write(platform) as scope:
                if await end(scope, event, by=BY, reason=reason):
                    return
    raise CommandRefused(f"no event that failed is called {event!r}: `marketbill doctor --all` lists those that did")


async def _chosen(services: "Services", platform: str | None) -> "list[tuple[PlatformId, str]]":
    return [await platform_named(services, platform)] if platform else await platforms(services)


def _write_json(found: "Sequence[Finding]", waiting: "Sequence[Finding]") -> None:
    import orjson

    document = {
        "healthy": not found,
        "findings": [one.as_json() for one in found],
        "waiting": [one.as_json() for one in waiting],
    }
    print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def _span(seconds: int) -> str:
    """`10 min`, `3 d`; nothing for no time at all."""
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds and seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s" if seconds else "none"
