"""Machines to start and kill."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marketbill.embedded.process import is_alive

_OWNER = Path(__file__).with_name("owner.py")


def wait_until(true: Callable[[], object], *, within_s: float = 30.0) -> None:
    """Poll until the condition holds; fail when it does not within the deadline."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not true within {within_s} seconds: {true}"
        time.sleep(0.02)


class Owner:
    """A process that owns a machine in `data`."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.socket_folders: list[str] = []
        self.popen = subprocess.Popen(
            [sys.executable, str(_OWNER), str(data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def ready(self) -> dict[str, int]:
        """Wait until everything is healthy; the process ids by name."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            assert self.popen.stderr is not None
            pytest.fail(f"the machine did not start: {self.popen.stderr.read()}")
        ready = json.loads(line)
        self.socket_folders = ready["socket_folders"]
        return ready["processes"]

    def family(self) -> list[int]:
        """The worker's own process id and its child's."""
        log = self.data / "logs" / "worker.log"
        wait_until(lambda: log.exists() and len(log.read_text().split()) >= 2)
        return [int(pid) for pid in log.read_text().split()[-2:]]

    def descendants(self) -> list[int]:
        """Every process below the owner, the watchman included."""
        shown = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        parents = dict(tuple(map(int, line.split())) for line in shown.splitlines())
        found = {self.popen.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found - {self.popen.pid})

    def end(self, number: int) -> int:
        """Send a signal to the owner and wait for its exit code."""
        self.popen.send_signal(number)
        self.popen.communicate(timeout=40)
        return self.popen.returncode


@pytest.fixture
def start_owner() -> Iterator[Callable[..., Owner]]:
    owners: list[Owner] = []

    def start(data: Path, **environment: str) -> Owner:
        owners.append(Owner(data, **environment))
        return owners[-1]

    yield start
    for owner in owners:
        if owner.popen.poll() is None:
            owner.popen.kill()
        owner.popen.communicate()
        for folder in owner.socket_folders:  # a killed owner leaves them for the next one
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def expect_gone() -> Callable[[list[int]], None]:
    def expect(pids: list[int]) -> None:
        assert pids
        wait_until(lambda: not [pid for pid in pids if is_alive(pid)])

    return expect


@pytest.fixture
def eventually() -> Callable[..., None]:
    return wait_until
