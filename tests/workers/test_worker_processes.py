"""Worker and relay as the operating system sees them: they work, they stop when asked, they may be killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis
from sqlalchemy import text
from tests.brokers.queues import Queue

from marketbill.db import Database
from marketbill.events import outbox
from marketbill.idempotency import keys
from marketbill.ids import NO_PLATFORM, PlatformId
from marketbill_workers.broker import build_broker

_HERE = Path(__file__).parent
_OPTIONS = ("-p", "1", "-t", "2", "--worker-shutdown-timeout", "20000", "--path", str(_HERE))
WORKER = ("-m", "dramatiq", "own_queue:set_up", *_OPTIONS)
RELAY = (str(_HERE / "own_queue.py"),)
SLOW_WORKER = ("-m", "dramatiq", "slow_worker:set_up", *_OPTIONS)

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts a process of this test; its output is printed when the test fails."""
    running: list[subprocess.Popen[bytes]] = []
    log = tmp_path / "processes.log"

    def start(*arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **options,
            )
        running.append(process)
        return process

    yield start
    for process in running:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
    print(log.read_text())


def slow_message(environment: dict[str, str]) -> "dramatiq.Message[Any]":
    queue = environment["TEST_QUEUE"]
    return dramatiq.Message(queue_name=queue, actor_name="slow", args=(), kwargs={}, options={})


def until(condition: Callable[[], object], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


async def test_a_job_goes_from_the_outbox_through_relay_and_worker_and_both_stop_when_asked(
    db: Database, platform: PlatformId, start: Start
) -> None:
    async with db.write(platform) as scope:
        scope.now -= timedelta(days=3)
        await keys.claim(scope, actor="a", operation="o", key="old", body={})
    async with db.system() as scope:
        await outbox.enqueue_for(scope, [(NO_PLATFORM, "prune", ())])

    worker, relay = start(*WORKER), start(*RELAY)
    count = text("select count(*) from idempotency_key")
    left = 1
    async with asyncio.timeout(60):
        while left:
            async with db.system() as scope:
                left = await scope.connection.scalar(count)

    for process in (worker, relay):
        process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(relay.wait, 15) == 0
    assert await asyncio.to_thread(worker.wait, 30) == 0


def test_what_a_killed_worker_held_is_done_by_another(environment: dict[str, str], queue: Queue, start: Start) -> None:
    client = redis.Redis.from_url(environment["SIGNS_URL"])
    broker = build_broker(environment["BROKER_URL"])
    broker.enqueue(slow_message(environment))

    first = start(*SLOW_WORKER)
    until(lambda: client.llen("began") == 1)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(timeout=10)
    assert client.llen("ended") == 0

    start(*SLOW_WORKER)
    until(lambda: client.llen("began") == 2)
    client.set("may_end", 1)
    until(lambda: client.llen("ended") == 1)
    until(lambda: not queue.messages())
    assert len({*client.lrange("began", 0, -1)}) == 2  # pyright: ignore[reportGeneralTypeIssues]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the guard of whoever started them ends them")
def test_no_worker_process_outlives_its_killed_parent(environment: dict[str, str], start: Start) -> None:
    client = redis.Redis.from_url(environment["SIGNS_URL"])
    broker = build_broker(environment["BROKER_URL"])
    broker.enqueue(slow_message(environment))
    client.set("may_end", 1)
    parent = start(*SLOW_WORKER)
    until(lambda: client.llen("ended") == 1)
    family = children(parent.pid)
    assert family
    parent.kill()
    parent.wait(timeout=10)
    until(lambda: not any(map(alive, family)), seconds=30)


def test_a_worker_whose_whole_group_is_asked_to_stop_ends_in_order(environment: dict[str, str], start: Start) -> None:
    client = redis.Redis.from_url(environment["SIGNS_URL"])
    broker = build_broker(environment["BROKER_URL"])
    broker.enqueue(slow_message(environment))
    worker = start(*SLOW_WORKER)
    until(lambda: client.llen("began") == 1)
    os.killpg(worker.pid, signal.SIGTERM)  # the parent passes on its own, so each process gets two
    client.set("may_end", 1)
    assert worker.wait(timeout=30) == 0
    assert client.llen("ended") == 1
