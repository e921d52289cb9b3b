"""Keeps processes alive: one that dies is started again, after a growing pause and not for ever."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from marketbill.embedded.failures import EmbeddedFailure, ProcessKeepsDying
from marketbill.embedded.process import Guard

#: A process may be started again this often within the window, in seconds.
_RESTARTS_MAX = 5
_WINDOW_S = 60.0
#: The pause before the first restart, doubled for each further one in the window.
_PAUSE_FIRST_S = 0.2
_PAUSE_MAX_S = 5.0
_POLL_S = 0.1


class Restartable(Protocol):
    """A process that can be started again."""

    def exit_code(self) -> int | None: ...

    def launch(self) -> None: ...


@dataclass(slots=True)
class Member:
    """One process in the supervisor's care, and when it was started again."""

    name: str
    process: Restartable
    log: Path
    restarted_at: deque[float] = field(default_factory=deque)
    due_at: float | None = None


class Supervisor:
    """Watches members from a thread of its own; that thread ends only when `stop` was called, after all members ended.

    - `report` gets one line for each death and restart.
    - `changed` is called after a process was started again.
    """

    def __init__(
        self, members: list[Member], *, guard: Guard, report: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self._members = members
        self._guard = guard
        self._report = report
        self._changed = changed
        self._paused = threading.Event()
        self._ended = threading.Event()
        self._turn = threading.Lock()
        self.failure: EmbeddedFailure | None = None
        self.failed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def pause(self) -> None:
        """Start nothing again from now on. Call before the members are ended."""
        self._paused.set()
        with self._turn:
            pass

    def stop(self) -> None:
        """End the thread. Call after the members have ended: on Linux those that it started end with it."""
        self._paused.set()
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_POLL_S):
            with self._turn:
                if self._paused.is_set():
                    continue
                try:
                    self._look()
                except EmbeddedFailure as failure:
                    self._fail(failure)
                except Exception as error:
                    self._fail(EmbeddedFailure(f"the supervisor failed: {error!r}"))

    def _look(self) -> None:
        if self._guard.ensure():
            self._report("the watchman ended and was started again")
        now = time.monotonic()
        for member in self._members:
            code = member.process.exit_code()
            if code is None:
                continue
            if member.due_at is None:
                self._schedule(member, code, now)
            elif now >= member.due_at:
                member.due_at = None
                member.restarted_at.append(now)
                member.process.launch()
                self._report(f"{member.name} runs again")
                self._changed()

    def _schedule(self, member: Member, code: int, now: float) -> None:
        while member.restarted_at and now - member.restarted_at[0] > _WINDOW_S:
            member.restarted_at.popleft()
        count = len(member.restarted_at)
        if count >= _RESTARTS_MAX:
            raise ProcessKeepsDying(name=member.name, restarts=count, log=member.log)
        pause_s = min(_PAUSE_FIRST_S * 2**count, _PAUSE_MAX_S)
        member.due_at = now + pause_s
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        self._report(f"{member.name} {how}; starting it again in {pause_s:.1f} s (its log is {member.log})")

    def _fail(self, failure: EmbeddedFailure) -> None:
        self.failure = failure
        self._paused.set()
        self.failed.set()
