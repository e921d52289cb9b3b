"""What can go wrong when a machine is built inside a folder; each failure is one line a person can act on."""

from __future__ import annotations

from pathlib import Path


class EmbeddedFailure(Exception):
    """The embedded machine cannot start or cannot go on; the text is the line to show."""


class DataFolderInUse(EmbeddedFailure):
    """Another process owns the data folder; `owner_pid` is its process id when it could be read."""

    def __init__(self, *, folder: Path, owner_pid: int | None) -> None:
        self.folder = folder
        self.owner_pid = owner_pid
        by = f" by process {owner_pid}" if owner_pid else ""
        super().__init__(f"data folder {folder} is in use{by}: stop that one first, or name another folder with --data")


class DataFolderUnwritable(EmbeddedFailure):
    """The data folder cannot be created or written."""

    def __init__(self, *, folder: Path, reason: str) -> None:
        self.folder = folder
        self.reason = reason
        super().__init__(f"cannot write in data folder {folder}: {reason}; name another folder with --data")


class PortInUse(EmbeddedFailure):
    """We cannot listen on a port; `option` is the command-line option that chooses another."""

    def __init__(self, *, port: int, option: str, reason: str = "busy") -> None:
        self.port = port
        self.option = option
        self.reason = reason
        super().__init__(f"port {port} is not free ({reason}): choose another with {option} (0 takes any free port)")


class BinariesMissing(EmbeddedFailure):
    """Neither the installed package nor the system has the server program."""

    def __init__(self, *, program: str, remedy: str) -> None:
        self.program = program
        super().__init__(f"no {program} program found on this machine: {remedy}")


class UserUnknown(EmbeddedFailure):
    """The user id we run as has no entry in the password database, which PostgreSQL insists on."""

    def __init__(self, *, uid: int) -> None:
        self.uid = uid
        super().__init__(
            f"user id {uid} has no name on this machine and PostgreSQL refuses to run without one: "
            "add it to /etc/passwd, or use a database of your own with DATABASE_URL"
        )


class SocketFolderTaken(EmbeddedFailure):
    """The folder for our sockets exists and belongs to somebody else."""

    def __init__(self, *, folder: Path) -> None:
        self.folder = folder
        super().__init__(f"{folder} exists and is not ours: remove it, or name another data folder with --data")


class ProcessFailed(EmbeddedFailure):
    """A process ended while it was starting; carries its exit code and the last lines of its log."""

    def __init__(self, *, name: str, exit_code: int, log: Path, last_lines: str) -> None:
        self.name = name
        self.exit_code = exit_code
        self.log = log
        self.last_lines = last_lines
        how = f"killed by signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
        tail = f"\n{last_lines}" if last_lines else ""
        super().__init__(f"{name} ended while starting ({how}); its log is {log}{tail}")


class ProcessSlow(EmbeddedFailure):
    """A process did not become ready before its deadline, in seconds."""

    def __init__(self, *, name: str, deadline_s: float, log: Path) -> None:
        self.name = name
        self.deadline_s = deadline_s
        self.log = log
        super().__init__(f"{name} was not ready within {deadline_s:.0f} seconds; its log is {log}")


class ProcessKeepsDying(EmbeddedFailure):
    """A process was restarted as often as allowed and died again."""

    def __init__(self, *, name: str, restarts: int, log: Path) -> None:
        self.name = name
        self.restarts = restarts
        self.log = log
        super().__init__(f"{name} ended again after {restarts} restarts, giving up; its log is {log}")
