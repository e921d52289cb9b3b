"""How long a newcomer waits: from `up` in an empty folder to the first answered query, and again with data there.

    .venv/bin/python benchmarks/start.py [--rounds 3]

Also the memory of the whole machine at rest (proportional set size: shared pages are counted once).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

from machine import console, resident_mib, save
from rich.table import Table

_DEADLINE_S = 120
_QUERY = b'{"query": "{ platform { name } }"}'


def start(data: Path) -> tuple[float, float, float]:
    """Seconds to the first answer, seconds to the printed keys, and MiB at rest."""
    command = [sys.executable, "-m", "marketbill", "up", "--data", str(data), "--port", "0", "--sandbox-port", "0"]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as machine:
        try:
            assert machine.stdout is not None
            answered = _first_answer(data, begun)
            for line in machine.stdout:
                if "Ctrl-C" in line:
                    break
            ready = time.perf_counter() - begun
            return answered, ready, resident_mib([machine.pid])
        finally:
            machine.terminate()
            machine.wait(30)


def _first_answer(data: Path, begun: float) -> float:
    """The demo market's operator key works: a query through API and database has been answered."""
    while time.perf_counter() - begun < _DEADLINE_S:
        try:
            running = json.loads((data / "runtime.json").read_text())
            request = urllib.request.Request(
                running["api_url"] + "/graphql",
                _QUERY,
                {"content-type": "application/json", "authorization": "Bearer none"},
            )
            urllib.request.urlopen(request, timeout=5)
        except urllib.error.HTTPError as answer:
            if answer.code == 401:  # the API answers, and knows that this key is none
                return time.perf_counter() - begun
        except (OSError, ValueError, KeyError):
            time.sleep(0.02)
    raise TimeoutError(f"no answer within {_DEADLINE_S} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    rows: dict[str, list[tuple[float, float, float]]] = {"empty folder": [], "data there": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="marketbill-bench-") as folder:
            rows["empty folder"].append(start(Path(folder) / "data"))
            rows["data there"].append(start(Path(folder) / "data"))
    table = Table("start", "first answer, s", "keys printed, s", "memory, MiB", title=f"Medians of {rounds} starts")
    figures: dict[str, Any] = {}
    for name, measured in rows.items():
        figures[name] = [round(median(column), 2) for column in zip(*measured, strict=True)]
        table.add_row(name, *(str(value) for value in figures[name]))
    console.print(table)
    save("start", figures)


if __name__ == "__main__":
    main()
