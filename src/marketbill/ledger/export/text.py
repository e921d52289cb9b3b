"""Text inside a journal of lines: what belongs together stays on its line and is taken for nothing else."""

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

from marketbill.clock import rfc3339
from marketbill.ledger.entry import Phase
from marketbill.ledger.export.books import Books
from marketbill.ledger.export.record import Account, Entry, Posting, entry_name
from marketbill.money import decimal_text

_PLAIN = re.compile(r"[\w:./@+#=-]*")
_LINE_ENDS = ("Cc", "Zl", "Zp")

Name = Callable[[Account], str]


def amount(minor: int, currency: str) -> str:
    """`12.10 EUR`, exact."""
    return f"{decimal_text(minor, currency)} {currency}"


def encoded(text: str) -> str:
    """The text in letters, digits and a few signs; all else percent-encoded in UTF-8 (RFC 3986), so it reads back."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe=":./@+#=-")


def on_one_line(text: str) -> str:
    """The text with a blank for whatever ends a line, and for whatever is not seen on it."""
    if text.isprintable():
        return text
    return "".join(" " if unicodedata.category(character) in _LINE_ENDS else character for character in text)


def head(books: Books) -> str:
    """What the file is of, and the rules by which it was written, as comments."""
    facts = "".join(f"; {name}: {on_one_line(fact)}\n" for name, fact in books.facts().items())
    return (
        f"; The books of a marketbill platform. Dates are UTC days of effective time.\n{facts}"
        "; Each posting is two lines: the account debited, then the account credited. Debits are positive.\n"
        "; Holds, and holds that were released, move no money: they stand here as comments.\n\n"
    )


def aside(entry: Entry, name: Name) -> str:
    """An entry that moves no money, as comments."""
    what = "hold" if entry.phase == Phase.HELD else "release"
    facts = ", ".join(f"{tag}: {fact}" for tag, fact in tags(entry))
    lines = [f"; ({entry.number}) {what}, {facts}", *(f";     {_pending(posting, name)}" for posting in entry.postings)]
    return "\n".join(lines) + "\n\n"


def tags(entry: Entry, text: Callable[[str], str] = encoded) -> list[tuple[str, str]]:
    """What an entry says of itself beside its date, description and postings; `text` writes free text."""
    found = [
        ("id", entry_name(entry.id)),
        ("key", text(entry.key)),
        ("kind", text(entry.kind)),
        ("source", text(entry.source)),
        ("effective", rfc3339(entry.effective_at)),
        ("recorded", rfc3339(entry.recorded_at)),
    ]
    if entry.occurred_at is not None:
        found.append(("occurred", rfc3339(entry.occurred_at)))
    if entry.expires_at is not None:
        found.append(("expires", rfc3339(entry.expires_at)))
    if entry.resolves is not None:
        found.append(("resolves", entry_name(entry.resolves)))
    if entry.reverses is not None:
        found.append(("reverses", entry_name(entry.reverses)))
    found.append(("hash", entry.hash.hex()))
    return found


def _pending(posting: Posting, name: Name) -> str:
    return f"{amount(posting.amount, posting.currency)} from {name(posting.credit)} to {name(posting.debit)}"
