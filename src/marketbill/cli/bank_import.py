"""`marketbill bank-import`: what the bank answered to the files of payouts."""

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from marketbill.cli import terminal
from marketbill.cli.failure import CommandRefused
from marketbill.cli.joining import joined, platform_named
from marketbill.cli.ledger.operating import Data, PlatformName, person

if TYPE_CHECKING:
    from sqlalchemy import Row


def bank_import(
    file: Annotated[Path, Parameter(help="The file: pain.002 or camt.053 of ISO 20022.")],
    /,
    *,
    platform: PlatformName = None,
    data: Data = None,
) -> None:
    """Import what the bank answered to the files of payouts, as bankResultImport does, of up to 20 MB.

    A file is imported whole or not at all: when something in it does not match what was ordered, it is refused with
    what and where. The same file again changes nothing.

    Example: marketbill bank-import camt053-2026-11-23.xml
    """
    name, row = asyncio.run(_import(file, platform, data))
    told = row.outcome
    sums = ", ".join(f"{told[fate]} {fate.lower().replace('_', ' ')}" for fate in sorted(told) if fate.isupper())
    text = f"{name}: {row.message_id} tells of {told['orders']} payouts{f' ({sums})' if sums else ''}"
    terminal.console().print(Text(f"{text}; {told['others']} others passed over."))


async def _import(file: Path, platform: str | None, data: Path | None) -> "tuple[str, Row[Any]]":
    from marketbill.payouts.rails import answer, bank

    try:
        with file.open("rb") as opened:
            content = opened.read(answer.SIZE_MAX + 1)
    except OSError as error:
        raise CommandRefused(f"{file} cannot be read: {error.strerror}") from None
    told = answer.read(content)
    async with joined(data) as services:
        id, name = await platform_named(services, platform)
        async with services.db.write(id) as scope:
            digest = hashlib.sha256(content).digest()
            return name, await bank.imported(services, scope, told, digest, by=person())
