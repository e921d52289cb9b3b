"""GraphQL over HTTP beyond the audit: every broken request has a clear answer, and none of them is a 500."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

HELLO = "{ viewer }"
JSON = {"content-type": "application/json"}
NEW = {"accept": "application/graphql-response+json"}


@pytest.mark.parametrize(
    "body", [b'"x"', b"null", b"5", b"true", b"[]", b"{}", b"", b"{", b'{"query": 5}', b"\xff\xfe"]
)
async def test_a_body_that_is_no_request_is_a_400(client: Any, body: bytes) -> None:
    answer = await client.post(content=body, headers=JSON)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_deeply_nested_json_is_a_400(client: Any) -> None:
    answer = await client.post(content=b'{"query":"{viewer}","variables":' + b'{"a":' * 100_000, headers=JSON)
    nested = await client.post(content=b"[" * 100_000, headers=JSON)

    assert answer.status_code == 413  # half a megabyte of it
    assert nested.status_code == 400


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ('Application/JSON; charset="UTF-8"', 200),
        ("application/json; charset=latin-1", 415),
        ("application/jsonx", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        (";;;", 415),
    ],
)
async def test_only_json_in_utf8_is_read(client: Any, content_type: str, status: int) -> None:
    answer = await client.post(content=b'{"query": "{ viewer }"}', headers={"content-type": content_type})

    assert answer.status_code == status


async def test_a_body_without_a_type_or_compressed_is_a_415(client: Any) -> None:
    assert (await client.post(content=b'{"query": "{ viewer }"}')).status_code == 415
    assert (await client.post(content=b"x", headers=JSON | {"content-encoding": "gzip"})).status_code == 415


async def test_a_body_of_more_than_256_kib_is_a_413(client: Any) -> None:
    async def endless() -> Any:
        for _ in range(300):
            yield b" " * 1024

    declared = await client.post(content=b" " * (256 * 1024 + 1), headers=JSON)
    streamed = await client.post(content=endless(), headers=JSON)

    assert (declared.status_code, streamed.status_code) == (413, 413)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_other_methods_are_a_405_that_names_the_right_ones(client: Any, method: str) -> None:
    answer = await client.http.request(method, "/graphql")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"


async def test_get_answers_queries_and_refuses_mutations(client: Any) -> None:
    asked = await client.get(query="query A($n: String!) { duck(name: $n) { name } }", variables='{"n": "Ida"}')
    pay = '{idempotencyKey: "a", amount: {minor: 5, currency: "EUR"}}'
    mutation = await client.get(query="mutation { duckPay(input: " + pay + ") { duck { name } } }")

    assert asked.json()["data"] == {"duck": {"name": "Ida"}}
    assert mutation.status_code == 405
    assert mutation.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("accept", "type_"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/graphql-response+json", "application/graphql-response+json"),
        ("application/graphql-response+json, application/json;q=0.9", "application/graphql-response+json"),
        ("application/graphql-response+json;q=0.5, application/json", "application/json"),
        ("text/html, application/json;q=0.1", "application/json"),
    ],
)
async def test_the_answer_has_the_type_that_was_asked_for(client: Any, accept: str, type_: str) -> None:
    answer = await client.post({"query": HELLO}, headers={"accept": accept})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{type_}; charset=utf-8"


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "application/json;q=x", "text/event-stream"])
async def test_a_type_that_cannot_be_answered_is_a_406(client: Any, accept: str) -> None:
    assert (await client.post({"query": HELLO}, headers={"accept": accept})).status_code == 406


@pytest.mark.parametrize(
    ("request_", "part"),
    [
        ({"query": "query A { viewer } query B { viewer }"}, "say which by operationName"),
        ({"query": "query A { viewer } query B { viewer }", "operationName": "C"}, "no operation named 'C'"),
        ({"query": "fragment A on Duck { name }"}, ""),
        ({"query": "subscription { viewer }"}, "subscription operation is not supported"),
        ({"query": "{ viewer"}, "Syntax Error"),
        ({"query": "{ wiever }"}, "Did you mean 'viewer'?"),
        ({"query": "query($n: String!) { duck(name: $n) { name } }"}, "$n"),
        ({"query": ""}, "Syntax Error"),
    ],
)
async def test_a_request_that_cannot_be_executed_has_errors_and_no_data(
    client: Any, request_: dict[str, str], part: str
) -> None:
    new = await client.post(request_, headers=NEW)
    old = await client.post(request_)

    assert (new.status_code, old.status_code) == (400, 200)
    assert "data" not in new.json()
    assert part in new.json()["errors"][0]["message"]
    assert new.json()["errors"][0]["extensions"]["code"]


async def test_one_of_several_operations_is_chosen_by_name(client: Any) -> None:
    answer = await client.post({"query": "query A { viewer } query B { duck { name } }", "operationName": "B"})

    assert answer.json() == {"data": {"duck": {"name": "Dora"}}}


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("nobody", 401), ("operator", 200)])
async def test_a_missing_or_wrong_credential_is_a_401(caller: Callable[..., Any], key: str | None, status: int) -> None:
    answer = await caller(key).post({"query": HELLO})

    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_nobody_without_a_credential_makes_the_server_parse(duck_app: Any, caller: Callable[..., Any]) -> None:
    await caller(None).post({"query": "{ viewer # unseen"})

    assert duck_app.state.documents.misses == 0


async def test_every_answer_carries_its_request_id_and_keeps_a_given_one(client: Any) -> None:
    made = await client.post({"query": "{ broken }"})
    given = await client.post({"query": "{ broken }"}, headers={"x-request-id": "order-4711-try-2"})
    odd = await client.post({"query": HELLO}, headers={"x-request-id": "a b\tc"})

    assert made.headers["x-request-id"] == made.json()["errors"][0]["extensions"]["requestId"]
    assert given.json()["errors"][0]["extensions"]["requestId"] == "order-4711-try-2"
    assert odd.headers["x-request-id"] != "a b\tc"


async def test_an_unexpected_error_is_masked(client: Any) -> None:
    answer = (await client.post({"query": "{ broken }"})).json()

    assert answer["data"] == {"broken": None}
    assert answer["errors"][0]["path"] == ["broken"]
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "hunter2" not in str(answer)


async def test_a_refusal_of_a_query_is_an_error_with_its_data(client: Any) -> None:
    answer = (await client.post({"query": "{ refused }"})).json()

    extensions = answer["errors"][0]["extensions"]
    assert answer["errors"][0]["message"] == "Too little."
    assert extensions["code"] == "INSUFFICIENT_FUNDS"
    assert extensions["inputPath"] == ["amount", "minor"]
    assert extensions["available"] == {"minor": "5", "currency": "EUR"}


async def test_an_operation_that_takes_too_long_is_stopped(duck_schema: Any) -> None:
    import httpx2

    from marketbill_graphql.endpoint import GraphQLEndpoint
    from marketbill_graphql.request_id import RequestId

    from .conftest import authenticate

    app = RequestId(GraphQLEndpoint(duck_schema, None, authenticate, deadline_seconds=0.05))  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as http:
        answer = await http.post("/", json={"query": "{ slow }"}, headers={"authorization": "Bearer operator"})

    assert answer.status_code == 504
    assert answer.json()["errors"][0]["extensions"]["code"] == "DEADLINE_EXCEEDED"
