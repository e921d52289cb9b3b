"""GraphQL over HTTP, the answer's half: errors with their code and request id, status and media type."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import structlog
from graphql import GraphQLError
from starlette.responses import Response
from strawberry.utils.str_converters import to_camel_case

from marketbill.errors import ErrorCode, Refusal
from marketbill_graphql.errors import InsufficientFunds, user_error
from marketbill_graphql.limits import ERRORS_MAX
from marketbill_graphql.wire import JSON_TYPE

log = structlog.get_logger("marketbill.graphql")

#: The audit of graphql-http asks 400 for a document or a variable that is refused; the draft of 2026 says 422.
REFUSED_STATUS = 400

_STATUS = {
    ErrorCode.UNAUTHENTICATED.value: 401,
    ErrorCode.FORBIDDEN.value: 403,
    ErrorCode.UNAVAILABLE.value: 503,
    "DEADLINE_EXCEEDED": 504,
}
_BASE_FIELDS = {"code", "message", "path", "retryable"}


def request_errors(errors: Sequence[GraphQLError], *, media_type: str, request_id: str) -> Response:
    """The answer to a request that was not executed: errors and no data."""
    formatted = [_formatted(error, request_id) for error in errors[:ERRORS_MAX]]
    code = formatted[0]["extensions"]["code"] if formatted else ""
    # Plain JSON is the old convention: the request was understood, so 200, unless the credential decided.
    status = _STATUS.get(code) or (REFUSED_STATUS if media_type != JSON_TYPE else 200)
    headers = {"www-authenticate": 'Bearer realm="marketbill"'} if status == 401 else None
    return answer({"errors": formatted}, status=status, media_type=media_type, headers=headers)


def refused(refusal: Refusal) -> GraphQLError:
    """A refusal as an error of the whole request."""
    return GraphQLError(refusal.message, original_error=refusal)


def executed(
    data: Mapping[str, Any] | None, errors: Iterable[GraphQLError] | None, *, media_type: str, request_id: str
) -> Response:
    """The answer to an operation that was executed, in whole or in part."""
    body: dict[str, Any] = {"data": data}
    if errors:
        body["errors"] = [_formatted(error, request_id) for error in list(errors)[:ERRORS_MAX]]
    return answer(body, status=200, media_type=media_type)


def answer(body: Any, *, status: int, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    response = Response(orjson.dumps(body), status_code=status, headers=dict(headers or {}))
    response.headers["content-type"] = f"{media_type}; charset=utf-8"
    response.headers["cache-control"] = "no-store"
    return response


def _formatted(error: GraphQLError, request_id: str) -> dict[str, Any]:
    cause = _cause(error)
    if isinstance(cause, Refusal):
        message, extensions = cause.message, _told(cause)
    elif _is_ours(error, cause):
        message, extensions = error.message, {"code": ErrorCode.INVALID_ARGUMENT.value, **(error.extensions or {})}
    else:
        log.error("unexpected error", path=error.path, exc_info=cause or error)
        message, extensions = "Something went wrong on our side; quote the request id.", {"code": "INTERNAL"}
    formatted: dict[str, Any] = {"message": message}
    if error.locations:
        formatted["locations"] = [location.formatted for location in error.locations]
    if error.path is not None:
        formatted["path"] = error.path
    formatted["extensions"] = {**extensions, "requestId": request_id}
    return formatted


def _cause(error: BaseException) -> BaseException | None:
    cause = error.original_error if isinstance(error, GraphQLError) else None
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _is_ours(error: GraphQLError, cause: BaseException | None) -> bool:
    """Whether the text was written for clients: request errors, and arguments that do not fit their type."""
    if error.path is None:
        return cause is None or isinstance(cause, GraphQLError)
    return isinstance(cause, GraphQLError) and cause.message.startswith("Argument ")


def _told(refusal: Refusal) -> dict[str, Any]:
    """A refusal's data as extensions, in the spelling of the error types."""
    extensions: dict[str, Any] = {"code": refusal.code.value, "retryable": refusal.retryable}
    if refusal.path:
        extensions["inputPath"] = list(refusal.path)
    error = user_error(refusal)
    if isinstance(error, InsufficientFunds):
        extensions["available"] = {"minor": str(error.available.minor), "currency": error.available.currency}
        return extensions
    for name, value in vars(error).items():
        if name not in _BASE_FIELDS and value is not None:
            extensions[to_camel_case(name)] = value
    return extensions
