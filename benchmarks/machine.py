"""A temporary machine to measure on: the whole product, embedded, in a folder that is thrown away."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from rich.console import Console

from marketbill.embedded.stack import Stack

console = Console(width=132)
RESULTS = Path(__file__).parent / "results"


@contextmanager
def machine(**options: Any) -> Iterator[Stack]:
    """The stack on free ports, ended and removed afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="marketbill-bench-") as folder,
        Stack(Path(folder) / "data", api_port=0, sandbox_port=0, report=lambda _: None, **options) as stack,
    ):
        yield stack


async def admin(stack: Stack) -> asyncpg.Connection:
    """A connection to the machine's database as its owner."""
    return await asyncpg.connect(stack.environment["DATABASE_ADMIN_URL"].replace("+asyncpg", ""))


async def transfers_sent(connection: asyncpg.Connection) -> int:
    """How many transfers the provider has taken."""
    return await connection.fetchval("select count(*) from transfer where status = 'SENT'") or 0


async def drained(connection: asyncpg.Connection, *, sales: int, deadline_s: float = 120) -> None:
    """Waits until this many sales are transferred. Raises TimeoutError."""
    async with asyncio.timeout(deadline_s):
        while await transfers_sent(connection) < sales:
            await asyncio.sleep(0.05)


def resident_mib(pids: list[int]) -> float:
    """Proportional set size of these processes and all their descendants: shared pages are counted once."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    kib, todo, seen = 0, list(pids), set()
    while todo:
        pid = todo.pop()
        if pid in seen:
            continue
        seen.add(pid)
        todo += children.get(pid, [])
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kib / 1024


def save(name: str, figures: Any, *, folder: Path = RESULTS) -> None:
    """Keeps the figures as JSON, beside the benchmarks unless another folder is named."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    console.print(f"saved to {os.path.relpath(path)}")
