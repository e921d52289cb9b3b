"""Text that comes in from outside, or goes out: what no column can hold is refused, what a cell would run is quoted."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable

from marketbill.errors import InvalidInput, Path

#: Letters and signs that are drawn as nothing.
_EMPTY = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: What a spreadsheet takes for the start of a formula or of a command; the last four are = + - @ in full width.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

#: The longest reason that is kept with what somebody did, in characters.
REASON_LENGTH_MAX = 500


class TextUnusable(InvalidInput):
    """A text with a control character or half of a surrogate pair: no name, and a risk on a terminal or in a CSV."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(
            f"{path[-1]} holds a character that is no text (a control character or a lone surrogate).",
            path=path,
            constraint="Unicode text without control characters",
        )


def is_blank(text: str) -> bool:
    """Whether nothing of it can be seen: blanks, marks of direction, characters of no width."""
    return all(unicodedata.category(character)[0] in "ZC" or character in _EMPTY for character in text)


def check_usable(text: str | None, *, path: Path) -> None:
    """Raises TextUnusable, naming the field; None is fine."""
    if text is None:
        return
    if _CONTROL.search(text) or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise TextUnusable(path=path)


def safe_cell(text: str) -> str:
    """Text that no spreadsheet executes: an apostrophe is put before what would start a formula (CWE-1236)."""
    return "'" + text if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def csv_text(rows: Iterable[Iterable[str]]) -> str:
    """Rows as CSV (RFC 4180). What people wrote goes through `safe_cell` first."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def checked_reason(given: str, *, path: Path = ("reason",)) -> str:
    """A reason as it is kept. Raises InvalidInput when it is empty, too long, or no text."""
    check_usable(given, path=path)
    reason = given.strip()
    if is_blank(reason) or len(reason) > REASON_LENGTH_MAX:
        raise InvalidInput(
            f"Say why in 1 to {REASON_LENGTH_MAX} characters: it is kept.",
            path=path,
            constraint=f"1..{REASON_LENGTH_MAX} characters",
        )
    return reason
