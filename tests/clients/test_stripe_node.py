"""A marketplace lived through by Stripe's own Node client, where Node is there to run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules").exists(),
    reason="needs Node, and `npm ci --prefix tests/clients`",
)
def test_every_step_is_ok() -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("SANDBOX_URL", "STRIPE_SECRET_KEY")
    }
    done = subprocess.run(
        ["node", str(FOLDER / "stripe_node.mjs")],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**environment, "PYTHON": sys.executable},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed" in done.stdout
