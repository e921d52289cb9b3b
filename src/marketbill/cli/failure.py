"""Failures: any exception becomes one line that says what to do, and an exit code. No traceback reaches a terminal."""

import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from marketbill.errors import Refusal

FAILED = 1
USAGE = 2
INTERRUPTED = 130

#: Exceptions whose text is the line to show.
_SPEAKS_FOR_ITSELF = (
    ("marketbill.embedded.failures", "EmbeddedFailure"),
    ("marketbill.demo.sandbox", "SandboxUnreachable"),
    ("marketbill.demo.api", "OperationFailed"),
    ("marketbill.demo.patience", "NeverHappened"),
    ("marketbill.demo.course", "DayWentWrong"),
    ("marketbill_workers.broker", "UnknownBroker"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What the terminal shows, and the exit code."""

    line: str
    exit_code: int = FAILED


class CommandRefused(Exception):
    """A command that cannot do its work; the text is the line to show."""

    exit_code = FAILED


class WrongUse(CommandRefused):
    """A command that was called wrongly."""

    exit_code = USAGE


def refuse_with_stripe(what: str) -> None:
    """Raises CommandRefused when marketbill works with Stripe itself."""
    if os.environ.get("STRIPE_SECRET_KEY"):
        raise CommandRefused(f"STRIPE_SECRET_KEY is set, so the sandbox is out of reach: {what}")


def failure_of(error: Exception) -> Failure:
    """The line and exit code of an exception."""
    if isinstance(error, CommandRefused):
        return Failure(str(error), error.exit_code)
    if isinstance(error, Refusal):
        where = ".".join(error.path)
        return Failure(f"{where}: {error.message}" if where else error.message)
    if _is(error, "marketbill.config", "SettingsMissing"):
        return Failure(f"settings: {error} (see `marketbill config`)", USAGE)
    if any(_is(error, module, name) for module, name in _SPEAKS_FOR_ITSELF):
        return Failure(str(error))
    if _is(error, "marketbill.sandbox.store", "StateInUse"):
        return Failure(f"{error}: stop the other sandbox, or name another file with --state")
    if _is(error, "marketbill.crypto", "UnreadableSecret"):
        return Failure(
            "a stored secret cannot be read: MARKETBILL_SECRET_KEY is not the key it was stored with; set the old one"
        )
    if database := _database_failure(error):
        return database
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return Failure(f"{error.filename or 'file'}: {error.strerror}")
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        return Failure(f"{named}{error.strerror or error}")
    return Failure(_defect(error))


def _database_failure(error: BaseException | None) -> Failure | None:
    """SQLAlchemy and asyncpg, wherever they are in the chain of causes."""
    seen = 0
    while error is not None and seen < 10:
        if _is(error, "asyncpg", "PostgresError"):
            return Failure(f"the database refused: {' '.join(str(error).split())}")
        if _is(error, "marketbill.db", "NotADatabase"):
            return Failure(
                "DATABASE_URL is not a database address: write postgresql://user:password@host/database", USAGE
            )
        if isinstance(error, ConnectionRefusedError):
            return Failure(f"cannot connect ({error.strerror or error}): is the server running at that address?")
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None


def _defect(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "marketbill" in frame.filename] or list(frames)
    where = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    text = " ".join(str(error).split())[:300]
    return f"internal error: {type(error).__name__}: {text}{where}; a defect, LOG_LEVEL=DEBUG shows more"


def _is(error: BaseException, module: str, name: str) -> bool:
    # A module that was never imported cannot have raised it; importing it here would cost every command its time.
    loaded = sys.modules.get(module)
    found = getattr(loaded, name, None) if loaded else None
    return found is not None and isinstance(error, found)
