"""The provider's time: real time plus an offset that the control plane moves, kept over restarts."""

from __future__ import annotations

import time

from marketbill.sandbox.store import Store

DAY = 86_400
#: Furthest a single step may move the clock, in seconds (two years).
ADVANCE_SECONDS_MAX = 2 * 366 * DAY


class SandboxClock:
    """Seconds since 1970 as the sandbox sees them. Time never runs backwards."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.offset = int(store.meta("clock_offset") or "0")
        #: While past due work is done, the moment at which it was due.
        self.held: int | None = None

    def now(self) -> int:
        return self.held if self.held is not None else int(time.time()) + self.offset

    def precise(self) -> float:
        """Return the time with its part of a second, for what is counted in less than seconds."""
        return time.time() + self.offset

    def advance(self, seconds: int) -> None:
        """Move the offset; call inside a transaction."""
        self.offset += seconds
        self._store.set_meta("clock_offset", str(self.offset))


def midnight(moment: int) -> int:
    """Return 00:00 UTC of the day of a moment."""
    return moment - moment % DAY
