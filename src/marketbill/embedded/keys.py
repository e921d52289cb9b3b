"""The keys of an embedded machine: made once, kept in its data folder, readable by their owner only."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Keys:
    """`secret` encrypts credentials and signs tokens; `bootstrap` allows the first platform to be created."""

    secret: str
    bootstrap: str


def kept_keys(folder: Path) -> Keys:
    """The keys of this data folder; they are made when it has none."""
    return Keys(
        secret=_kept(folder / "secret.key", lambda: base64.urlsafe_b64encode(os.urandom(32)).decode()),
        bootstrap=_kept(folder / "bootstrap.key", lambda: f"mb_bootstrap_{secrets.token_urlsafe(24)}"),
    )


def _kept(path: Path, make: Callable[[], str]) -> str:
    try:
        if kept := path.read_text().strip():
            return kept
    except FileNotFoundError:
        pass
    value = make()
    write_private(path, f"{value}\n")
    return value


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; a reader sees the old text or the new, never half of it."""
    written = path.with_name(f".{path.name}.new")
    written.unlink(missing_ok=True)
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    written.rename(path)
