"""The golden cases: recorded and documented exchanges of the real provider, replayed against the sandbox.

`golden_cases.json` holds what was recorded, `more_cases.json` further cases of the same rules in the same notation.
`MARKETBILL_GOLDEN_CASES` may name more files of this form, apart by colons.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.story import Story

_HERE = Path(__file__).parent
_FURTHER = [Path(name) for name in os.environ.get("MARKETBILL_GOLDEN_CASES", "").split(":") if name]


def _cases() -> list[Any]:
    files = [_HERE / "golden_cases.json", _HERE / "more_cases.json", *_FURTHER]
    return [
        pytest.param(case, id=case["id"] if file.parent == _HERE else f"{file.stem}:{case['id']}")
        for file in files
        for case in json.loads(file.read_bytes())["cases"]
    ]


@pytest.mark.parametrize("case", _cases())
def test_golden_case(case: dict[str, Any], bench: Any, receiver: Any, soon: Any) -> None:
    Story(case, bench, receiver, soon).run()
    assert bench.control("state")["books_balance"]
