"""The relay: hands what the outbox owes to the broker, and ticks the schedule. Run one or many; two do no harm.

A message is deleted in the transaction in which the broker took it, so a crash between the two sends it again and never
loses it. When the broker or the database is away, the relay waits and says so once.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import dramatiq
import redis
import structlog
from dramatiq import Broker
from dramatiq.errors import BrokerError
from pika.exceptions import AMQPError

from marketbill import logs
from marketbill.config import Settings
from marketbill.db import Database
from marketbill.errors import Unavailable
from marketbill.events import outbox
from marketbill.events.outbox import Job
from marketbill_workers import sandbox_clock
from marketbill_workers.broker import QUEUE, build_broker
from marketbill_workers.sandbox_clock import SandboxAway
from marketbill_workers.schedule import Schedule

log = structlog.get_logger("marketbill.relay")

#: Seconds between two looks into the outbox: after one that found work (equal jobs gather meanwhile and become one),
#: and after one that found none.
BUSY_SECONDS = 0.1
IDLE_SECONDS = 0.05
#: Seconds between two ticks of the schedule.
TICK_SECONDS = 1.0
#: Seconds to wait after a failure; doubles from the first to the second.
FAILURE_FIRST_SECONDS = 0.25
FAILURE_LONGEST_SECONDS = 10.0

BROKER_AWAY = (redis.RedisError, BrokerError, AMQPError, OSError)


class BrokerAway(Exception):
    """The broker did not take a job."""


#: What cannot be reached, by what it raises; everything else is the database.
_AWAY: dict[type[Exception], str] = {BrokerAway: "broker", SandboxAway: "sandbox"}


class Relay:
    """Moves jobs from the outbox to the broker until `stop` is set. `sandbox_url`: whose time the platforms follow."""

    def __init__(self, db: Database, broker: Broker, stop: asyncio.Event, *, sandbox_url: str | None = None) -> None:
        self._db = db
        self._sandbox_url = sandbox_url
        self._broker = broker
        self._schedule = Schedule(db)
        self._stop = stop
        # One thread: the client blocks, and RabbitMQ's belongs to the thread that opened it.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="broker")

    async def run(self) -> None:
        try:
            loops = [
                self._repeat("outbox", self._pass_on, IDLE_SECONDS),
                self._repeat("schedule", self._tick, TICK_SECONDS),
            ]
            if self._sandbox_url is not None:
                loops.append(self._repeat("clock", self._follow, TICK_SECONDS))
            await asyncio.gather(*loops)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def pass_on(self) -> int:
        """One look into the outbox; gives the number of messages taken. Raises BrokerAway, Unavailable."""
        async with self._db.system() as scope:
            return await outbox.relay(scope, self._send)

    async def _pass_on(self) -> float:
        taken = await self.pass_on()
        return IDLE_SECONDS if taken == 0 else 0.0 if taken == outbox.TAKE_LIMIT else BUSY_SECONDS

    async def _tick(self) -> float:
        for name in await self._schedule.tick():
            log.debug("scheduled", job=name)
        return TICK_SECONDS

    async def _follow(self) -> float:
        if self._sandbox_url is not None and await sandbox_clock.follow(self._db, self._sandbox_url):
            log.info("time moved with the sandbox's")
        return TICK_SECONDS

    async def _send(self, jobs: Sequence[Job]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._send_now, jobs)

    def _send_now(self, jobs: Sequence[Job]) -> None:
        try:
            for job in jobs:
                self._broker.enqueue(
                    dramatiq.Message(queue_name=QUEUE, actor_name=job.actor, args=job.arguments, kwargs={}, options={})
                )
        except BROKER_AWAY as error:
            raise BrokerAway(type(error).__name__) from error

    async def _repeat(self, name: str, work: Callable[[], Awaitable[float]], pause: float) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                pause = await work()
                if failures:
                    log.info("works again", loop=name, failures=failures)
                failures = 0
            except (BrokerAway, SandboxAway, Unavailable) as error:
                failures += 1
                if failures == 1:
                    away = _AWAY.get(type(error), "database")
                    log.warning(f"the {away} cannot be reached, waiting for it", loop=name, error=str(error))
                pause = min(FAILURE_FIRST_SECONDS * 2 ** min(failures - 1, 10), FAILURE_LONGEST_SECONDS)
            await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        if seconds > 0:
            try:
                await asyncio.wait_for(self._stop.wait(), seconds)
            except TimeoutError:
                return


def run(settings: Settings) -> None:
    """Runs a relay until SIGTERM or SIGINT."""
    logs.configure(settings.log_level)
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    db = Database(settings.database_url.get_secret_value(), pool_size=2, application="marketbill relay")
    broker = build_broker(settings.broker_url.get_secret_value())
    log.info("relay started")
    try:
        await Relay(db, broker, stop, sandbox_url=settings.provider_base_url).run()
    finally:
        broker.close()
        await db.dispose()
        log.info("relay stopped")
