"""The terminal's output."""

from rich.console import Console

#: Characters in a line where no terminal says how wide it is: files and pipes.
_WIDTH_WITHOUT_TERMINAL = 130


def console() -> Console:
    """A console as wide as the terminal; wide enough for whole account names where there is none."""
    found = Console()
    return found if found.is_terminal else Console(width=_WIDTH_WITHOUT_TERMINAL)
