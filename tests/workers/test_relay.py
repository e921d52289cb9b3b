"""The relay: from the outbox to the broker, through the loss of either."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dramatiq import Broker
from structlog.testing import capture_logs
from tests.brokers.queues import Queue, RedisQueue

from marketbill.db import Database
from marketbill.embedded.valkey import EmbeddedValkey
from marketbill.events import outbox
from marketbill.ids import PlatformId
from marketbill_workers.broker import NAMESPACE, UnknownBroker, build_broker
from marketbill_workers.relay import BrokerAway, Relay


def queued(queue: Queue) -> list[tuple[str, list[str]]]:
    """The actors and arguments that wait at the broker, without the scheduled jobs, which are of no platform."""
    return sorted((message["actor_name"], message["args"]) for message in queue.messages() if message["args"])


@asynccontextmanager
async def relaying(db: Database, broker: Broker) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(Relay(db, broker, stop).run())
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def owe(db: Database, platform: PlatformId, actor: str) -> None:
    async with db.write(platform) as scope:
        await outbox.enqueue(scope, actor, str(platform))


async def test_jobs_reach_the_broker_and_equal_ones_as_one(db: Database, platform: PlatformId, queue: Queue) -> None:
    for actor in ("handle_events", "execute_transfers", "handle_events"):
        await owe(db, platform, actor)
    async with relaying(db, build_broker(queue.url)):
        await until(lambda: len(queued(queue)) > 1)
        await owe(db, platform, "execute_payouts")
        await until(lambda: len(queued(queue)) > 2)
    assert queued(queue) == [
        (actor, [str(platform)]) for actor in ("execute_payouts", "execute_transfers", "handle_events")
    ]


async def test_two_relays_send_each_job_once(db: Database, platform: PlatformId, queue: Queue) -> None:
    actors = [f"job_{number:02}" for number in range(40)]
    async with relaying(db, build_broker(queue.url)), relaying(db, build_broker(queue.url)):
        for actor in actors:
            await owe(db, platform, actor)
        await until(lambda: len(queued(queue)) >= len(actors))
    assert [actor for actor, _ in queued(queue)] == actors


async def test_jobs_wait_while_the_broker_is_away_and_go_when_it_is_back(
    db: Database, platform: PlatformId, tmp_path: Path
) -> None:
    valkey = EmbeddedValkey(tmp_path / "valkey", durable=False)
    valkey.start()
    url = valkey.url()
    broker, queue = build_broker(url), RedisQueue(url, NAMESPACE)
    try:
        with capture_logs() as lines:
            async with relaying(db, broker):
                await owe(db, platform, "first")
                await until(lambda: len(queued(queue)) == 1)
                valkey.stop()
                await owe(db, platform, "second")
                await until(lambda: any("broker cannot be reached" in line["event"] for line in lines))
                valkey = EmbeddedValkey(tmp_path / "valkey", durable=False)
                valkey.start()
                assert valkey.url() == url
                await until(lambda: queued(queue) == [("second", [str(platform)])])
        outages = [line for line in lines if "broker cannot be reached" in line["event"]]
        assert len(outages) == 1  # said once, not at every try
        assert [line["event"] for line in lines if line.get("loop") == "outbox"][-1] == "works again"
    finally:
        valkey.stop()


async def test_a_job_that_the_broker_did_not_take_stays_owed(db: Database, platform: PlatformId) -> None:
    await owe(db, platform, "first")
    relay = Relay(db, build_broker("redis://127.0.0.1:9/0"), asyncio.Event())
    with pytest.raises(BrokerAway):
        await relay.pass_on()
    left: list[outbox.Job] = []
    async with db.system() as scope:
        await outbox.relay(scope, left.extend)
    assert [job.actor for job in left] == ["first"]


@pytest.mark.parametrize("url", ["http://127.0.0.1", "kafka://host/topic", ""])
def test_an_unknown_broker_is_named(url: str) -> None:
    with pytest.raises(UnknownBroker, match="BROKER_URL"):
        build_broker(url)


@pytest.mark.parametrize("url", ["amqp://guest:guest@127.0.0.1:9", "rediss://127.0.0.1:9/0", "unix:///nowhere?db=0"])
def test_a_broker_connects_only_when_it_is_used(url: str) -> None:
    assert build_broker(url).get_declared_queues() == set()
