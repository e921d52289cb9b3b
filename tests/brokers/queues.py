"""A broker's queue of one test: its own name, whether it is busy, and nothing left of it afterwards."""

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pika
import redis
from dramatiq.common import dq_name, xq_name
from pika.exceptions import ChannelClosedByBroker

Trace = Callable[[], Sequence[str]]


@dataclass
class RedisQueue:
    """On Redis or Valkey."""

    url: str
    name: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        self._client: Any = redis.Redis.from_url(self.url)

    def busy(self, trace: Trace) -> bool:
        """Whether a message waits, is late or is worked on."""
        return any(self._client.hlen(f"{self.name}:{queue}.msgs") for queue in (self.name, dq_name(self.name)))

    def messages(self) -> list[dict[str, Any]]:
        """What waits or is worked on."""
        return [json.loads(body) for body in self._client.hvals(f"{self.name}:{self.name}.msgs")]

    def forget(self) -> None:
        """Deletes every key of ours."""
        keys = list(self._client.scan_iter(f"{self.name}:*"))
        if keys:
            self._client.delete(*keys)

    def close(self) -> None:
        self.forget()
        self._client.close()


@dataclass
class RabbitmqQueue:
    """On RabbitMQ: three queues, declared by whoever uses them first."""

    url: str
    name: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(self.url))

    def busy(self, trace: Trace) -> bool:
        """Whether a message waits, or a job of the living worker has begun and not ended."""
        for queue in (self.name, dq_name(self.name)):
            if self._waiting(queue):
                return True
        lines = trace()
        since = max((place for place, line in enumerate(lines) if line == "START worker"), default=0)
        return lines[since:].count("BEGIN") != lines[since:].count("END")

    def messages(self) -> list[dict[str, Any]]:
        """What waits; each message is looked at and put back."""
        channel = self._connection.channel()
        bodies: list[bytes] = []
        try:
            while True:
                taken, _, body = channel.basic_get(self.name)
                if taken is None:
                    break
                bodies.append(body)
        except ChannelClosedByBroker:  # nobody has declared it yet
            return []
        channel.basic_nack(0, multiple=True, requeue=True) if bodies else None
        channel.close()
        return [json.loads(body) for body in bodies]

    def _waiting(self, queue: str) -> int:
        channel = self._connection.channel()
        try:
            return channel.queue_declare(queue, passive=True).method.message_count
        except ChannelClosedByBroker:  # nobody has declared it yet
            return 0
        finally:
            if channel.is_open:
                channel.close()

    def forget(self) -> None:
        """Empties the queues."""
        for queue in self._queues():
            channel = self._connection.channel()
            try:
                channel.queue_purge(queue)
                channel.close()
            except ChannelClosedByBroker:
                continue

    def close(self) -> None:
        channel = self._connection.channel()
        for queue in self._queues():
            channel.queue_delete(queue)
        self._connection.close()

    def _queues(self) -> tuple[str, str, str]:
        return self.name, dq_name(self.name), xq_name(self.name)


Queue = RedisQueue | RabbitmqQueue
