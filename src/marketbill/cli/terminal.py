"""The terminal's output."""

import sys

from rich.console import Console

#: Characters in a line where no terminal says how wide it is: files and pipes.
_WIDTH_WITHOUT_TERMINAL = 130


def console() -> Console:
    """A console as wide as the terminal; wide enough for whole account names where there is none.

    Text is shown as it is: names in square brackets are no markup, `seller:A:payable` holds no picture.
    """
    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Console(width=width, markup=False, emoji=False, highlight=False)


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 order`, `1,005 orders`; `many` where an s does not do."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def money(amount_minor: int, currency: str) -> str:
    """`12.10 EUR`."""
    from marketbill.money import decimal_text

    return f"{decimal_text(amount_minor, currency)} {currency}"
