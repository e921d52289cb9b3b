"""The whole product on one machine, in one folder, under one owner: what `marketbill up` and `marketbill demo` run."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from marketbill.embedded.failures import EmbeddedFailure, ProcessFailed, ProcessSlow
from marketbill.embedded.folder import FolderLock, default_data_folder, prepare_folder
from marketbill.embedded.keys import kept_keys
from marketbill.embedded.ports import choose_port
from marketbill.embedded.postgres import EmbeddedPostgres
from marketbill.embedded.process import Guard, Process, last_lines
from marketbill.embedded.programs import Addresses, Program, marketbill_programs
from marketbill.embedded.provision import LOGIN_ROLE, provision
from marketbill.embedded.running import RunningStack, end_leftovers, forget_running, settings_of, write_running
from marketbill.embedded.supervisor import Member, Supervisor
from marketbill.embedded.valkey import EmbeddedValkey

DATABASE = "marketbill"
API_PORT = 8000
SANDBOX_PORT = 8001
#: How long the programs may take from their start to their first healthy answer.
_HEALTHY_S = 60.0
_HEALTHY_POLL_S = 0.03
#: A log that is longer than this, in bytes, is put aside at the next start; so many old ones are kept.
_LOG_MAX = 5_000_000
_LOGS_KEPT = 3

Migrate = Callable[[str], Awaitable[None]]


def print_line(text: str) -> None:
    """The default report: one line on the error stream."""
    print(f"marketbill: {text}", file=sys.stderr, flush=True)


class Stack:
    """A machine in a data folder: PostgreSQL, Valkey, the sandbox provider, API, workers and relay.

    Entering returns when everything is healthy; leaving ends every process. Enter it in the main thread: there SIGTERM
    and SIGHUP end the machine in order. When this process is killed, all others end by themselves.

    - `data`: the folder that holds everything; default: the user's data directory.
    - `api_port`, `sandbox_port`: 0 takes any free port. With STRIPE_SECRET_KEY set there is no sandbox.
    - `worker_threads`: jobs under way at once; default: the setting's own.
    - `report`: gets a line for whatever a person at the terminal should know.
    - `programs`, `migrate`: what runs, and what prepares the database; for tests.

    Raises an EmbeddedFailure whose text is the line to show: DataFolderInUse, DataFolderUnwritable, PortInUse,
    ProcessFailed, ProcessSlow and others.
    """

    def __init__(
        self,
        data: Path | None = None,
        *,
        api_port: int = API_PORT,
        sandbox_port: int = SANDBOX_PORT,
        worker_threads: int | None = None,
        report: Callable[[str], None] = print_line,
        programs: Callable[[Addresses], Sequence[Program]] = marketbill_programs,
        migrate: Migrate | None = None,
    ) -> None:
        self._wanted_data = data or default_data_folder()
        self._wanted_ports = (api_port, sandbox_port)
        self._worker_threads = worker_threads
        self._report = report
        self._programs = programs
        self._migrate = migrate
        self._children: list[Child] = []
        self._handlers_before: dict[signal.Signals, Any] = {}
        self._undo = ExitStack()
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> Stack:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """Whoever asked it to end, at whatever moment after its start, is told that it succeeded."""
        self.stop()
        return isinstance(error, _Asked)

    @property
    def data(self) -> Path:
        return self._data

    @property
    def api_url(self) -> str:
        return self._addresses.api_url

    @property
    def sandbox_url(self) -> str | None:
        return self._addresses.sandbox_url

    @property
    def bootstrap_key(self) -> str:
        return self._keys.bootstrap

    @property
    def environment(self) -> dict[str, str]:
        """The settings of every program of this machine, as environment variables."""
        return settings_of(self.running, self._keys)

    @property
    def running(self) -> RunningStack:
        """What `find_running` tells other processes."""
        pids = {child.program.name: child.pid for child in self._children if child.pid is not None}
        return RunningStack(
            data=self._data,
            pid=os.getpid(),
            api_url=self._addresses.api_url,
            sandbox_url=self._addresses.sandbox_url,
            database_url=self._postgres.url(database=DATABASE, user=LOGIN_ROLE),
            database_admin_url=self._postgres.url(database=DATABASE),
            broker_url=self._valkey.url(),
            processes={"postgres": self._postgres.process.pid, "valkey": self._valkey.process.pid, **pids},
        )

    def check(self) -> None:
        """Raises the failure that ended the machine's supervision, when there was one."""
        if self._supervisor is not None and self._supervisor.failure is not None:
            raise self._supervisor.failure

    def wait_forever(self) -> None:
        """Return at Ctrl-C, SIGTERM or SIGHUP. Raises ProcessKeepsDying when a process cannot be kept alive."""
        if self._supervisor is None:
            raise RuntimeError("the stack was not started")
        with contextlib.suppress(KeyboardInterrupt, _Asked):
            self._supervisor.failed.wait()
        self.check()

    def stop(self) -> None:
        """End every process and give the folder back. Safe to call at any time, more than once."""
        with _deaf():
            self._undo.close()
        while self._handlers_before:
            signal.signal(*self._handlers_before.popitem())

    def _start(self) -> None:
        self._data = prepare_folder(self._wanted_data)
        lock = FolderLock(self._data)
        lock.acquire()
        self._undo.callback(lock.release)
        self._undo.callback(forget_running, self._data)
        self._listen_to_signals()
        end_leftovers(self._data)
        self._addresses = self._choose_addresses()
        self._keys = kept_keys(self._data)
        self._guard = self._undo.enter_context(Guard())
        self._undo.callback(self._end_all)
        logs = self._data / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        for log in logs.glob("*.log"):
            _put_aside(log)
        self._postgres = EmbeddedPostgres(self._data / "postgres", guard=self._guard, log=logs / "postgres.log")
        self._valkey = EmbeddedValkey(self._data / "valkey", guard=self._guard, log=logs / "valkey.log")
        self._start_servers()
        self._start_programs(needs_database=True)
        write_running(self.running)
        self._await_healthy()
        self._supervise()

    def _start_servers(self) -> None:
        # What takes long on the processor goes on side by side: the sandbox's imports, Valkey's loading, initdb, and
        # the imports of the migrations.
        self._start_programs(needs_database=False)
        self._valkey.start_loading()
        migrations = threading.Thread(target=_import_migrations, daemon=True)
        if self._migrate is None:
            migrations.start()
        self._postgres.start()
        _run(provision(server_url=self._postgres.url(driver="postgresql"), database=DATABASE))
        if self._migrate is None:
            migrations.join()
        _run(self._prepare_database(self._postgres.url(database=DATABASE)))
        self._valkey.await_ready()

    async def _prepare_database(self, admin_url: str) -> None:
        migrate = self._migrate or import_module("marketbill.migrate").upgrade
        await migrate(admin_url)

    def _start_programs(self, *, needs_database: bool) -> None:
        environment = self._child_environment(settings_of(self.running, self._keys) if needs_database else {})
        for program in self._programs(self._addresses):
            if program.needs_database == needs_database:
                log = self._data / "logs" / f"{program.name}.log"
                child = Child(program, guard=self._guard, environment=environment, log=log)
                self._children.append(child)
                child.launch()

    def _child_environment(self, settings: dict[str, str]) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if name != "SANDBOX_URL"}
        environment |= settings | {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
        # An idle queue is polled with a growing pause up to this many milliseconds; the default adds half a second.
        environment.setdefault("dramatiq_worker_timeout", "50")
        if self._worker_threads is not None:
            environment["WORKER_THREADS"] = str(self._worker_threads)
        return environment

    def _choose_addresses(self) -> Addresses:
        api_port, sandbox_port = self._wanted_ports
        return Addresses(
            data=self._data,
            api_port=choose_port(api_port, option="--port"),
            sandbox_port=None
            if os.environ.get("STRIPE_SECRET_KEY")
            else choose_port(sandbox_port, option="--sandbox-port"),
        )

    def _await_healthy(self) -> None:
        deadline = time.monotonic() + _HEALTHY_S
        waiting = list(self._children)
        while waiting:
            for child in self._children:
                code = child.exit_code()
                if code is not None:
                    raise ProcessFailed(
                        name=child.program.name, exit_code=code, log=child.log, last_lines=last_lines(child.log)
                    )
            waiting = [child for child in waiting if not child.is_healthy()]
            if waiting and time.monotonic() > deadline:
                raise ProcessSlow(name=waiting[0].program.name, deadline_s=_HEALTHY_S, log=waiting[0].log)
            time.sleep(_HEALTHY_POLL_S)

    def _supervise(self) -> None:
        logs = self._data / "logs"
        members = [
            Member(name="postgres", process=self._postgres, log=logs / "postgres.log"),
            Member(name="valkey", process=self._valkey, log=logs / "valkey.log"),
            *(Member(name=child.program.name, process=child, log=child.log) for child in self._children),
        ]
        self._supervisor = Supervisor(
            members, guard=self._guard, report=self._report, changed=lambda: write_running(self.running)
        )
        self._supervisor.start()

    def _end_all(self) -> None:
        if self._supervisor is not None:
            self._supervisor.pause()
        for child in self._children:
            child.ask_to_end()
        with ThreadPoolExecutor(max_workers=8) as side_by_side:
            list(side_by_side.map(Child.end, self._children))
            # The books last: nobody writes to them any more.
            if hasattr(self, "_valkey"):
                self._valkey.ask_to_end()
                self._postgres.ask_to_end()
                self._valkey.stop()
                self._postgres.stop()
        if self._supervisor is not None:
            self._supervisor.stop()

    def _listen_to_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers_before[number] = signal.signal(number, _end_in_order)


class Child:
    """One of our own programs as a process."""

    def __init__(self, program: Program, *, guard: Guard, environment: dict[str, str], log: Path) -> None:
        self.program = program
        self.log = log
        self._guard = guard
        self._environment = environment
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def launch(self) -> None:
        """Start the process; also starts it again after it died."""
        self._process = Process(
            self.program.name,
            [sys.executable, *self.program.arguments],
            guard=self._guard,
            env=self._environment,
            log=self.log,
            folder=self.log.parent,
        )

    def exit_code(self) -> int | None:
        return self._process.exit_code() if self._process else None

    def is_healthy(self) -> bool:
        """Whether its health address answers 200; a program without one is healthy while it runs."""
        if self.program.health_url is None:
            return self.exit_code() is None
        address = urlsplit(self.program.health_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=2)
        try:
            connection.request("GET", address.path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def ask_to_end(self) -> None:
        if self._process:
            self._process.ask_to_end()

    def end(self) -> None:
        if self._process:
            self._process.end()


class _Asked(SystemExit):
    """Somebody asked this process to end with a signal."""


def _end_in_order(number: int, _: FrameType | None) -> None:
    raise _Asked(128 + number)


@contextlib.contextmanager
def _deaf() -> Any:
    """Ignore requests to end while everything is being ended; it takes no longer than the processes' grace."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)


def _run(work: Awaitable[None]) -> None:
    """Await in a thread of its own, so that a caller inside an event loop can use the stack too."""

    async def awaited() -> None:
        await work

    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, awaited()).result()


def _import_migrations() -> None:
    with contextlib.suppress(ImportError):
        import_module("marketbill.migrate")


def _put_aside(log: Path) -> None:
    try:
        if log.stat().st_size <= _LOG_MAX:
            return
        for number in range(_LOGS_KEPT - 1, 0, -1):
            older = log.with_name(f"{log.name}.{number}")
            if older.exists():
                older.rename(log.with_name(f"{log.name}.{number + 1}"))
        log.rename(log.with_name(f"{log.name}.1"))
    except OSError as error:
        raise EmbeddedFailure(f"cannot put aside the log {log}: {error.strerror}") from error
