"""What the operator's commands share: who is at the terminal, whose books, and how instants are written."""

import os
import pwd
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter

from marketbill.cli.failure import WrongUse
from marketbill.cli.joining import joined, platform_named

if TYPE_CHECKING:
    from marketbill.db import ReadScope, WriteScope

Data = Annotated[Path | None, Parameter(help="Data folder of the running machine.")]
PlatformName = Annotated[str | None, Parameter(help="Name or id of the platform; default: the only one.")]
Reason = Annotated[str, Parameter(help="Why; it is kept.")]

T = TypeVar("T")


def person() -> str:
    """Who is at the terminal, as it is kept: `terminal:anna`, by the user that the system knows, not the one told."""
    user = os.geteuid()
    try:
        return f"terminal:{pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"terminal:{user}"


def instant(text: str) -> datetime:
    """`2026-11-01` is the beginning of that day in UTC; or RFC 3339 with a time zone. Raises WrongUse."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is not None and len(text) == len("2026-11-01"):
        return at.replace(tzinfo=UTC)
    if at is None or at.tzinfo is None:
        raise WrongUse(f"{text!r} is no instant: write 2026-11-01 (its beginning, UTC) or 2026-11-01T09:30:00Z")
    return at


async def writing(
    platform: str | None, data: Path | None, work: "Callable[[WriteScope], Awaitable[T]]"
) -> "tuple[str, T]":
    """What `work` gives, in one transaction of the platform; and the platform's name."""
    async with joined(data) as services:
        id, name = await platform_named(services, platform)
        async with services.db.write(id) as scope:
            return name, await work(scope)


async def reading(
    platform: str | None, data: Path | None, work: "Callable[[ReadScope], Awaitable[T]]"
) -> "tuple[str, T]":
    """As `writing`, without a change."""
    async with joined(data) as services:
        id, name = await platform_named(services, platform)
        async with services.db.read(id) as scope:
            return name, await work(scope)
