"""A sandbox provider on a free port, a way to talk to it, and a receiver for its webhooks."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import stripe
import uvicorn

from marketbill.sandbox.app import create_app

#: Longest wait for something that happens on its own, in seconds.
PATIENCE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Bench:
    """A running sandbox with one platform, spoken to in plain HTTP."""

    base: str
    key: str = ""
    platform: str = ""
    _connection: http.client.HTTPConnection | None = None

    def send(
        self, method: str, path: str, body: str | bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.base.removeprefix("http://"), timeout=30)
        self._connection.request(method, path, body=body, headers=headers or {})
        response = self._connection.getresponse()
        content = response.read()
        kind = response.headers.get_content_type()
        parsed = json.loads(content) if kind == "application/json" and content else content.decode()
        return Answer(response.status, dict(response.headers.items()), parsed)

    def call(
        self,
        method: str,
        path: str,
        form: str | None = None,
        *,
        json_body: Any = None,
        headers: dict[str, str | None] | None = None,
        account: str | None = None,
        key: str | None = None,
    ) -> Answer:
        """Send an API request; a header of None is left out."""
        sent: dict[str, str | None] = {"Authorization": f"Bearer {self.key}"}
        body: str | None = form
        if json_body is not None:
            body = json.dumps(json_body)
            sent["Content-Type"] = "application/json"
        elif form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        if account is not None:
            sent["Stripe-Account"] = account
        if key is not None:
            sent["Idempotency-Key"] = key
        sent.update(headers or {})
        return self.send(method, path, body, {name: value for name, value in sent.items() if value is not None})

    def post(self, path: str, form: str = "", **more: Any) -> Any:
        """Send a POST that must succeed and return its body."""
        answer = self.call("POST", path, form, **more)
        assert answer.status == 200, answer.body
        return answer.body

    def get(self, path: str, **more: Any) -> Any:
        answer = self.call("GET", path, **more)
        assert answer.status == 200, answer.body
        return answer.body

    def refusal(self, path: str, form: str = "", *, status: int = 400, **more: Any) -> Any:
        """Send a POST that must be refused and return the error."""
        answer = self.call("POST", path, form, **more)
        assert answer.status == status, answer.body
        return answer.body["error"]

    def control(self, path: str, body: Any = None) -> Any:
        if body is None:
            answer = self.send("GET", f"/_sandbox/{path}")
        else:
            answer = self.send("POST", f"/_sandbox/{path}", json.dumps(body), {"Content-Type": "application/json"})
        assert answer.status == 200, answer.body
        return answer.body

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def open_platform(self, country: str = "US", currency: str = "usd") -> Bench:
        """Make a platform and use its key from now on."""
        made = self.control("platforms", {"country": country, "default_currency": currency, "name": "Market"})
        self.key, self.platform = made["secret_key"], made["id"]
        return self

    def advance(self, **duration: int) -> None:
        """Move the clock by ``days=``, ``hours=``, ``minutes=`` or ``seconds=``."""
        units = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
        self.control("clock", {"advance_seconds": sum(units[unit] * count for unit, count in duration.items())})

    def seller(self, country: str = "US", outcome: str | None = "complete", more: str = "") -> str:
        """Connect an account that asks for transfers and is paid out by hand, and onboard it."""
        made = self.post(
            "/v1/accounts",
            f"country={country}&email=s@example.com&controller[fees][payer]=application"
            "&controller[losses][payments]=application&controller[stripe_dashboard][type]=express"
            "&capabilities[transfers][requested]=true&settings[payouts][schedule][interval]=manual" + more,
        )
        if outcome is not None:
            self.control(f"accounts/{made['id']}/onboard", {"outcome": outcome})
        return made["id"]

    def merchant(self, country: str = "US") -> str:
        """Connect an account that may take cards itself, too."""
        return self.seller(country, more="&capabilities[card_payments][requested]=true")

    def bank_account(
        self, seller: str, country: str = "US", currency: str = "usd", number: str = "000123456789"
    ) -> Any:
        """Give an account a bank account to be paid out to."""
        routing = {"US": "110000000", "CA": "11000-000"}.get(country)
        return self.post(
            f"/v1/accounts/{seller}/external_accounts",
            f"external_account[object]=bank_account&external_account[country]={country}"
            f"&external_account[currency]={currency}&external_account[account_number]={number}"
            + (f"&external_account[routing_number]={routing}" if routing else ""),
        )

    def canadian(self) -> str:
        """Connect a seller who is paid in Canadian dollars."""
        seller = self.seller("CA", outcome=None)
        self.bank_account(seller, "CA", "cad")
        self.control(f"accounts/{seller}/onboard", {"outcome": "complete"})
        return seller

    def funded(self, amount: int = 5_000, *, number: str = "000123456789") -> str:
        """Connect a seller with so many US cents available and a bank account of this (test) number."""
        seller = self.seller(outcome=None)
        self.bank_account(seller, number=number)
        self.control(f"accounts/{seller}/onboard", {"outcome": "complete"})
        if amount:
            self.control(f"accounts/{seller}/fund", {"currency": "usd", "amount": amount})
        return seller

    def fault(self, kind: str, **more: Any) -> Any:
        """Set a fault for the next request, unless told otherwise."""
        return self.control("faults", {"kind": kind, **more})

    def pay(self, amount: int, currency: str = "usd", card: str = "pm_card_bypassPending", more: str = "") -> Any:
        """Take a payment captured synchronously; its charge is expanded."""
        return self.post(
            "/v1/payment_intents",
            f"amount={amount}&currency={currency}&payment_method={card}&confirm=true&capture_method=automatic"
            f"&allowed_payment_method_types[]=card&expand[]=latest_charge.balance_transaction{more}",
        )

    def balance(self, currency: str, account: str | None = None) -> tuple[int, int]:
        """Return (available, pending)."""
        body = self.get("/v1/balance", account=account)
        return tuple(  # pyright: ignore[reportReturnType]
            sum(entry["amount"] for entry in body[part] if entry["currency"] == currency)
            for part in ("available", "pending")
        )

    def events(self, event_type: str | None = None, account: str | None = None) -> list[Any]:
        """Return up to a hundred events, newest first."""
        chosen = f"&type={event_type}" if event_type else ""
        return self.get(f"/v1/events?limit=100{chosen}", account=account)["data"]

    def client(self) -> stripe.StripeClient:
        return stripe.StripeClient(self.key, base_addresses={"api": self.base}, max_network_retries=0)


class _Uvicorn(uvicorn.Server):
    """Ends as soon as it is told to, not at its next tick."""

    async def main_loop(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await self.on_tick(0)
        await self._stopping.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)


class Server:
    """A uvicorn server of one sandbox, in a thread."""

    def __init__(self, state: Path | None = None, *, control: bool = True) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = _Uvicorn(
            uvicorn.Config(
                create_app(state, base_url=self.base, control=control),
                log_level="critical",
                ws="none",
                timeout_keep_alive=60,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        eventually(lambda: self._server.started)
        self._listener = listener

    def leave(self) -> None:
        """Have it end without waiting for it; for a sandbox in memory that nobody speaks to any more."""
        self._server.stop()

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(PATIENCE_SECONDS)
        self._listener.close()
        assert not self._thread.is_alive()


def eventually(condition: Callable[[], Any]) -> Any:
    """Return the first true value of a condition, polled until patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


@dataclass(frozen=True, slots=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """A webhook endpoint that remembers what it got and answers as told."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        #: Statuses of the next answers; 200 when there is none left.
        self.answers: list[int] = []
        #: By path: status and seconds of delay of the next answers, before `answers` are asked.
        self.behaviours: dict[str, list[tuple[int, float]]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(self.path, dict(self.headers.items()), body))
                told = receiver.behaviours.get(self.path)
                status, delay = told.pop(0) if told else (receiver.answers.pop(0) if receiver.answers else 200, 0)
                if delay:
                    time.sleep(delay)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test output quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True).start()

    def of_type(self, event_type: str, path: str | None = None) -> list[Received]:
        return [
            item
            for item in list(self.received)
            if item.event["type"] == event_type and (path is None or item.path == path)
        ]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A sandbox in memory with a US platform, in which no due work may break."""
    server = Server()
    made = Bench(server.base).open_platform()
    yield made
    assert made.control("state")["broken"] == []
    made.close()
    server.leave()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start sandboxes with a state file or without control plane; all are stopped in the end."""
    servers: list[Server] = []

    def start(state: Path | None = None, *, control: bool = True) -> Server:
        servers.append(Server(state, control=control))
        return servers[-1]

    yield start
    for server in servers:
        if server._thread.is_alive():
            server.stop()


@pytest.fixture
def new_bench() -> Callable[[str], Bench]:
    return lambda base: Bench(base)


@pytest.fixture
def soon() -> Callable[[Callable[[], Any]], Any]:
    return eventually
