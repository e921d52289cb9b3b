"""The chain as a file: for every entry its hash and the very bytes that it seals, to be checked with any tool.

A line is the entry's hash in hex, a tab, and its canonical line (`chain.entry_line`), which ends the line. The hash is
SHA-256 over the 32 bytes of the hash before (32 zero bytes before the first) and the canonical line with its newline.
"""

from collections.abc import AsyncGenerator
from uuid import UUID

from marketbill.ids import public_id
from marketbill.ledger.audit.finding import Findings
from marketbill.ledger.audit.history import History, Progress, Read
from marketbill.ledger.audit.sealing import sealed_line
from marketbill.ledger.audit.snapshot import take


async def chain_lines(read: Read, *, progress: Progress = lambda done, total: None) -> AsyncGenerator[bytes]:
    """The file, in parts. The lines are made of what is stored and believe none of it: they are there to be checked."""
    async with read() as scope:
        snapshot = await take(scope, Findings())
    last = snapshot.head.entries if snapshot.head else 0
    codes = {id: account.code for id, account in snapshot.accounts.items()}

    def code(id: UUID) -> str:
        return codes.get(id) or public_id("ledger account", id)

    async for page in History(read, last=last).pages():
        part: list[bytes] = []
        for entry, postings, _ in page:
            facts = [
                (code(debit), code(credit), amount, currency)
                for _, _, debit, credit, amount, _, _, _, currency, *_ in postings
            ]
            part.append(entry.hash.hex().encode() + b"\t" + sealed_line(entry, facts))
        yield b"".join(part)
        progress(page[-1].entry.number, last)
