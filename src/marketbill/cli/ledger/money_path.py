"""`marketbill ledger money-path`."""

from typing import Annotated

from cyclopts import Parameter

from marketbill.cli.published import show_or_check


def money_path(*, check: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Print every account and every flow of money, with drawings and a worked example, as a page of Markdown.

    Example: marketbill ledger money-path > docs/money-path.md, after a change.

    Parameters
    ----------
    check
        Print nothing; compare with `docs/money-path.md` of this checkout, and exit 1 when they differ.
    """
    from marketbill.ledger.money_path import text

    show_or_check(text(), "docs/money-path.md", "marketbill ledger money-path", check=check)
