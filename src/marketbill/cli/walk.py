"""The progress of a walk through the journal, and how fast it went."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from marketbill.cli.terminal import counted


class Walk:
    """A bar of the steps of a command, and below it one of the entries while a journal is replayed."""

    def __init__(self, console: Console, what: str, *, steps: int) -> None:
        # A platform's name may hold square brackets; a bar's text is taken for markup unless it is told not to.
        doing = TextColumn("{task.description:<32}", markup=False)
        columns = (TextColumn(f"{what:<9}", markup=False), BarColumn(), doing, TimeElapsedColumn())
        self._bars = Progress(*columns, console=console, transient=True, disable=not console.is_interactive)
        self._steps = self._bars.add_task("", total=steps)
        self._walked = self._bars.add_task("", visible=False)
        self._begun: float | None = None
        self._done = 0
        self._entries = 0
        self._seconds = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def step(self, name: str, part: str) -> None:
        """The next step of the platform `name` begins."""
        self._leave()
        self._bars.update(self._steps, description=f"{name}: {part}"[:32], advance=1)
        self._bars.update(self._walked, visible=False)
        self._begun = time.monotonic()

    def entries(self, done: int, total: int) -> None:
        """So many entries of the journal were replayed."""
        self._done = done
        self._bars.update(
            self._walked, completed=done, total=total, visible=True, description=f"{done:,} of {total:,} entries"
        )
        if done == total:
            self._leave()

    def payments(self, done: int, total: int) -> None:
        """So many payments were explained."""
        self._bars.update(
            self._walked, completed=done, total=total, visible=True, description=f"{done:,} of {total:,} payments"
        )

    def told(self) -> str:
        """How many entries were replayed, and how fast."""
        rate = self._entries / self._seconds if self._seconds else 0
        speed = f" in {self._seconds:.1f} s, {rate:,.0f} a second" if self._entries else ""
        return f"{counted(self._entries, 'entry', 'entries')} replayed{speed}."

    def _leave(self) -> None:
        if self._begun is not None and self._done:
            self._entries += self._done
            self._seconds += time.monotonic() - self._begun
        self._begun, self._done = None, 0
