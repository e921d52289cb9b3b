"""Typesetting: a template and its data become a PDF, byte for byte the same wherever and whenever it is made.

Only the fonts that Typst carries are used, whatever the machine has; the file holds no date of its making.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import typst

_TEMPLATES = Path(str(files("marketbill.statements") / "typst"))


def pdf(template: str, data: dict[str, Any]) -> bytes:
    """The PDF of a template (`statement`, `invoice`) with its data. Blocks: run it in a thread."""
    return typst.compile(
        str(_TEMPLATES / f"{template}.typ"),
        root=str(_TEMPLATES),
        format="pdf",
        font_paths=[],
        ignore_system_fonts=True,
        sys_inputs={"data": orjson.dumps(data).decode()},
    )
