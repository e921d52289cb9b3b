"""The broker: Redis (or Valkey) or RabbitMQ, by URL, with the middleware that our jobs need and no more.

A message carries no work that the database does not know of: jobs say "look at this platform", and what there is to do
is in our tables. So a message may be lost, doubled or late without harm; the few retries here only bridge a restart.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import redis
from dramatiq import Broker, Middleware
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AgeLimit, AsyncIO, Retries, TimeLimit

QUEUE = "marketbill"
#: The beginning of every key of ours in Redis.
NAMESPACE = "marketbill"
#: Milliseconds.
JOB_TIME_LIMIT_MS = 5 * 60_000
JOB_AGE_LIMIT_MS = 60 * 60_000
RETRIES_MAX = 3
RETRY_FIRST_MS = 500
RETRY_LONGEST_MS = 15_000
#: An idle worker asks Redis this often; the library's own second is the median latency of a quiet system.
IDLE_POLL_MS = 50
#: A worker that has not been heard of for so long is dead, and what it held is given to others.
HEARTBEAT_TIMEOUT_MS = 15_000
#: How many of a million commands look for dead workers: with idle polling, every second or so.
MAINTENANCE_CHANCE = 40_000
#: Messages that gave up are kept this long in the broker; their causes are in our tables.
DEAD_MESSAGE_TTL_MS = 24 * 60 * 60_000
SOCKET_SECONDS = 5.0

REDIS_SCHEMES = ("redis", "rediss", "unix")
RABBITMQ_SCHEMES = ("amqp", "amqps")


class UnknownBroker(Exception):
    """BROKER_URL has a scheme that no broker of ours speaks."""


class PromptRedisBroker(RedisBroker):
    """A Redis broker whose consumers never sleep longer than `IDLE_POLL_MS`."""

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = IDLE_POLL_MS) -> Any:
        return super().consume(queue_name, prefetch, min(timeout, IDLE_POLL_MS))


def build_broker(url: str, *extra: Middleware) -> Broker:
    """A broker that connects when it is first used. `extra` middleware runs within the event loop's.

    Raises UnknownBroker.
    """
    scheme = urlsplit(url).scheme
    middleware: Sequence[Middleware] = [
        AgeLimit(max_age=JOB_AGE_LIMIT_MS),
        TimeLimit(time_limit=JOB_TIME_LIMIT_MS),
        Retries(max_retries=RETRIES_MAX, min_backoff=RETRY_FIRST_MS, max_backoff=RETRY_LONGEST_MS),
        AsyncIO(),
        *extra,
    ]
    if scheme in REDIS_SCHEMES:
        client = redis.Redis.from_url(
            url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=SOCKET_SECONDS, health_check_interval=30
        )
        return PromptRedisBroker(
            client=client,
            middleware=middleware,
            namespace=NAMESPACE,
            heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
            maintenance_chance=MAINTENANCE_CHANCE,
            dead_message_ttl=DEAD_MESSAGE_TTL_MS,
        )
    if scheme in RABBITMQ_SCHEMES:
        return RabbitmqBroker(url=url, middleware=list(middleware), confirm_delivery=True)
    raise UnknownBroker(
        f"BROKER_URL begins with {scheme}://; use one of {', '.join(REDIS_SCHEMES + RABBITMQ_SCHEMES)}."
    )
