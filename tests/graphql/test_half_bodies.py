"""Bodies that never come to their end: the client hangs up, or sends half of one and waits."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from structlog.testing import capture_logs

from marketbill_graphql import wire
from marketbill_graphql.app import create_app

PATHS = ["/graphql", "/webhooks/stripe/plt_01jd8x0q4mf0v9k2s7c3b6n1ra"]


class Half:
    """A request of which three bytes come; what follows is `then`, or nothing."""

    def __init__(self, path: str, then: dict[str, Any] | None) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        self.scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": headers,
        }
        self.coming = [{"type": "http.request", "body": b'{"a', "more_body": True}, *([then] if then else [])]
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        if self.coming:
            return self.coming.pop(0)
        return await asyncio.get_running_loop().create_future()

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def made(self) -> tuple[int, dict[str, str], str]:
        app = create_app(cast(Any, SimpleNamespace(db=None, vault=None, settings=SimpleNamespace(metrics_token=None))))
        await app(self.scope, self.receive, self.send)
        headers = {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}
        return self.sent[0]["status"], headers, orjson.loads(self.sent[1]["body"])


@pytest.mark.parametrize("path", PATHS)
async def test_who_hangs_up_leaves_no_trace_but_for_a_debugger(path: str) -> None:
    with capture_logs() as lines:
        status, _, _ = await Half(path, {"type": "http.disconnect"}).made()
    assert status == 400
    assert [(line["log_level"], line["received"]) for line in lines] == [("debug", 3)]


@pytest.mark.parametrize("path", PATHS)
async def test_half_a_body_is_not_waited_for_for_ever(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BODY_SECONDS_MAX", 0.02)
    status, headers, said = await Half(path, None).made()
    assert (status, headers["connection"]) == (408, "close")
    assert "did not arrive within 0.02 seconds" in str(said)
