"""The one folder that holds everything of an embedded machine, its lock, and the short folder for its sockets."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import sys
import tempfile
import time
from pathlib import Path

from marketbill.embedded.failures import DataFolderInUse, DataFolderUnwritable, SocketFolderTaken
from marketbill.embedded.process import Account

#: How long a new owner waits for the lock: somebody who only asks whether it is held keeps it for microseconds.
_LOCK_WAIT_S = 1.0
_LOCK_POLL_S = 0.02


def default_data_folder() -> Path:
    """Where state lives when nobody names a folder: the user's own data directory of this operating system."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "marketbill"
    named = os.environ.get("XDG_DATA_HOME", "")
    return (Path(named) if os.path.isabs(named) else Path.home() / ".local" / "share") / "marketbill"


def prepare_folder(folder: Path) -> Path:
    """Create the folder when it is missing, and prove that we can write there. Raises DataFolderUnwritable."""
    try:
        folder = folder.expanduser().resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:
        raise DataFolderUnwritable(folder=folder, reason=getattr(error, "strerror", None) or str(error)) from error
    return folder


class FolderLock:
    """The ownership of a folder by one process; the kernel gives it back when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Own the folder, or raise DataFolderInUse."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _LOCK_WAIT_S
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                os.close(descriptor)
                raise DataFolderInUse(folder=self._folder, owner_pid=int(owner) if owner.isdigit() else None)
            time.sleep(_LOCK_POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_held(self) -> bool:
        """Whether any process owns the folder now."""
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _try_lock(descriptor)
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def socket_folder(folder: Path, *, account: Account | None = None) -> Path:
    """A private folder for the sockets of what lives in `folder`.

    Its path is short, because a socket's path may have 104 bytes on macOS, and follows from `folder` alone, so an owner
    that was killed leaves nothing that the next one does not use again.
    """
    owner = account.uid if account else os.geteuid()
    name = hashlib.sha256(f"{owner}:{folder}".encode()).hexdigest()[:16]
    path = Path("/tmp") / f"marketbill-{name}"  # noqa: S108  (owner and mode are checked below)
    try:
        path.mkdir(mode=0o700)
        if account:
            os.chown(path, account.uid, account.gid)
    except FileExistsError:
        pass
    found = path.lstat()
    # A folder left by the superuser between mkdir and chown is still ours to give away.
    if account and stat.S_ISDIR(found.st_mode) and found.st_uid == 0:
        os.chown(path, account.uid, account.gid)
        found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or stat.S_IMODE(found.st_mode) != 0o700:
        raise SocketFolderTaken(folder=path)
    return path
