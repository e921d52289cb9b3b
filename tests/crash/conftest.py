"""The stage, and what its processes are forked from."""

import multiprocessing
from collections.abc import Iterator

import pytest
from tests.brokers.queues import RedisQueue
from tests.conftest import PostgresServer
from tests.crash.stage import Stage
from tests.market.fixtures import machine
from tests.market.serving import free_socket

from marketbill.embedded.valkey import EmbeddedValkey
from marketbill.sandbox import webhooks

__all__ = ["machine", "stage"]


@pytest.fixture(scope="session")
def stage(
    postgres_server: PostgresServer,
    template_database: str,
    valkey_server: EmbeddedValkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    multiprocessing.set_forkserver_preload(["tests.crash.process"])
    with free_socket() as listening:
        made = Stage(
            postgres_server,
            template_database,
            listening,
            tmp_path_factory.mktemp("crash"),
            lambda: RedisQueue(valkey_server.url()),
        )
        yield made
        made.forget()


@pytest.fixture(autouse=True)
def _impatient_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that is down for a moment hears of an event in a moment; in these tests only."""
    monkeypatch.setattr(webhooks, "RETRY_SECONDS", (0.05,) * 60)
