"""A few seconds of the chaos hour: the whole product, every process killed once, faults of most kinds."""

import os
import re
import subprocess
import sys
from pathlib import Path

from marketbill.sandbox.faults import FaultKind

#: Of all kinds of fault; how many strike in a few seconds is a matter of the machine's pace.
_KINDS_MIN = 9
_PROGRAM = Path(__file__).parents[2] / "benchmarks" / "chaos.py"


def test_a_little_chaos_ends_exact(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, str(_PROGRAM), "--seed", "3", "--brief", "--keep", str(tmp_path)],
        capture_output=True,
        text=True,
        env=kept | {"HOME": str(tmp_path)},
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every cent is there." in done.stdout
    for name in ("worker", "api", "relay", "sandbox", "postgres", "valkey"):
        assert f"kill {name}" in done.stdout
    struck = [fault for fault in FaultKind if re.search(rf"\b{fault.replace('_', ' ')} +\S +\d", done.stdout)]
    assert len(struck) >= _KINDS_MIN, done.stdout
