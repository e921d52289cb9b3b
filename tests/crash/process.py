"""The processes of the crash tests: the API, the relay and the worker, each the product's own program.

They are forked from a server that has everything imported, so a process is there in some tens of milliseconds.
"""

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import dramatiq
import dramatiq.worker
from tests.crash.boundaries import JobPoints, Points

from marketbill.cli import programs
from marketbill.config import Settings, settings
from marketbill.ids import PlatformId
from marketbill.services import Services
from marketbill_graphql.app import create_app
from marketbill_graphql.schema import build_schema
from marketbill_workers import broker, jobs, main, relay

ROLES = ("api", "relay", "worker")
_PR_SET_PDEATHSIG = 1
#: How soon what a killed worker held is given to the next one; in production it is 15 seconds.
_HEARTBEAT_TIMEOUT_MS = 100
_ALWAYS = 1_000_000

build_schema()
# A forked process shares these objects' memory for as long as nobody looks through them.
gc.freeze()


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is and does: `kill` is the point at whose `turn`-th reaching it dies."""

    role: str
    environment: dict[str, str]
    folder: Path
    namespace: str
    kill: str | None = None
    turn: int = 1


def run(order: Order, listening: socket.socket, owner: Connection) -> None:
    """The life of a process. It ends when it is killed, or when the test that owns it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
    output = os.open(order.folder / f"{order.role}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(order.environment)
    settings.cache_clear()
    gc.disable()  # its life is short
    points = Points(order.folder, order.kill, order.turn)
    points.note(f"START {order.role}")
    points.install()
    # The broker's names are this test's own, and whoever waits is prompt.
    broker.NAMESPACE = order.namespace
    broker.QUEUE = jobs.QUEUE = relay.QUEUE = order.namespace
    broker.IDLE_POLL_MS = 5
    broker.HEARTBEAT_TIMEOUT_MS = _HEARTBEAT_TIMEOUT_MS
    broker.MAINTENANCE_CHANCE = _ALWAYS
    dramatiq.worker.QUEUE_PREFETCH = 1  # what waits is seen to wait, over RabbitMQ too
    relay.BUSY_SECONDS = relay.IDLE_SECONDS = 0.015
    relay.TICK_SECONDS = 0.05
    {"api": _api, "relay": _relay, "worker": _worker}[order.role](points, listening)


def _api(points: Points, listening: socket.socket) -> None:
    app = create_app(Services.create(settings(), application="marketbill-api"))
    programs.serve(points.around(app), listening, log_level="warning")


def _relay(_points: Points, _listening: socket.socket) -> None:
    relay.run(settings())


def _worker(points: Points, _listening: socket.socket) -> None:
    made = main.set_up()
    made.add_middleware(JobPoints(points))
    made.emit_after("process_boot")
    dramatiq.Worker(made, worker_timeout=5, worker_threads=2).start()
    threading.Event().wait()


def work_at_once(job: str, platform: PlatformId, fields: dict[str, str], ready: Any) -> None:
    """One run of a job, begun when all the processes that share `ready` are there."""

    async def work() -> None:
        services = Services.create(Settings.model_validate(fields))
        async with services.db.read(platform):  # connected already, so that all begin in the same moment
            ready.wait()
        await jobs.PLATFORM_JOBS[job](services, platform)
        await services.close()

    asyncio.run(work())


def _end_with(owner: Connection) -> None:
    try:
        owner.recv()
    except (EOFError, OSError):
        os._exit(0)
