"""The points at which a process can be killed: the boundaries that every saga crosses, wrapped from outside.

Nothing in production knows of them. In a child process of the tests the driver's commit, the provider's HTTP client,
the broker's enqueue, the job's begin and end, and the web server's answer are wrapped. A point's name is the function
of ours that stands at the boundary, and the boundary: `payouts.transfer.execute_transfers: after commit`.
"""

import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import asyncpg
import dramatiq
import stripe
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: The ways into the database and to the provider, which every function takes: the one that took it is named.
_PLUMBING = re.compile(
    r"marketbill\.(db|prepared|services|events|idempotency|ledger|platforms\.credentials|provider\.(?!saga))"
)
_OURS = re.compile(r"marketbill(_workers|_graphql)?\.")
_ID = re.compile(r"/[a-z]+_[A-Za-z0-9_]*\d[A-Za-z0-9_]*")


class Points:
    """Writes down every point that is reached, and dies at the `turn`-th reaching of the one called `kill`.

    Of all the processes that reach it one dies: the one that takes the file `fuse` away.
    """

    def __init__(self, folder: Path, kill: str | None, turn: int = 1) -> None:
        self._trace = os.open(folder / "trace", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._fuse = folder / "fuse"
        self._kill = kill
        self._turns_left = turn

    def reach(self, name: str) -> None:
        self.note(name)
        if name == self._kill:
            self._turns_left -= 1
            if self._turns_left <= 0 and self._lit():
                self.note(f"KILLED {name}")
                os.kill(os.getpid(), signal.SIGKILL)

    def _lit(self) -> bool:
        try:
            self._fuse.unlink()
        except FileNotFoundError:
            return False
        return True

    def note(self, line: str) -> None:
        os.write(self._trace, f"{line}\n".encode())

    def install(self) -> None:
        """Wraps the boundaries of this process, for good."""
        self._wrap_commits()
        self._wrap_provider()
        for broker in (RedisBroker, RabbitmqBroker):
            self._wrap_enqueue(broker)

    def _wrap_commits(self) -> None:
        execute = asyncpg.Connection.execute

        async def at_commit(connection: Any, query: str, *arguments: Any, **options: Any) -> str:
            # A transaction that wrote nothing leaves nothing to recover.
            if query != "commit" or not await _wrote(connection):
                return await execute(connection, query, *arguments, **options)
            owner = owner_of(sys._getframe())
            self.reach(f"{owner}: before commit")
            status = await execute(connection, query, *arguments, **options)
            self.reach(f"{owner}: after commit")
            return status

        asyncpg.Connection.execute = at_commit  # pyright: ignore[reportAttributeAccessIssue]

    def _wrap_provider(self) -> None:
        ask = stripe.StripeClient.raw_request_async

        async def at_call(client: Any, method: str, url: str, **params: Any) -> Any:
            call = f"{method.upper()} {_ID.sub('/{id}', url)}"
            owner = owner_of(sys._getframe())
            if method != "get":  # to die before a question is to die after the last commit
                self.reach(f"{owner}: before {call}")
            answer = await ask(client, method, url, **params)
            self.reach(f"{owner}: after {call}")
            return answer

        stripe.StripeClient.raw_request_async = at_call  # pyright: ignore[reportAttributeAccessIssue]

    def _wrap_enqueue(self, broker: Any) -> None:
        enqueue = broker.enqueue

        def at_enqueue(self_: Any, message: Any, **options: Any) -> Any:
            self.reach("relay: before enqueue")
            sent = enqueue(self_, message, **options)
            self.reach("relay: after enqueue")
            return sent

        broker.enqueue = at_enqueue

    def around(self, app: ASGIApp) -> ASGIApp:
        """The web program with its answers as points: a webhook's and a mutation's."""

        async def answering(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            name = "webhook" if scope["path"].startswith("/webhooks/") else "graphql"
            self.reach(f"{name}: received")

            async def tell(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.reach(f"{name}: before the answer")
                await send(message)
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    self.reach(f"{name}: after the answer")

            await app(scope, receive, tell)

        return answering


class JobPoints(dramatiq.Middleware):
    """A job's begin, and its end before the broker knows of it."""

    def __init__(self, points: Points) -> None:
        self._points = points

    def before_process_message(self, broker: dramatiq.Broker, message: Any) -> None:
        self._points.note("BEGIN")
        self._points.reach(f"worker: before job {message.actor_name}")

    def after_process_message(self, broker: dramatiq.Broker, message: Any, **outcome: Any) -> None:
        if outcome.get("exception") is not None:
            self._points.note(f"FAILED {message.actor_name}: {outcome['exception']!r}")
        self._points.reach(f"worker: after job {message.actor_name}")

    def after_ack(self, broker: dramatiq.Broker, message: Any) -> None:
        self._points.note("END")

    after_nack = after_ack


def owner_of(frame: FrameType | None) -> str:
    """The innermost function of a use case or an edge on the stack, as `payouts.transfer._record`."""
    plumbing = "somebody"
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if _OURS.match(module):
            name = f"{module.partition('.')[2]}.{frame.f_code.co_qualname.replace('<locals>.', '')}"
            if not _PLUMBING.match(module):
                return name
            plumbing = name
        frame = frame.f_back
    return plumbing


async def _wrote(connection: Any) -> bool:
    ask: Callable[[str], Awaitable[Any]] = connection.fetchval
    try:
        return await ask("select pg_current_xact_id_if_assigned()::text") is not None
    except asyncpg.PostgresError:  # the transaction has failed: its commit will say so
        return False
