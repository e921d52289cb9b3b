"""The bars of an import: how many, how fast, how long still."""

from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

_NAMES = {"sellers": "Sellers made", "orders": "Orders paid", "transferred": "Settled, split, transferred"}


class Steps(Protocol):
    """Three bars; the total of each is told first."""

    def start(self, bar: str, total: int) -> None: ...

    def step(self, bar: str, by: int = 1) -> None: ...


class Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class Bars:
    """A bar for each stage, shown from its start; without a terminal only the final state is printed."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<28}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(compact=True),
            console=console,
            speed_estimate_period=10,
        )
        self._tasks: dict[str, object] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, bar: str, total: int) -> None:
        if total:
            self._tasks[bar] = self._progress.add_task(_NAMES[bar], total=total)

    def step(self, bar: str, by: int = 1) -> None:
        task = self._tasks.get(bar)
        if task is not None:
            self._progress.advance(task, by)  # pyright: ignore[reportArgumentType]
