"""How other commands find the machine that runs in a data folder: `runtime.json`, readable by its owner only."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketbill.embedded.folder import FolderLock
from marketbill.embedded.keys import Keys, kept_keys, write_private
from marketbill.embedded.process import is_alive, program_of

_FILE = "runtime.json"
#: How long we wait for the processes of an owner that was killed; its watchman gives the slowest ten seconds.
_LEFTOVERS_S = 16.0


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A machine that runs: where it listens and which processes it is made of (name to process id)."""

    data: Path
    pid: int
    api_url: str
    sandbox_url: str | None
    database_url: str
    database_admin_url: str
    broker_url: str
    processes: Mapping[str, int]

    def environment(self) -> dict[str, str]:
        """The settings with which a command joins this machine, as environment variables."""
        return settings_of(self, kept_keys(self.data))


def settings_of(stack: RunningStack, keys: Keys) -> dict[str, str]:
    """What every program of the machine has in its environment."""
    settings = {
        "DATABASE_URL": stack.database_url,
        "DATABASE_ADMIN_URL": stack.database_admin_url,
        "BROKER_URL": stack.broker_url,
        "MARKETBILL_SECRET_KEY": keys.secret,
        "MARKETBILL_BOOTSTRAP_KEY": keys.bootstrap,
        "PUBLIC_URL": stack.api_url,
    }
    if stack.sandbox_url is not None:
        settings["SANDBOX_URL"] = stack.sandbox_url
    return settings


def find_running(data: Path) -> RunningStack | None:
    """The machine that runs in this data folder now, or None. A file left by one that was killed does not count."""
    data = data.expanduser().resolve()
    kept = _read(data)
    if kept is None or not FolderLock(data).is_held():
        return None
    try:
        return RunningStack(
            data=data,
            pid=kept["pid"],
            api_url=kept["api_url"],
            sandbox_url=kept["sandbox_url"],
            database_url=kept["database_url"],
            database_admin_url=kept["database_admin_url"],
            broker_url=kept["broker_url"],
            processes={name: process["pid"] for name, process in kept["processes"].items()},
        )
    except (KeyError, TypeError):
        return None


def write_running(stack: RunningStack) -> None:
    """Make the machine findable."""
    processes = {name: {"pid": pid, "command": program_of(pid)} for name, pid in stack.processes.items()}
    kept = {
        "pid": stack.pid,
        "api_url": stack.api_url,
        "sandbox_url": stack.sandbox_url,
        "database_url": stack.database_url,
        "database_admin_url": stack.database_admin_url,
        "broker_url": stack.broker_url,
        "processes": processes,
    }
    write_private(stack.data / _FILE, json.dumps(kept, indent=2) + "\n")


def forget_running(data: Path) -> None:
    (data / _FILE).unlink(missing_ok=True)


def end_leftovers(data: Path) -> None:
    """Wait for the processes of an owner that was killed, and end those that nobody ends. The caller owns `data`."""
    kept = _read(data) or {}
    try:
        left = {process["pid"]: process["command"] for process in kept["processes"].values()}
    except (KeyError, TypeError, AttributeError):
        return
    deadline = time.monotonic() + _LEFTOVERS_S
    while left := {pid: command for pid, command in left.items() if _is_still(pid, command)}:
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.05)


def _is_still(pid: int, command: str) -> bool:
    # The number may belong to another program by now.
    return bool(command) and is_alive(pid) and program_of(pid) == command


def _read(data: Path) -> dict[str, Any] | None:
    try:
        kept = json.loads((data / _FILE).read_text())
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) else None
