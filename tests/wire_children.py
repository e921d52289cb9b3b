"""Sandboxes in programs that a test starts: they are watched like those of the test's own process.

Every Python started below finds a `sitecustomize` by `PYTHONPATH`. It does nothing until that program imports the
sandbox; then its exchanges are checked there, and what is found goes to a file that the test's process reads.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_SITE = '''\
"""Watches the sandbox of this program, should it have one, for the tests that started it."""

import sys


class Watch:
    def find_spec(self, name, path=None, target=None):
        if name != "marketbill.sandbox.app":
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        found = find_spec(name)
        execute = found.loader.exec_module

        def exec_module(module):
            execute(module)
            sys.path.append({checkout!r})
            from tests import wire

            wire.watch_sandboxes_of_child({specification!r}, {findings!r})

        found.loader.exec_module = exec_module
        return found


sys.meta_path.insert(0, Watch())
'''


class Children:
    """The programs started from now on. To be made once in a process, and closed at its end."""

    def __init__(self, specification: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="marketbill-wire-")
        folder = Path(self._folder.name)
        self._findings = folder / "findings.txt"
        self._findings.touch()
        self._read = 0
        (folder / "sitecustomize.py").write_text(
            _SITE.format(
                checkout=str(Path(__file__).resolve().parents[1]),
                specification=str(specification),
                findings=str(self._findings),
            )
        )
        self._before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (self._folder.name, self._before)))

    def findings_taken(self) -> list[str]:
        """Return what they found since the last call."""
        if self._findings.stat().st_size == self._read:
            return []
        with self._findings.open() as file:
            file.seek(self._read)
            found = file.read()
        self._read += len(found.encode())
        return found.splitlines()

    def close(self) -> None:
        if self._before is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = self._before
        self._folder.cleanup()
