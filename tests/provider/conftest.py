"""A sandbox provider over HTTP, and our adapter connected to it."""

import asyncio
import json
import socket
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn

from marketbill.provider.stripe import StripeProvider, connect
from marketbill.sandbox.app import create_app


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The running sandbox; `call` speaks to its control plane."""

    url: str

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_sandbox/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = create_app(None, base_url=url)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    yield Sandbox(url)
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture
async def provider(sandbox: Sandbox) -> AsyncIterator[StripeProvider]:
    """Our adapter with the key of a fresh US platform."""
    platform = sandbox.call("platforms", {"country": "US", "default_currency": "usd"})
    stripe = connect(platform["secret_key"], sandbox.url)
    yield stripe
    await stripe.close()
