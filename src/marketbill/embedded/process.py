"""Processes that never outlive their owner.

Every process we start is guarded twice: by the kernel's parent-death signal on Linux, and by the watchman, a small
process that notices the end of a pipe. So Ctrl-C, SIGTERM and SIGKILL of the owner leave nothing behind.

The parent-death signal follows the *thread* that started the process: start processes from a thread that lives as long
as they do.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: prctl(2) option: the signal a process gets when the thread that started it is gone.
_PR_SET_PDEATHSIG = 1
#: How much of a log is shown when its process failed.
_TAIL_LINES = 12
_TAIL_BYTES = 8192

_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group a process runs as, when that is not our own."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process is ended: a gentle signal, and after `grace_s` seconds a forceful one to its whole group.

    When the owner was killed the grace is `orphan_grace_s`: the database and the broker are going too, so there is
    nothing left to finish, and whatever was under way is done again by the next start.
    """

    gentle: signal.Signals = signal.SIGTERM
    force: signal.Signals = signal.SIGKILL
    grace_s: float = 12.0
    orphan_grace_s: float = 2.0


class Guard:
    """The owner's end of the watchman. One guard serves many processes, and may be used from several threads."""

    def __init__(self) -> None:
        self._wards: dict[int, Ending] = {}
        self._open()

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        reader, self._writer = os.pipe()
        try:
            self._watchman = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).with_name("watchman.py"))],
                stdin=reader,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(reader)

    @property
    def pid(self) -> int:
        return self._watchman.pid

    def take(self, pid: int, ending: Ending) -> None:
        self._wards[pid] = ending
        self._tell(self._entrust(pid, ending))

    def release(self, pid: int) -> None:
        if self._wards.pop(pid, None):
            self._tell(f"- {pid}\n")

    def ensure(self) -> bool:
        """Start another watchman when somebody killed ours; says whether that was needed."""
        if self._watchman.poll() is None:
            return False
        with contextlib.suppress(OSError):
            os.close(self._writer)
        self._open()
        for pid, ending in list(self._wards.items()):
            os.write(self._writer, self._entrust(pid, ending).encode())
        return True

    def close(self) -> None:
        """Let the watchman go; whatever is still in its care is ended by it."""
        with contextlib.suppress(OSError):
            os.close(self._writer)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._watchman.wait(max([ending.orphan_grace_s for ending in self._wards.values()], default=0.0) + 2.0)

    def _tell(self, line: str) -> None:
        try:
            os.write(self._writer, line.encode())
        except BrokenPipeError:
            self.ensure()

    @staticmethod
    def _entrust(pid: int, ending: Ending) -> str:
        return f"+ {pid} {int(ending.gentle)} {int(ending.force)} {ending.orphan_grace_s}\n"


class Process:
    """One guarded process, leader of its own session, with its output in a log file.

    - `account`: run as that user (only the superuser can).
    - `folder`: the working directory, entered before the account is changed.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        guard: Guard,
        env: Mapping[str, str],
        log: Path,
        account: Account | None = None,
        folder: Path | None = None,
        ending: Ending | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._guard = guard
        self._ending = ending or Ending()
        self._ended = False
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(env),
                cwd=folder or "/",
                start_new_session=True,
                preexec_fn=_die_with_parent(self._ending.gentle),
                **run_as(account),
            )
        guard.take(self._popen.pid, self._ending)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def exit_code(self) -> int | None:
        """The exit code, or None while it runs. Negative: killed by that signal. Its leftover children are ended."""
        code = self._popen.poll()
        if code is not None and not self._ended:
            self._ended = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, self._ending.force)
            self._guard.release(self._popen.pid)
        return code

    def ask_to_end(self) -> None:
        """Send the gentle signal and return at once."""
        if self.exit_code() is None:
            self._popen.send_signal(self._ending.gentle)

    def end(self) -> None:
        """Wait until it has ended, by force when the grace is over. Follows `ask_to_end`."""
        try:
            self._popen.wait(self._ending.grace_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, self._ending.force)
            self._popen.wait(self._ending.grace_s)
        self.exit_code()

    def last_lines(self) -> str:
        return last_lines(self.log)


def last_lines(log: Path) -> str:
    """The end of a log file, to show beside a failure."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-_TAIL_LINES:])


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not reaped (a zombie) counts as ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _state(pid) != "Z"


def program_of(pid: int) -> str:
    """The command line of a process, or an empty string."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return _ps(pid, "command")


def _state(pid: int) -> str:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return _ps(pid, "state")[:1]


def _ps(pid: int, column: str) -> str:
    command = ["ps", "-ww", "-o", f"{column}=", "-p", str(pid)]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return ""


def _die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    if _prctl is None:
        return None
    prctl, owner, code = _prctl, os.getpid(), int(number)

    def after_fork() -> None:
        prctl(_PR_SET_PDEATHSIG, code)
        if os.getppid() != owner:  # the owner died between the fork and this line
            os._exit(1)

    return after_fork


def run_as(account: Account | None) -> dict[str, Any]:
    """The arguments by which `subprocess` starts a process as that account, or as ourselves."""
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
