"""The whole product as processes: the demo day, and a machine that is started, used, killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_READY_S = 90.0
_POLL_S = 0.05


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """None of the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR", "PYTHONPATH")}
    return kept | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "share")}


def command(environment: dict[str, str], *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "marketbill", *words],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=150,
        check=False,
    )


class Up:
    """`marketbill up` in a folder; what it prints goes to a file."""

    def __init__(self, data: Path, environment: dict[str, str], name: str) -> None:
        self.data = data
        self._printed = data.parent / f"{name}.txt"
        with self._printed.open("w") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "marketbill", "up", "--data", str(data), "--port", "0", "--sandbox-port", "0"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=data.parent,
            )

    @property
    def text(self) -> str:
        return self._printed.read_text()

    def ready(self) -> str:
        """What it printed when everything runs."""
        deadline = time.monotonic() + _READY_S
        while "Ctrl-C ends" not in self.text:
            assert self.popen.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(_POLL_S)
        return self.text

    def end(self, number: int = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(timeout=60)

    def processes(self) -> dict[str, int]:
        kept = json.loads((self.data / "runtime.json").read_text())["processes"]
        return {name: process["pid"] for name, process in kept.items()}

    def paste(self) -> list[Any]:
        """The answers of the three lines that are there to be pasted."""
        lines = [line for line in self.text.splitlines() if line.startswith("curl ")]
        assert len(lines) == 3
        done = [subprocess.run(line, shell=True, capture_output=True, text=True, check=True) for line in lines]  # noqa: S602
        answers = [json.loads(one.stdout) for one in done]
        assert not [answer for answer in answers if "errors" in answer], answers
        return [answer["data"] for answer in answers]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "market"


@pytest.fixture
def ups() -> Iterator[list[Up]]:
    started: list[Up] = []
    yield started
    for up in started:
        if up.popen.poll() is None:
            up.popen.kill()
            up.popen.wait()


def test_one_marketplace_day(environment: dict[str, str], tmp_path: Path) -> None:
    done = command(environment, "demo", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for entry in ("J1", "J2", "J3", "J4", "J5", "J6", "J7", "J8"):
        assert f"│ {entry} │" in done.stdout
    for words in (
        "Trial balance, EUR",
        "Trial balance, JPY",
        "Trial balance, KWD",
        "Statement of Atelier Amsterdam, EUR",
        "Fee report, KWD",
        "Reverse charge",
        "43.79",
        "Everything balances",
    ):
        assert words in done.stdout
    assert "BROKEN" not in done.stdout
    assert "Traceback" not in done.stderr


def test_the_worked_journal_posting_for_posting(environment: dict[str, str], tmp_path: Path) -> None:
    done = command(environment, "demo", "--story", "c11", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Equal to the cent: all 22 entries of the worked journal." in done.stdout
    assert "contested and lost, is -69.04" in done.stdout
    assert "DIFFERS" not in done.stdout


def test_a_machine_is_used_killed_and_finds_everything_again(
    environment: dict[str, str], data: Path, tmp_path: Path, ups: list[Up]
) -> None:
    ups.append(Up(data, environment, "first"))
    ups[0].ready()
    books, preview, sale = ups[0].paste()
    assert {trial["currency"] for trial in books["trialBalance"]} <= {"EUR", "USD", "JPY"}
    assert preview["paymentPreview"]["split"]["totals"]["sellerNet"]["decimal"] == "106.85"
    assert sale["paymentCreate"]["payment"]["status"] == "SUCCEEDED"
    assert (data / "api-keys.json").stat().st_mode & 0o777 == 0o600
    keys = json.loads((data / "api-keys.json").read_text())
    assert set(keys) == {"BOOTSTRAP", "OPERATOR", "OPERATOR_READONLY", "SERVICE", "SELLER", "BUYER"}
    assert f"OPERATOR_READONLY {keys['OPERATOR_READONLY']}" in ups[0].text

    orders = tmp_path / "orders.csv"
    rows = [f"o{number},1,p{number},s{number % 5},{number + 1}.50,2.00,EUR" for number in range(60)]
    orders.write_text("order_id,order_item_id,product_id,seller_id,price,freight,currency\n" + "\n".join(rows) + "\n")
    arguments = ("import-orders", str(orders), "--data", str(data), "--at-once", "4")
    # One of the machine's processes is killed while orders are paid; its supervisor starts it again.
    with subprocess.Popen(
        [sys.executable, "-m", "marketbill", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    ) as running:
        os.kill(ups[0].processes()["worker"], signal.SIGKILL)
        running.communicate(timeout=150)
    # And then the owner of them all.
    ups[0].end(signal.SIGKILL)

    ups.append(Up(data, environment, "second"))
    ups[1].ready()
    assert json.loads((data / "api-keys.json").read_text())["OPERATOR_READONLY"] == keys["OPERATOR_READONLY"]
    for _ in range(2):
        done = command(environment, *arguments, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "│ Orders transferred to their sellers │ 60 │" in " ".join(done.stdout.split()), done.stdout
    advanced = command(environment, "sandbox", "clock", "advance", "9d", "--data", str(data), folder=tmp_path)
    assert advanced.returncode == 0, advanced.stderr
    proof = command(environment, "verify", "--data", str(data), folder=tmp_path)
    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert "The books agree" in proof.stdout
    seller = command(environment, "statement", "s1", "--csv", "--data", str(data), folder=tmp_path)
    assert seller.stdout.startswith("time,section,")
    assert ups[1].end() == 0
