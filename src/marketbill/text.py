"""Text that comes in from outside: what no database column can hold is refused at the door."""

import re

from marketbill.errors import InvalidInput, Path

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class TextUnusable(InvalidInput):
    """A text with a control character or half of a surrogate pair: no name, and a risk on a terminal or in a CSV."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(
            f"{path[-1]} holds a character that is no text (a control character or a lone surrogate).",
            path=path,
            constraint="Unicode text without control characters",
        )


def check_usable(text: str | None, *, path: Path) -> None:
    """Raises TextUnusable, naming the field; None is fine."""
    if text is None:
        return
    if _CONTROL.search(text) or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise TextUnusable(path=path)
