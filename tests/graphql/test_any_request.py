"""Whatever is sent, the answer is a clear one: never a 500, always JSON with a request id."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_WORDS = """{ } ( ) [ ] : ! $ @ ... = | & query mutation subscription fragment on duck viewer echo name pond ducks
secret big at price minor currency A B true null 1 -2 3.5 "x" @include(if: # \\ é ,"""
WORDS = st.sampled_from([*_WORDS.split(), '"""y"""', "\0", "\n", ""])


def send(app: Any, body: bytes, **headers: str) -> httpx2.Response:
    async def exchange() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as http:
            given = {"authorization": "Bearer operator", "content-type": "application/json"} | headers
            return await http.post("/graphql", content=body, headers=given)

    return asyncio.run(exchange())


def clear(answer: httpx2.Response) -> None:
    assert answer.status_code in (200, 400, 403, 406, 413, 415), answer.text
    assert answer.headers["x-request-id"]
    body = answer.json()
    for error in body.get("errors", ()):
        assert error["message"]
        assert error["extensions"]["requestId"]
        assert error["extensions"]["code"] != "INTERNAL"
    assert "data" in body or body["errors"]


@pytest.fixture
def app(duck_app: Any) -> Any:
    return duck_app


@QUIET
@given(JSON_VALUES)
def test_any_json(app: Any, body: Any) -> None:
    try:
        encoded = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        return
    clear(send(app, encoded))


@QUIET
@given(st.binary(max_size=200), st.text(max_size=30), st.text(max_size=30))
def test_any_bytes_under_any_headers(app: Any, body: bytes, accept: str, content_type: str) -> None:
    def plain(text: str) -> str:
        return "".join(character for character in text if character.isascii() and character.isprintable())

    clear(send(app, body, **{"accept": plain(accept), "content-type": plain(content_type)}))


@QUIET
@given(st.lists(WORDS, max_size=30), JSON_VALUES, JSON_VALUES)
def test_any_document_with_any_variables(app: Any, words: list[str], variables: Any, name: Any) -> None:
    try:
        body = orjson.dumps({"query": " ".join(words), "variables": variables, "operationName": name})
    except (TypeError, orjson.JSONEncodeError):
        return
    clear(send(app, body))


@QUIET
@given(JSON_VALUES, JSON_VALUES, JSON_VALUES)
def test_any_value_for_a_typed_variable(app: Any, big: Any, at: Any, price: Any) -> None:
    query = "query($b: BigInt, $a: DateTime, $p: MoneyInput) { echo(big: $b, at: $a, price: $p) }"
    try:
        body = orjson.dumps({"query": query, "variables": {"b": big, "a": at, "p": price}})
    except (TypeError, orjson.JSONEncodeError):
        return
    clear(send(app, body))
