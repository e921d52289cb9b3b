"""A worker whose one job says that it began and then waits until it may end. Run by `test_worker_processes`."""

import asyncio
import os

import dramatiq
import redis
from dramatiq import Broker

from marketbill_workers import broker as brokers
from marketbill_workers.broker import build_broker
from marketbill_workers.main import OrderlyEnd

QUEUE = brokers.NAMESPACE = os.environ["TEST_QUEUE"]
#: The same mechanism as in production, with less patience.
HEARTBEAT_TIMEOUT_MS = 2_000


def set_up() -> Broker:
    brokers.HEARTBEAT_TIMEOUT_MS = HEARTBEAT_TIMEOUT_MS
    broker = build_broker(os.environ["BROKER_URL"], OrderlyEnd())
    client = redis.Redis.from_url(os.environ["SIGNS_URL"])

    @dramatiq.actor(actor_name="slow", queue_name=QUEUE, broker=broker)
    async def slow() -> None:
        client.rpush("began", os.getpid())
        while not client.exists("may_end"):  # noqa: ASYNC110 (the sign comes from another process)
            await asyncio.sleep(0.02)
        client.rpush("ended", os.getpid())

    dramatiq.set_broker(broker)
    return broker
