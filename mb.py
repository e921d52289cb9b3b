#!/usr/bin/env python3
"""Starts marketbill from a fresh checkout, with nothing but Python.

    python3 mb.py up                the whole product on this machine
    python3 mb.py demo              one marketplace day, unattended
    python3 mb.py test [options]    the test suite (options go to pytest)
    python3 mb.py COMMAND ...       any other command of marketbill

The first use installs what requirements.lock pins, every file checked by its hash, into .venv; later uses start at
once. An installation that was interrupted is made again. Uses uv when it is there and works, else pip.
"""

# An older Python must be able to read this file as far as the line that says that it is too old.

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

OLDEST_PYTHON = (3, 11)
OLDEST_PIP = (22, 3)  # the first with `pip --python`
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
IMPORT_ROOTS = ("src", "graphql", "workers")
RUN_LOCK = ROOT / "requirements.lock"
TEST_LOCK = ROOT / "requirements-dev.lock"
UNFINISHED = VENV / ".marketbill-unfinished"


def main() -> None:
    """Make the environment ready, then become the command."""
    if os.name != "posix":
        sys.exit("marketbill runs on Linux and macOS; on Windows use it inside WSL.")
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"marketbill needs Python 3.11 or newer; this is Python {sys.version_info[0]}.{sys.version_info[1]}.")
    words = sys.argv[1:]
    if words and words[0] == "test":
        make_ready(TEST_LOCK)
        os.chdir(str(ROOT))
        become(["-m", "pytest", *(words[1:] or parallel())])
    make_ready(RUN_LOCK)
    become(["-m", "marketbill", *words])


def become(arguments: "list[str]") -> NoReturn:
    """Replace this process, so that signals and the exit code are the command's own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(str(PYTHON), [str(PYTHON), *arguments])  # noqa: S606


def parallel() -> "list[str]":
    """One test process for each core, at most eight; a single core runs the tests in one process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ["-n", str(min(cores, 8)), "--dist", "worksteal", "-q"] if cores > 1 else ["-q"]


def make_ready(lock: Path) -> None:
    """Install what the lock pins, unless that was done already for this Python and this folder."""
    wanted = fingerprint(lock)
    if is_ready(lock, wanted):
        return
    import fcntl

    with open(__file__, "rb") as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another installation is under way, waiting for it")
            fcntl.flock(turn, fcntl.LOCK_EX)
        if not is_ready(lock, wanted):
            install(lock, wanted, turn.fileno())


def fingerprint(lock: Path) -> str:
    """Changes with the lock, the Python and the place of the checkout."""
    try:
        pins = lock.read_bytes()
    except OSError as error:
        sys.exit(f"marketbill: cannot read {lock}: {error.strerror}")
    return hashlib.sha256(pins + f"{sys.version} {ROOT}".encode()).hexdigest()


def stamp_of(lock: Path) -> Path:
    return VENV / f".marketbill-{lock.stem}"


def is_ready(lock: Path, wanted: str) -> bool:
    try:
        return stamp_of(lock).read_text() == wanted and os.access(str(PYTHON), os.X_OK) and not UNFINISHED.exists()
    except OSError:
        return False


def install(lock: Path, wanted: str, turn: int) -> None:
    """Make .venv and fill it; its stamp is written last.

    The installers inherit `turn`: when only this process is killed, the next one waits until they have ended.
    """
    count = len(re.findall(r"^[\w.\[\]-]+==", lock.read_text(), re.MULTILINE))
    say(f"first start: installing {count} packages into {VENV} (once; about a minute)")
    started = time.monotonic()
    if UNFINISHED.exists():
        say("an earlier installation was interrupted, starting over")
        shutil.rmtree(str(VENV), ignore_errors=True)
    elif VENV.exists() and not is_of_this_python():
        say("the earlier installation belongs to another Python, starting over")
        shutil.rmtree(str(VENV), ignore_errors=True)
    try:
        VENV.mkdir(exist_ok=True)
        UNFINISHED.touch()
        if not install_with_uv(lock, turn):
            install_with_pip(lock, turn)
        write_import_roots()
        write_program()
        compile_sources()
    except OSError as error:
        sys.exit(f"marketbill: cannot install into {VENV}: {error}")
    stamp_of(lock).write_text(wanted)
    if lock == TEST_LOCK:  # it pins everything that requirements.lock pins
        stamp_of(RUN_LOCK).write_text(fingerprint(RUN_LOCK))
    UNFINISHED.unlink()
    say(f"installed in {time.monotonic() - started:.0f} seconds")


def is_of_this_python() -> bool:
    """Whether .venv works and is of the Python that runs now."""
    asked = [str(PYTHON), "-c", "import sys; raise SystemExit(sys.version != sys.argv[1])", sys.version]
    try:
        return succeeds(asked)
    except OSError:
        return False


def install_with_uv(lock: Path, turn: int) -> bool:
    """True when uv is there and did it."""
    uv = shutil.which("uv")
    if not uv or not succeeds([uv, "--version"]):
        return False
    options = ["--quiet", "--python", str(PYTHON), "--require-hashes", "--compile-bytecode"]
    done = (
        succeeds([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(VENV)])
        and subprocess.call([uv, "pip", "install", *options, "-r", str(lock)], pass_fds=(turn,)) == 0
    )
    if not done:
        say("uv could not do it, trying pip")
    return done


def install_with_pip(lock: Path, turn: int) -> None:
    """Works without ensurepip: Debian's Python has none, but its pip can install into another Python."""
    if pip_version() >= OLDEST_PIP:
        run(
            [sys.executable, "-m", "venv", "--without-pip", str(VENV)],
            "python3 has no venv module: install python3-venv",
        )
        pip = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    elif succeeds([sys.executable, "-c", "import venv, ensurepip"]):
        run([sys.executable, "-m", "venv", str(VENV)], "python3 could not make a virtual environment")
        pip = [str(PYTHON), "-m", "pip"]
    else:
        UNFINISHED.unlink()
        with contextlib.suppress(OSError):
            VENV.rmdir()
        sys.exit("marketbill: needs pip 22.3 or newer, or uv, and finds neither: install python3-pip, or uv.")
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--prefer-binary"]
    show_progress([*pip, "install", *options, "--require-hashes", "-r", str(lock)], turn)


def pip_version() -> "tuple[int, ...]":
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    ).stdout.decode(errors="replace")
    found = re.match(r"pip (\d+)\.(\d+)", shown)
    return tuple(int(part) for part in found.groups()) if found else (0, 0)


def show_progress(command: "list[str]", turn: int) -> None:
    """Run pip, and show a package at a time instead of everything it prints; all of it when it fails."""
    env = dict(os.environ, PYTHONUNBUFFERED="1", PIP_ROOT_USER_ACTION="ignore")
    lines, packages = [], 0
    on_terminal = sys.stderr.isatty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, pass_fds=(turn,)) as pip:
        for line in pip.stdout or ():
            lines.append(line.decode(errors="replace").rstrip())
            found = re.match(r"(?:Collecting|Processing) (?:\S*/)?(\S+)", lines[-1])
            if found:
                packages += 1
                if on_terminal:
                    sys.stderr.write(f"\r\033[K  {packages:3d}  {found.group(1)}")
                    sys.stderr.flush()
                elif packages % 10 == 0:
                    say(f"{packages} packages fetched")
            elif lines[-1].startswith("Installing collected packages"):
                if on_terminal:
                    sys.stderr.write("\r\033[K")
                say(f"{packages} packages fetched, unpacking them")
    if pip.returncode != 0:
        sys.stderr.write("\n".join(lines[-25:]) + "\n")
        sys.exit("marketbill: pip could not install the packages (its last lines are above); start again to retry.")


def write_import_roots() -> None:
    """Put our own packages on the path of .venv."""
    shown = subprocess.check_output([str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    roots = "".join(f"{ROOT / name}\n" for name in IMPORT_ROOTS)
    (Path(shown.decode().strip()) / "_marketbill.pth").write_text(roots)


def write_program() -> None:
    """.venv/bin/marketbill, for those who activate .venv."""
    program = VENV / "bin" / "marketbill"
    program.write_text(f'#!/bin/sh\nexec "{PYTHON}" -m marketbill "$@"\n')
    program.chmod(0o755)


def compile_sources() -> None:
    """Once here, so that the programs of the first start do not all do it at the same time."""
    roots = [str(ROOT / name) for name in IMPORT_ROOTS]
    succeeds([str(PYTHON), "-m", "compileall", "-q", *roots])


def succeeds(command: "list[str]") -> bool:
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def run(command: "list[str]", failure: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        sys.exit(f"marketbill: {failure}.")


def say(text: str) -> None:
    sys.stderr.write(f"marketbill: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nmarketbill: stopped.")
