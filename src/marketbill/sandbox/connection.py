"""The connection under a request, and how it is cut."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

_SERVER_SEND = "sandbox.server_send"


class Connected(Starlette):
    """A Starlette program whose requests know the server's own ``send``: it belongs to what holds the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_SERVER_SEND] = send
        await super().__call__(scope, receive, send)


async def cut(scope: Scope, receive: Receive, send: Send) -> None:
    """End the connection without an answer: the caller sees it break.

    ASGI has no word for this. uvicorn's request holds its transport; under another server the answer begins, and ends
    before the length that it promised, which a server can only follow by closing.
    """
    request = getattr(scope.get(_SERVER_SEND), "__self__", None)
    transport = getattr(request, "transport", None)
    if transport is None:
        promised = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": promised})
        return
    transport.abort()
    # Only then does the server take the missing answer for a lost connection, not for a defect.
    while (await receive())["type"] != "http.disconnect":
        pass
