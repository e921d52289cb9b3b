"""A file that is whole or not there: written beside its place, and put there at its end."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from marketbill.cli.failure import CommandRefused

#: Names the standard output.
STDOUT = Path("-")


@contextmanager
def output(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of the one at `path` when the block ends well, and else leaves no trace.

    What is no ordinary file (the standard output, a device, a pipe) is written to as it is. Raises CommandRefused for
    a place that cannot be written.
    """
    if path == STDOUT:
        yield sys.stdout.buffer
        return
    place = path.resolve()
    if place.is_dir():
        raise CommandRefused(f"{path} is a folder: name a file in it")
    if not place.parent.is_dir():
        raise CommandRefused(f"{path} cannot be written: there is no folder {place.parent}")
    if place.exists() and not place.is_file():
        with place.open("wb") as file:
            yield file
        return
    if place.exists() and not os.access(place, os.W_OK):
        raise CommandRefused(f"{path} cannot be written: it is read-only")
    draft = place.with_name(f".{place.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        file = draft.open("xb")
    except OSError as error:
        raise CommandRefused(f"{path} cannot be written: {error.strerror}") from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            draft.chmod(place.stat().st_mode & 0o7777)
        draft.replace(place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
