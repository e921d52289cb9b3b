"""`marketbill sandbox`, `marketbill sandbox clock advance`; `marketbill sandbox fault` is in `faults`."""

import asyncio
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from marketbill.cli import faults
from marketbill.cli.failure import CommandRefused, WrongUse, refuse_with_stripe

_SHIFT = re.compile(r"(\d+)([smhdw])", re.ASCII)
#: Longer numbers are too far in any unit.
_DIGITS_MAX = 12
_SHIFT_MAX = timedelta(days=731)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

_HELP = """Serve the sandbox provider, move its clock, or make trouble in it.

The sandbox is a payment provider that speaks Stripe's wire and moves no real money. Point marketbill to it with
SANDBOX_URL. Refuses to run when STRIPE_SECRET_KEY is set.

Example: marketbill sandbox --port 8001 --state sandbox.db
Example: marketbill sandbox clock advance 3d
Example: marketbill sandbox fault add cut_after --on "POST /v1/transfers"
"""


def __getattr__(name: str) -> App:
    # Made anew for each use: where it is only listed, it is given a shorter help.
    if name != "sandbox":
        raise AttributeError(name)
    app = App(name="sandbox", help=_HELP, help_format="plaintext")
    clock = App(name="clock", help="The sandbox's clock.")
    app.command(clock)
    clock.command(advance)
    app.command(faults.program())
    app.default(serve_sandbox)
    return app


def serve_sandbox(
    *,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port; 0 takes any free one.")] = 8001,
    state: Annotated[
        Path | None, Parameter(help="File that keeps its state; without one it forgets all at its end.")
    ] = None,
) -> None:
    """Serve the sandbox until it is asked to stop."""
    refuse_with_stripe("the sandbox does not run")
    from marketbill.cli.programs import listen, serve
    from marketbill.sandbox.app import create_app

    listening = listen(host, port)
    address, actual = listening.getsockname()[:2]
    app = create_app(state, base_url=f"http://{address}:{actual}")
    serve(app, listening, log_level=os.environ.get("LOG_LEVEL", "INFO"))


def advance(
    shift: str,
    /,
    *,
    data: Annotated[Path | None, Parameter(help="Data folder of the running machine.")] = None,
) -> None:
    """Move the sandbox's time, and marketbill's with it: funds become available, holds end, payouts arrive.

    Time never goes back. Refused when STRIPE_SECRET_KEY is set.

    Example: marketbill sandbox clock advance 3d (s, m, h, d and w are units; 1d12h is one and a half days)

    Parameters
    ----------
    shift
        How far, such as 3d or 12h.
    """
    refuse_with_stripe("its clock cannot be moved")
    by = shift_of(shift)
    from marketbill.cli.joining import joined
    from marketbill.demo.clock import advance_clock
    from marketbill.demo.sandbox import SandboxControl

    async def move() -> str:
        async with joined(data) as services:
            if services.settings.provider_base_url is None:
                raise CommandRefused("there is no sandbox: set SANDBOX_URL, or use the one of `marketbill up`")
            async with SandboxControl(services.settings.provider_base_url) as control:
                now = await advance_clock(services.db, control, by)
            return f"It is now {now:%Y-%m-%d %H:%M:%S} UTC in the sandbox and in marketbill."

    print(asyncio.run(move()))


def shift_of(text: str) -> timedelta:
    """How far `3d` or `1d12h` is. Raises WrongUse."""
    parts = _SHIFT.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise WrongUse(f"{text!r} is not a span of time: write 3d, 12h, 90m or 1d12h")
    far = any(len(number) > _DIGITS_MAX for number, _ in parts)
    seconds = 0 if far else sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if not 0 < seconds <= _SHIFT_MAX.total_seconds():
        raise WrongUse(f"{text[:40]!r} is out of range: the clock moves forward, by at most two years at once")
    return timedelta(seconds=seconds)
