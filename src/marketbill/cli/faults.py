"""`marketbill sandbox fault`: trouble on request, at the door of the provider and on the way of its events."""

import asyncio
import math
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.table import Table

from marketbill.cli import terminal
from marketbill.cli.failure import CommandRefused, WrongUse, refuse_with_stripe

if TYPE_CHECKING:
    from marketbill.demo.sandbox import SandboxControl

_HELP = """Make trouble in the sandbox, to see that no money moves twice and none is lost.

The next transfer is made, but its answer is lost:
  marketbill sandbox fault add cut_after --on "POST /v1/transfers"
One request in twenty fails though it was executed, until it is cleared:
  marketbill sandbox fault add error_after --rate 0.05
The next event of a payout comes an hour late, by the sandbox's clock:
  marketbill sandbox fault add webhook_delay --on "payout.*" --seconds 3600
What is set and what has struck, and the end of it all:
  marketbill sandbox fault list
  marketbill sandbox fault clear

Example: marketbill sandbox fault seed 7 (the same seed and requests meet the same faults)
"""

_ID = re.compile(r"fault_[0-9]{1,18}")
#: What the sandbox keeps of a seed.
_SEED_MAX = 2**63 - 1
Data = Annotated[Path | None, Parameter(help="Data folder of the running machine.")]


def program() -> App:
    app = App(name="fault", help=_HELP, help_format="plaintext")
    app.command(add, name="add")
    app.command(show, name="list")
    app.command(clear, name="clear")
    app.command(seed, name="seed")
    return app


def add(
    kind: str,
    /,
    *,
    on: Annotated[
        str | None,
        Parameter(help='"POST /v1/transfers" (* for any one step), or an event type or "payout.*"; without it: all.'),
    ] = None,
    next: Annotated[
        int | None, Parameter(help="Strike the next so many, then be gone; without --rate it is 1.")
    ] = None,
    rate: Annotated[float | None, Parameter(help="Strike each with this chance, 0 to 1, until it is cleared.")] = None,
    seconds: Annotated[
        float | None, Parameter(help="How long, for slow (real time), error_late, webhook_delay and webhook_reorder.")
    ] = None,
    reason: Annotated[
        str | None, Parameter(help="What a rate_limit says: global-rate, endpoint-rate, global-concurrency, ...")
    ] = None,
    data: Data = None,
) -> None:
    """Set a fault.

    At the door of the provider:
      error_before, error_after  500, with nothing executed or all of it
      error_late                 500, executed --seconds later, by the sandbox's clock
      cut_before, cut_after      the connection breaks, before or after execution
      slow                       executed, answered after --seconds
      malformed, missing_fields  executed, the answer is no JSON or lacks its fields
      in_flight                  409, the idempotency key is in use
      rate_limit, lock_timeout   429, with nothing executed

    On the way of events:
      webhook_drop               never sent
      webhook_duplicate          sent twice; webhook_duplicate_new_id: as two events
      webhook_delay              sent --seconds later, by the sandbox's clock
      webhook_reorder            sent after a later one, or --seconds later
      webhook_old_secret         signed with the endpoint's old secret

    Refused when STRIPE_SECRET_KEY is set.

    Example: marketbill sandbox fault add error_after --on "POST /v1/transfers" --next 2

    Parameters
    ----------
    kind
        What happens, such as cut_after.
    """
    for option, number in (("--rate", rate), ("--seconds", seconds)):
        if number is not None and not math.isfinite(number):
            raise WrongUse(f"{option} is {number}: write a number, such as 0.5")
    asked = {"kind": kind, "on": on, "next": next, "rate": rate, "seconds": seconds, "reason": reason}
    fault = asyncio.run(_add({name: value for name, value in asked.items() if value is not None}, data))
    print(f"{fault['id']}: {_what(fault)}")


def show(*, data: Data = None) -> None:
    """List the faults that are set, and how many times each kind has struck.

    Example: marketbill sandbox fault list
    """
    listed = asyncio.run(_list(data))
    console = terminal.console()
    if listed["faults"]:
        console.print(fault_table(listed["faults"]))
    else:
        console.print("No fault is set.")
    if listed["survived"]:
        table = Table("kind", title="Struck so far", title_justify="left")
        table.add_column("times", justify="right")
        for kind, times in listed["survived"].items():
            table.add_row(kind, f"{times:,}")
        console.print(table)
    console.print(f"Seed: {listed['seed']}")


def clear(id: str | None = None, /, *, data: Data = None) -> None:
    """Take one fault away, or all of them. What they have done stays counted.

    Example: marketbill sandbox fault clear fault_3

    Parameters
    ----------
    id
        Which one, as `fault list` shows it; without it, all.
    """
    gone = asyncio.run(_clear(id, data))
    print(f"{id} is taken away." if id else f"{terminal.counted(gone, 'fault')} taken away.")


def seed(number: int, /, *, data: Data = None) -> None:
    """Begin the sequence of chances anew: the same seed and the same requests meet the same faults.

    Example: marketbill sandbox fault seed 7

    Parameters
    ----------
    number
        Any whole number from 0 to 2^63 - 1.
    """
    if not 0 <= number <= _SEED_MAX:
        raise WrongUse(f"the seed must be from 0 to 2^63 - 1 ({_SEED_MAX})")
    asyncio.run(_seed(number, data))
    print(f"Chances begin anew from seed {number}.")


def fault_table(faults: list[dict[str, Any]]) -> Table:
    """The faults that are set."""
    table = Table(title="Faults", title_justify="left")
    for heading in ("id", "kind", "on", "strikes", "struck"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "struck" else "left")
    for fault in faults:
        table.add_row(fault["id"], fault["kind"], _where(fault), _when(fault), f"{fault['hits']:,}")
    return table


def _what(fault: dict[str, Any]) -> str:
    return f"{fault['kind']} on {_where(fault)}, {_when(fault)}"


def _where(fault: dict[str, Any]) -> str:
    return fault["on"] or ("every event" if fault["kind"].startswith("webhook_") else "every request")


def _when(fault: dict[str, Any]) -> str:
    chance = fault["rate"]
    words = [f"the next {fault['next']:,}" if chance is None else f"each with a chance of {chance:.4g}"]
    if fault["seconds"] is not None:
        words.append(f"{fault['seconds']:g} s")
    if fault["reason"] is not None:
        words.append(fault["reason"])
    return ", ".join(words)


async def _add(fault: dict[str, Any], data: Path | None) -> dict[str, Any]:
    async with _control(data) as control:
        return await control.add_fault(fault)


async def _list(data: Path | None) -> dict[str, Any]:
    async with _control(data) as control:
        return await control.faults()


async def _clear(id: str | None, data: Path | None) -> int:
    async with _control(data) as control:
        if id is None:
            return await control.clear_faults()
        if not _ID.fullmatch(id):
            raise WrongUse(f"no such fault: {id[:40]!r} (`fault list` shows those there are)")
        await control.remove_fault(id)
        return 1


async def _seed(number: int, data: Path | None) -> None:
    async with _control(data) as control:
        await control.seed_faults(number)


@asynccontextmanager
async def _control(data: Path | None) -> "AsyncGenerator[SandboxControl]":
    """The sandbox of SANDBOX_URL, or of the running machine. What it refuses was called wrongly."""
    refuse_with_stripe("no fault can be set in it")
    from marketbill.demo.sandbox import SandboxControl, SandboxRefused

    url = os.environ.get("SANDBOX_URL") if data is None else None
    if not url:
        from marketbill.cli.joining import join

        url = join(data).provider_base_url
    if url is None:
        raise CommandRefused("there is no sandbox: set SANDBOX_URL, or use the one of `marketbill up`")
    async with SandboxControl(url) as control:
        try:
            yield control
        except SandboxRefused as refused:
            named = refused.field is None or refused.field in refused.reason
            raise WrongUse(refused.reason if named else f"{refused.field}: {refused.reason}") from None
