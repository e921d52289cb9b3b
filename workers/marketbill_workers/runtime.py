"""What a worker process holds while it works: the services, made on its event loop and closed with it."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import structlog
from dramatiq import Broker, Middleware, Worker
from dramatiq.asyncio import get_event_loop_thread

from marketbill.config import Settings
from marketbill.ids import PlatformId, public_id
from marketbill.services import Services

T = TypeVar("T")
log = structlog.get_logger("marketbill.workers")
#: Jobs that take longer, in seconds, are worth a line at the level INFO.
SLOW_SECONDS = 5.0


class Runtime(Middleware):
    """Makes the services when the worker boots, and closes them when its last job has ended.

    Its place is after the AsyncIO middleware: hooks named `before` run in order, those named `after` in reverse, so the
    event loop is there both times.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._services: Services | None = None

    @property
    def services(self) -> Services:
        """The services of this worker process; there are none before it booted."""
        if self._services is None:
            raise RuntimeError("the worker has not booted")
        return self._services

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        async def open() -> Services:
            return Services.create(self._settings, application="marketbill worker")

        self._services = _run(open())

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        if self._services is not None:
            _run(self._services.close())
            self._services = None

    async def for_platform(self, job: Callable[[Services, PlatformId], Awaitable[object]], platform: str) -> None:
        """Runs a job of one platform, with the platform named in every line that it logs."""
        id = PlatformId(UUID(platform))
        with structlog.contextvars.bound_contextvars(job=job.__name__, platform=public_id("platform", id)):
            started = time.monotonic()
            await job(self.services, id)
            seconds = round(time.monotonic() - started, 3)
            log.log(20 if seconds > SLOW_SECONDS else 10, "job done", seconds=seconds)


def _run(work: Awaitable[T]) -> T:
    loop = get_event_loop_thread()
    if loop is None:
        raise RuntimeError("the AsyncIO middleware must come before this one")
    return loop.run_coroutine(work)
