"""Many things done one after the other, each alone: what is wrong with one of them keeps none of the others waiting."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from marketbill.errors import Unavailable, told

log = structlog.get_logger("marketbill.defects")


class Defects:
    """What went wrong with some things of many: noted, so that the others go on, and raised in the end.

    Not for what is done in one transaction, which is one thing.
    """

    def __init__(self) -> None:
        self._first: Exception | None = None

    @contextmanager
    def of(self, thing: str) -> Iterator[None]:
        """Notes what is raised of `thing`, in whose own transaction it happens. Unavailable ends them all."""
        try:
            yield
        except Unavailable:
            raise
        except Exception as defect:
            log.error("something could not be done, the others go on", thing=thing, error=told(defect))
            self._first = self._first or defect

    def end(self) -> None:
        """Raises the first of them, where there was one: the job failed, and is seen to."""
        if self._first is not None:
            raise self._first
