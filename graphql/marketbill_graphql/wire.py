"""GraphQL over HTTP, the request's half: reads and checks a request as the specification draft says.

Every fault is a `BadRequest` with the HTTP status that names it; nothing of the document is looked at here.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from functools import lru_cache
from typing import Any

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request

from marketbill_graphql.limits import BODY_BYTES_MAX

JSON_TYPE = "application/json"
GRAPHQL_RESPONSE_TYPE = "application/graphql-response+json"
_ANSWERS = {
    JSON_TYPE: JSON_TYPE,
    GRAPHQL_RESPONSE_TYPE: GRAPHQL_RESPONSE_TYPE,
    "application/*": JSON_TYPE,
    "*/*": JSON_TYPE,
}
_ACCEPT_RANGES_MAX = 20
#: A body that is not all there by then is not waited for: whoever sends half of one would hold it for ever.
BODY_SECONDS_MAX = 30.0
log = structlog.get_logger("marketbill.http")


class BadRequest(Exception):
    """A request that is no GraphQL request: `status`, a sentence, and headers to answer with."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """The parameters of a request, of the right types."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)


def answer_type(request: Request) -> str:
    """The media type to answer in: what Accept likes best, JSON when it is missing. Raises BadRequest 406."""
    accept = request.headers.get("accept")
    if accept is None or not accept.strip():
        return JSON_TYPE
    best, best_quality = None, 0.0
    for part in accept.split(",")[:_ACCEPT_RANGES_MAX]:
        media_type, _, parameters = part.partition(";")
        answer = _ANSWERS.get(media_type.strip().lower())
        quality = _quality(parameters)
        if answer and quality > best_quality:
            best, best_quality = answer, quality
    if best is None:
        raise BadRequest(406, f"This endpoint answers {GRAPHQL_RESPONSE_TYPE} or {JSON_TYPE}.")
    return best


async def read_request(request: Request) -> GraphQLRequest:
    """The GraphQL request in a POST body or a GET query string. Raises BadRequest."""
    if request.method == "POST":
        return _request(_json(await _body(request), what="The request body"))
    if request.method == "GET":
        return _request(_from_query_string(request))
    raise BadRequest(405, "Use POST, or GET for queries.", headers={"allow": "GET, POST"})


async def read_bytes(request: Request, *, limit: int) -> bytes:
    """The body of a request. Raises BadRequest: 413 as soon as it is known to be larger than `limit` bytes, 408 when it
    is not there in time, and 400 when the client hung up before its end, which nobody reads."""
    too_large = BadRequest(413, f"The request body is larger than {limit // 1024} KiB.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
    except ClientDisconnect:
        log.debug("client hung up while it sent its request", path=request.url.path, received=len(body))
        raise BadRequest(400, "The request ended before its body did.") from None
    except TimeoutError:
        raise BadRequest(
            408,
            f"The request's body did not arrive within {BODY_SECONDS_MAX:g} seconds.",
            headers={"connection": "close"},
        ) from None
    return bytes(body)


async def _body(request: Request) -> bytes:
    content_type = request.headers.get("content-type", "")
    media_type, charset = _media_type(content_type)
    if media_type != JSON_TYPE:
        raise BadRequest(415, f"Send the request as {JSON_TYPE}.", headers={"accept-post": JSON_TYPE})
    if charset not in ("", "utf-8", "utf8"):
        raise BadRequest(415, "Send the request in UTF-8.", headers={"accept-post": JSON_TYPE})
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise BadRequest(415, "Send the request uncompressed.", headers={"accept-encoding": "identity"})
    return await read_bytes(request, limit=BODY_BYTES_MAX)


def _from_query_string(request: Request) -> dict[str, Any]:
    if len(request.scope["query_string"]) > BODY_BYTES_MAX:
        raise BadRequest(414, "The query string is too long: use POST.")
    parameters: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in parameters:
            raise BadRequest(400, f"The parameter {name[:50]!r} is given twice.")
        parameters[name] = value
    for name in ("variables", "extensions"):
        if parameters.get(name):
            parameters[name] = _json(parameters[name].encode(), what=f"The parameter {name!r}")
        else:
            parameters.pop(name, None)
    return parameters


def _request(parameters: Any) -> GraphQLRequest:
    if isinstance(parameters, list):
        raise BadRequest(400, "Send one operation in a request; batches are not served.")
    if not isinstance(parameters, dict):
        raise BadRequest(400, "The request must be a JSON object with the key 'query'.")
    query = parameters.get("query")
    if not isinstance(query, str):
        raise BadRequest(400, "The parameter 'query' must be given and be a string.")
    operation_name = parameters.get("operationName")
    if not isinstance(operation_name, (str, type(None))):
        raise BadRequest(400, "The parameter 'operationName' must be a string or null.")
    variables = parameters.get("variables")
    if not isinstance(variables, (dict, type(None))):
        raise BadRequest(400, "The parameter 'variables' must be an object or null.")
    if not isinstance(parameters.get("extensions"), (dict, type(None))):
        raise BadRequest(400, "The parameter 'extensions' must be an object or null.")
    return GraphQLRequest(query=query, operation_name=operation_name or None, variables=variables or {})


def _json(body: bytes, *, what: str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest(400, f"{what} is not JSON in UTF-8.") from None


@lru_cache(maxsize=128)
def _media_type(header: str) -> tuple[str, str]:
    message = Message()
    message["content-type"] = header
    # Message answers text/plain for a header it cannot read.
    return message.get_content_type() if header else "", str(message.get_param("charset") or "").lower()


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
