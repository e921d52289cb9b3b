"""The line between us and the provider: an ASGI wrapper of the sandbox that can be cut, held, or lose an answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EMPTY = b'{"object": "list", "data": [], "has_more": false}'
_TROUBLE = b'{"error": {"type": "api_error", "message": "Something went wrong on the line."}}'


@dataclass(slots=True)
class Held:
    """Requests that stand still: `reached` is set when the first arrives; `release` lets them fail."""

    matches: Callable[[str, str], bool]
    executed: bool
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self.released.set()


class Line:
    """Wraps the sandbox. Its control plane (`/_sandbox/`) always passes; paths are matched by their beginning."""

    def __init__(self, provider: ASGIApp) -> None:
        self._provider = provider
        self._held: list[Held] = []
        self._losing: list[str] = []
        self._refused: dict[str, int] = {}
        self._hidden: set[str] = set()
        self.cut = False
        #: What was asked of the provider, as `POST /v1/transfers`, cut or not.
        self.calls: list[str] = []

    def count(self, call: str) -> int:
        return self.calls.count(call)

    def lose_answer(self, call: str) -> None:
        """The next such request is done by the provider, but its answer never comes."""
        self._losing.append(call)

    def hold(self, call: str, *, executed: bool) -> Held:
        """Such requests stand still, before or after the provider has done them, until they are released."""
        held = Held(lambda method, path: f"{method} {path}" == call, executed)
        self._held.append(held)
        return held

    def refuse(self, call: str, *, status: int) -> None:
        """Such requests are refused with this status, until the line is mended."""
        self._refused[call] = status

    def hide(self, *calls: str) -> None:
        """Such lists are answered as empty, until the line is mended."""
        self._hidden.update(calls)

    def mend(self) -> None:
        """Everything passes again; what stands still fails."""
        self.cut = False
        self._losing.clear()
        self._refused.clear()
        self._hidden.clear()
        held, self._held = self._held, []
        for one in held:
            one.release()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox/"):
            await self._provider(scope, receive, send)
            return
        call = f"{scope['method']} {scope['path']}"
        self.calls.append(call)
        if self.cut:
            await _fail(send)
            return
        if call in self._refused:
            await _fail(send, self._refused[call])
            return
        if call in self._hidden:
            await _answer(send, 200, _EMPTY)
            return
        for held in self._held:
            if held.matches(scope["method"], scope["path"]):
                if held.executed:
                    await self._provider(scope, receive, _nowhere)
                held.reached.set()
                await held.released.wait()
                await _fail(send)
                return
        if call in self._losing:
            self._losing.remove(call)
            await self._provider(scope, receive, _nowhere)
            await _fail(send)
            return
        await self._provider(scope, receive, send)


async def _fail(send: Send, status: int = 503) -> None:
    await _answer(send, status, _TROUBLE)


async def _answer(send: Send, status: int, body: bytes) -> None:
    # The header keeps the provider's client from repeating by itself, which would take seconds.
    headers = [(b"content-type", b"application/json"), (b"stripe-should-retry", b"false")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _nowhere(message: Message) -> Any:
    return None
