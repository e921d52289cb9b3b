"""The examples of docs/fees.md run, in order, as a reader would type them."""

import ast
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any

from tests.market.machine import Machine

PAGE = Path(__file__).parents[2] / "docs" / "fees.md"


def blocks(text: str) -> list[CodeType]:
    """Each Python block, compiled so that it may await, at its own lines of the page."""
    return [
        compile(
            "\n" * text.count("\n", 0, match.start(1)) + match[1],
            str(PAGE),
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


async def test_fees_page_runs_from_top_to_bottom(machine: Machine, tmp_path: Path) -> None:
    text = PAGE.read_text()
    [yaml] = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    fees_yaml = tmp_path / "fees.yaml"
    fees_yaml.write_text(yaml)
    market = await machine.platform()
    await market.seller("A", onboard=None)
    names: dict[str, Any] = {
        "fees_yaml": fees_yaml,
        "services": machine.services,
        "operator": market.operator,
        "platform": market.platform,
    }
    found = blocks(text)
    assert len(found) >= 5
    for place, code in enumerate(found):
        if place == len(found) - 1:  # the history that the last example runs over
            await market.sale(market.line("A", 5000))
            await market.sale(market.line("A", 5000))
        waiting = eval(code, names)  # noqa: S307 - the page is ours
        if inspect.iscoroutine(waiting):
            await waiting
