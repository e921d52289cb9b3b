"""Text that comes in from outside: what no database column can hold is refused at the door."""

from marketbill.errors import InvalidInput, Path


class TextUnusable(InvalidInput):
    """A text with a NUL or half of a surrogate pair, which no database column can hold."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(
            f"{path[-1]} holds a character that is no text (NUL or a lone surrogate).",
            path=path,
            constraint="Unicode text without NUL",
        )


def check_usable(text: str | None, *, path: Path) -> None:
    """Raises TextUnusable, naming the field; None is fine."""
    if text is None:
        return
    if "\x00" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise TextUnusable(path=path)
