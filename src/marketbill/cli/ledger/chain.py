"""`marketbill ledger chain`."""

import asyncio
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from marketbill.cli.joining import joined, platform_named


def chain(
    *,
    output: Annotated[Path | None, Parameter(name=("-o", "--output"), help="File; default: standard output.")] = None,
    platform: Annotated[str | None, Parameter(help="Name or id of the platform; default: the only one.")] = None,
    data: Annotated[Path | None, Parameter(help="Data folder of the running machine.")] = None,
) -> None:
    """Write every entry's hash and the bytes that it seals, for an auditor to check with tools of his own.

    Each line is a hash, a tab and the entry's canonical line. The hash is SHA-256 over the hash before (32 zero bytes
    before the first) and the canonical line with its newline; docs/ledger.md checks it in four lines of Python.

    Example: marketbill ledger chain -o books.chain
    """
    asyncio.run(_write(output, platform, data))


async def _write(output: Path | None, platform: str | None, data: Path | None) -> None:
    from marketbill.ledger.chain_file import chain_lines

    async with joined(data) as services:
        id, _ = await platform_named(services, platform)
        with ExitStack() as stack:
            file = sys.stdout.buffer if output is None else stack.enter_context(output.open("wb"))
            async for part in chain_lines(partial(services.db.read, id)):
                file.write(part)
