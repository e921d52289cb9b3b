"""Files of the checkout that the code prints: shown, or held against what is published."""

import difflib
import sys
from pathlib import Path

from marketbill.cli.failure import CommandRefused

_DIFF_LINES_MAX = 60


def show_or_check(printed: str, place: str, command: str, *, check: bool) -> None:
    """Print the text, or compare it with the file at `place` in this checkout, which `command` writes.

    Raises CommandRefused, after the difference, when they are not equal.
    """
    if not check:
        sys.stdout.write(printed)
        return
    published = Path(__file__).resolve().parents[3] / place
    try:
        kept = published.read_text()
    except FileNotFoundError:
        raise CommandRefused(f"{published} is missing: write it with `{command} > {place}`") from None
    if kept == printed:
        print(f"{place} is what the code prints.")
        return
    name = published.name
    difference = list(difflib.unified_diff(kept.splitlines(), printed.splitlines(), name, "code", lineterm=""))
    print("\n".join(difference[:_DIFF_LINES_MAX]))
    raise CommandRefused(f"{place} is not what the code prints: run `{command} > {place}`")
