"""The examples of docs/ledger.md run, in order, as a reader would type them."""

import ast
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any

from marketbill.db import Database
from marketbill.ids import PlatformId

PAGE = Path(__file__).parents[2] / "docs" / "ledger.md"


def blocks() -> list[tuple[int, CodeType]]:
    """Each Python block, compiled so that it may await, with the line of the page on which it begins."""
    text = PAGE.read_text()
    return [
        (
            line := text.count("\n", 0, match.start(1)),
            compile("\n" * line + match[1], str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True),
        )
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


async def test_the_page_runs_from_top_to_bottom(db: Database, platform: PlatformId) -> None:
    names: dict[str, Any] = {"db": db, "platform": platform}
    found = blocks()
    assert len(found) >= 5
    for _, code in found:
        waiting = eval(code, names)  # noqa: S307 - the page is ours
        if inspect.iscoroutine(waiting):
            await waiting
