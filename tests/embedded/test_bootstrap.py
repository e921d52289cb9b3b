"""mb.py: what it decides before and after an installation; no test installs anything."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """mb.py, at home in an empty checkout with a lock."""
    (tmp_path / "requirements.lock").write_text("left==1 \\\n    --hash=sha256:00\n")
    (tmp_path / "requirements-dev.lock").write_text("left==1\nright==2\n")
    spec = importlib.util.spec_from_file_location("mb", ROOT / "mb.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    venv = tmp_path / ".venv"
    for name, value in {
        "ROOT": tmp_path,
        "VENV": venv,
        "PYTHON": venv / "bin" / "python",
        "RUN_LOCK": tmp_path / "requirements.lock",
        "TEST_LOCK": tmp_path / "requirements-dev.lock",
        "UNFINISHED": venv / ".marketbill-unfinished",
    }.items():
        monkeypatch.setattr(module, name, value)
    return module


def pretend_to_install(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the installers by one that makes the smallest environment; returns the locks it was asked for."""
    asked: list[Path] = []

    def install(lock: Path, _turn: int) -> bool:
        assert bootstrap.UNFINISHED.exists()
        asked.append(lock)
        (bootstrap.VENV / "bin").mkdir(exist_ok=True)
        bootstrap.PYTHON.unlink(missing_ok=True)
        bootstrap.PYTHON.symlink_to(sys.executable)
        return True

    monkeypatch.setattr(bootstrap, "install_with_uv", install)
    for step in ("write_import_roots", "compile_sources"):
        monkeypatch.setattr(bootstrap, step, lambda: None)
    return asked


def test_an_old_python_can_read_it_and_is_told() -> None:
    ast.parse((ROOT / "mb.py").read_text(), feature_version=(3, 7))


def test_it_installs_once_and_again_when_the_lock_changed(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pretend_to_install(bootstrap, monkeypatch)
    bootstrap.make_ready(bootstrap.RUN_LOCK)
    bootstrap.make_ready(bootstrap.RUN_LOCK)
    assert asked == [bootstrap.RUN_LOCK]
    bootstrap.RUN_LOCK.write_text("left==2\n")
    bootstrap.make_ready(bootstrap.RUN_LOCK)
    assert asked == [bootstrap.RUN_LOCK] * 2


def test_the_test_lock_serves_both(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = pretend_to_install(bootstrap, monkeypatch)
    bootstrap.make_ready(bootstrap.TEST_LOCK)
    bootstrap.make_ready(bootstrap.RUN_LOCK)
    assert asked == [bootstrap.TEST_LOCK]


def test_an_interrupted_installation_is_made_again(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = pretend_to_install(bootstrap, monkeypatch)
    bootstrap.make_ready(bootstrap.RUN_LOCK)
    bootstrap.UNFINISHED.touch()
    (bootstrap.VENV / "half-written").touch()
    bootstrap.make_ready(bootstrap.RUN_LOCK)
    assert len(asked) == 2
    assert not (bootstrap.VENV / "half-written").exists()
    assert not bootstrap.UNFINISHED.exists()


def test_an_environment_of_another_python_is_made_again(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = pretend_to_install(bootstrap, monkeypatch)
    bootstrap.make_ready(bootstrap.RUN_LOCK)
    bootstrap.PYTHON.unlink()
    bootstrap.PYTHON.symlink_to("/nowhere/python")
    (bootstrap.VENV / "of-the-other-python").touch()
    bootstrap.make_ready(bootstrap.RUN_LOCK)
    assert len(asked) == 2
    assert not (bootstrap.VENV / "of-the-other-python").exists()


def test_without_pip_and_uv_it_says_so_in_one_line_and_leaves_nothing(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "install_with_uv", lambda *_: False)
    monkeypatch.setattr(bootstrap, "pip_version", lambda: (0, 0))
    monkeypatch.setattr(bootstrap, "succeeds", lambda _: False)
    with pytest.raises(SystemExit, match=r"^marketbill: needs pip 22\.3 or newer, or uv") as refused:
        bootstrap.make_ready(bootstrap.RUN_LOCK)
    assert "\n" not in str(refused.value)
    assert not bootstrap.VENV.exists()


def test_a_pip_that_fails_shows_its_last_lines(
    bootstrap: ModuleType, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "print('Collecting left==1'); print('no matching hash'); raise SystemExit(1)"
    with pytest.raises(SystemExit, match="pip could not install"), (ROOT / "mb.py").open() as turn:
        bootstrap.show_progress([sys.executable, "-c", script], turn.fileno())
    assert "no matching hash" in capfd.readouterr().err


def test_the_program_of_the_environment_runs_marketbill(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_to_install(bootstrap, monkeypatch)
    bootstrap.make_ready(bootstrap.RUN_LOCK)
    bootstrap.PYTHON.unlink()
    bootstrap.PYTHON.write_text('#!/bin/sh\necho "$@"\n')
    bootstrap.PYTHON.chmod(0o755)
    shown = subprocess.run(
        [bootstrap.VENV / "bin" / "marketbill", "up", "--data", "a b"], capture_output=True, text=True
    )
    assert shown.stdout == "-m marketbill up --data a b\n"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_locks_pin_by_hash_and_name_no_host(name: str) -> None:
    text = (ROOT / name).read_text()
    pins = re.findall(r"^[\w.\[\],-]+==\S+", text, re.MULTILINE)
    assert len(pins) > 20
    assert len(re.findall(r"^[\w.\[\],-]+==\S+.*\\\n\s+--hash=sha256:", text, re.MULTILINE)) == len(pins)
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)
