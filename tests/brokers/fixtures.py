"""The brokers that the suite runs over: Valkey always, Redis and RabbitMQ where they are there.

They are looked for at their usual local ports, or where MARKETBILL_TEST_REDIS_URL and MARKETBILL_TEST_RABBITMQ_URL say;
one that was named and does not answer fails the tests, one that was not is skipped. Every test has names of its own
there, so that any number run side by side, and takes them away at its end.
"""

import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from tests.brokers.queues import Queue, RabbitmqQueue, RedisQueue

from marketbill_workers import broker, jobs, relay

BROKERS = ("valkey", "redis", "rabbitmq")
_LOCAL = {
    "redis": ("MARKETBILL_TEST_REDIS_URL", "redis://127.0.0.1:6379/0", RedisQueue),
    "rabbitmq": ("MARKETBILL_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672", RabbitmqQueue),
}


def queue_at(name: str, valkey_url: str) -> Queue:
    """A queue of one test at the broker of this name; skips the test where there is none."""
    if name == "valkey":
        return RedisQueue(valkey_url)
    variable, usual, make = _LOCAL[name]
    url = os.environ.get(variable)
    if url is None and not _answers(usual):
        pytest.skip(f"no {name} at {urlsplit(usual).netloc.rpartition('@')[2]} (set {variable} to use another)")
    return make(url or usual)


@pytest.fixture(params=BROKERS)
def queue(request: pytest.FixtureRequest, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """A queue of this test's own; what this process builds of broker and relay uses it."""
    made = queue_at(request.param, valkey_url)
    monkeypatch.setattr(broker, "NAMESPACE", made.name)
    for module in (broker, jobs, relay):
        monkeypatch.setattr(module, "QUEUE", made.name)
    yield made
    made.close()


def _answers(url: str) -> bool:
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=1):
            return True
    except OSError:
        return False
