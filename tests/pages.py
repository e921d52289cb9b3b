"""The Python examples of a page of the documentation, run in order as a reader would type them."""

import ast
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def examples(page: Path) -> list[CodeType]:
    """Each Python block, compiled so that it may await; a failure names the line of the page."""
    text = page.read_text()
    return [
        compile(
            "\n" * text.count("\n", 0, match.start(1)) + match[1],
            str(page),
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


async def run(page: str, names: dict[str, Any]) -> int:
    """Runs the blocks of a page in one namespace that begins with `names`; gives how many there were."""
    found = examples(DOCS / page)
    for code in found:
        waiting = eval(code, names)  # noqa: S307 - the page is ours
        if inspect.iscoroutine(waiting):
            await waiting
    return len(found)
