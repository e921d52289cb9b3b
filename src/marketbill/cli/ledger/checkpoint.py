"""`marketbill ledger checkpoint`."""

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from marketbill.cli import terminal
from marketbill.cli.failure import CommandRefused, WrongUse
from marketbill.cli.joining import joined, platform_named
from marketbill.cli.walk import Walk

if TYPE_CHECKING:
    from marketbill.ledger.audit.finding import Finding


def checkpoint(
    *,
    output: Annotated[Path | None, Parameter(name=("-o", "--output"), help="File; default: standard output.")] = None,
    public_key: Annotated[bool, Parameter(help="Print the platform's public key (PEM) instead.", negative="")] = False,
    check: Annotated[Path | None, Parameter(help="A checkpoint taken earlier: prove that the books still hold it.")] = (
        None
    ),
    key: Annotated[
        Path | None, Parameter(help="With --check, the public key to trust (PEM); default: the platform's own.")
    ] = None,
    platform: Annotated[
        str | None, Parameter(help="Name or id of the platform; default: the only one, or the checkpoint's.")
    ] = None,
    data: Annotated[Path | None, Parameter(help="Data folder of the running machine.")] = None,
) -> int:
    """Take a signed checkpoint of the books, to be kept where nobody who can write the database can reach.

    With --check it replays the journal up to the checkpoint's entry and proves that the very history is still there;
    exits 1 and names what differs when it is not. How to check a checkpoint without marketbill is in docs/ledger.md.

    Example: marketbill ledger checkpoint -o 2026-11.json
    Example: marketbill ledger checkpoint --check 2026-11.json
    """
    if check is not None and (output is not None or public_key):
        raise WrongUse("--check stands alone: it writes no file and prints no key")
    if check is None and key is not None:
        raise WrongUse("--key is the key to trust with --check")
    if check is None:
        text = asyncio.run(_made(platform, data, only_key=public_key))
        if output is None:
            sys.stdout.write(text)
        else:
            output.write_text(text, encoding="utf-8")
        return 0
    console = terminal.console()
    trusted = None if key is None else key.read_text(encoding="utf-8", errors="replace")
    name, entries, findings = asyncio.run(_checked(_contents(check), trusted, platform, data, console))
    if findings:
        for finding in findings:
            console.print(f"{finding.subject}: signed {finding.expected}, found {finding.found}")
        raise CommandRefused(
            f"{name}: the books are not those of the checkpoint: {', '.join(f.subject for f in findings[:5])}"
        )
    console.print(
        f"{name}: the books hold the history of the checkpoint, {entries:,} entries, and its signature holds."
    )
    return 0


async def _made(platform: str | None, data: Path | None, *, only_key: bool) -> str:
    from marketbill.ledger.checkpoint import sign, signer_of

    async with joined(data) as services:
        id, _ = await platform_named(services, platform)
        signer = signer_of(services.vault, id)
        if only_key:
            return signer.public_key
        async with services.db.read(id) as scope:
            return (await sign(scope, signer)).document()


def _contents(file: Path) -> bytes:
    from marketbill.ledger.checkpoint import FILE_MAX

    with file.open("rb") as opened:
        return opened.read(FILE_MAX)


async def _checked(
    document: bytes, trusted: str | None, platform: str | None, data: Path | None, console: Console
) -> "tuple[str, int, list[Finding]]":
    from marketbill.ledger.checkpoint import check, read_document, signer_of

    taken = read_document(document)
    async with joined(data) as services:
        id, name = await platform_named(services, platform or taken.body["platform"])
        with Walk(console, "Replaying", steps=1) as walk:
            walk.step(name, "journal")
            findings = await check(
                partial(services.db.read, id),
                taken,
                trusted_key=trusted or signer_of(services.vault, id).public_key,
                progress=walk.entries,
            )
        return name, taken.body["entries"], findings
