"""GraphQL over HTTP: 61 of 61 audits, where Node is there to run them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules").exists(),
    reason="needs Node, and `npm ci` in tests/graphql_http",
)
def test_every_audit_is_ok() -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / "run.py")], check=False, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "61 of 61 audits ok" in done.stdout
