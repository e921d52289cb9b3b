"""One measured window: so many callers pay one after the other, each waiting for its answer, until the time is over."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Protocol, Self

import asyncpg

from race.market import POSTINGS, Payment
from race.server import Server, machine_cpu_seconds, wal_bytes


class Contestant(Protocol):
    """A ledger that books a payment; the answer comes when the payment is on disk."""

    async def pay(self, payment: Payment) -> None: ...


@dataclass(frozen=True, slots=True)
class Window:
    """What one window gave, or the medians of several. Latencies are of a whole payment, in milliseconds.

    `others_share` is the part of the machine's processors that went to neither client nor server.
    """

    postings_per_s: float
    p50_ms: float
    p99_ms: float
    postings_per_client_cpu_s: float
    postings_per_server_cpu_s: float
    wal_bytes_per_posting: float
    payments: float
    others_share: float

    @property
    def cpu_us_per_posting(self) -> float:
        """Processor time of client and server for one posting, in microseconds."""
        return 1e6 / self.postings_per_client_cpu_s + 1e6 / self.postings_per_server_cpu_s

    @classmethod
    def medians(cls, windows: Sequence[Self]) -> Self:
        return cls(*(median(getattr(window, field.name) for window in windows) for field in fields(cls)))


async def measure(
    contestant: Contestant,
    sales: Sequence[Payment],
    *,
    callers: int,
    seconds: float,
    server: Server,
    watcher: asyncpg.Connection,
) -> Window:
    """Runs one window; `sales` are taken in turn and begin anew when they are used up.

    The callers and the driver live in this process, whose processor time is the client's.
    """
    waited: list[float] = []
    clock, taken = time.perf_counter, 0

    async def caller() -> None:
        nonlocal taken
        while (asked := clock()) < end:
            sale = sales[taken % len(sales)]
            taken += 1
            await contestant.pay(sale)
            waited.append(clock() - asked)

    wal, all_cpu = await wal_bytes(watcher), machine_cpu_seconds()
    server_cpu, client_cpu = server.cpu_seconds(), time.process_time()
    begun = clock()
    end = begun + seconds
    await asyncio.gather(*(caller() for _ in range(callers)))
    took = clock() - begun
    client_cpu = time.process_time() - client_cpu
    server_cpu = server.cpu_seconds() - server_cpu
    others = max(0.0, machine_cpu_seconds() - all_cpu - client_cpu - server_cpu)
    wal = await wal_bytes(watcher) - wal
    waited.sort()
    postings = len(waited) * POSTINGS
    return Window(
        postings_per_s=postings / took,
        p50_ms=waited[len(waited) // 2] * 1000,
        p99_ms=waited[len(waited) * 99 // 100] * 1000,
        postings_per_client_cpu_s=postings / max(client_cpu, 0.01),
        postings_per_server_cpu_s=postings / max(server_cpu, 0.01),
        wal_bytes_per_posting=wal / postings,
        payments=len(waited),
        others_share=min(1.0, others / (took * (os.cpu_count() or 1))),
    )
