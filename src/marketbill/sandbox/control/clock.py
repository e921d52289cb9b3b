"""The sandbox's clock: read it, move it forward."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from starlette.routing import Route

from marketbill.sandbox.clock import ADVANCE_SECONDS_MAX
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.wire import Doc, invalid

_CLOCK = compile_table("advance_seconds:i to")


def routes(plane: Plane) -> list[Route]:
    return [plane.route("clock", "GET", clock), plane.route("clock", "POST", move, _CLOCK)]


def clock(ask: Ask) -> Doc:
    now = ask.desk.clock.now()
    return {
        "now": now,
        "iso": datetime.fromtimestamp(now, UTC).isoformat(),
        "offset_seconds": ask.desk.clock.offset,
        "next_due": ask.desk.schedule.next_at,
    }


async def move(ask: Ask) -> Doc:
    """Move time forward, doing on the way everything that falls due, in order.

    Time comes along in steps, and others are served between them: a long way does not hold them up.
    """
    desk, params = ask.desk, ask.params
    if ("advance_seconds" in params) == ("to" in params):
        raise invalid("Give either `advance_seconds` or `to`.", param="advance_seconds")
    seconds = params.get("advance_seconds")
    if seconds is None:
        seconds = _moment(params["to"]) - desk.clock.now()
    if not 0 <= seconds <= ADVANCE_SECONDS_MAX:
        raise invalid(
            f"The clock moves forward only, by at most {ADVANCE_SECONDS_MAX} seconds at a time.",
            param="advance_seconds",
        )
    target = desk.clock.now() + seconds
    arrived = False
    while not arrived:
        desk.schedule.run(target)
        next_at = desk.schedule.next_at
        arrived = next_at is None or next_at > target
        reached = target if arrived or next_at is None else next_at
        with desk.store.transaction():
            desk.clock.advance(max(0, reached - desk.clock.now()))
        ask.line.execute_late()
        desk.wake.set()
        await desk.store.committed()
        # A commit that was done already takes no turn.
        await asyncio.sleep(0)
    return clock(ask)


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"Invalid time: {text}", param="to") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
