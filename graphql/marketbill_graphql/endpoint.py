"""The GraphQL endpoint: one request in, one answer out.

Credential first, so that nobody without one makes the server parse; then document, permission, variables, execution.
graphql-core executes; Strawberry describes. Its own view is not used: its caches are lost with every limit given as a
factory, it runs the first of several operations unasked, and it answers three kinds of broken body with a 500.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import strawberry
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, OperationType, execute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.execution import optimized_is_awaitable

from marketbill.actor import Actor
from marketbill.errors import Refusal, Unauthenticated
from marketbill.services import Services
from marketbill_graphql import answers
from marketbill_graphql.access import AccessRules
from marketbill_graphql.context import Context
from marketbill_graphql.documents import DocumentRefused, Documents, Operation
from marketbill_graphql.limits import DEADLINE_SECONDS, ERRORS_MAX, check_rows, check_variables
from marketbill_graphql.wire import JSON_TYPE, BadRequest, GraphQLRequest, answer_type, read_request

Authenticate = Callable[[Services, str], Awaitable[Actor]]


class GraphQLEndpoint:
    """An ASGI program that serves one schema. `documents` holds the parsed documents and counts its hits."""

    def __init__(
        self,
        schema: strawberry.Schema,
        services: Services,
        authenticate: Authenticate,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._schema = executable(schema)
        self._services = services
        self._authenticate = authenticate
        self._deadline_seconds = deadline_seconds
        self.documents = Documents(self._schema, AccessRules(self._schema))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._respond(request, request_id=scope["state"]["request_id"])
        await response(scope, receive, send)

    async def _respond(self, request: Request, *, request_id: str) -> Response:
        media_type = JSON_TYPE
        try:
            media_type = answer_type(request)
            asked = await read_request(request)
            actor = await self._actor(request)
            document = self.documents.find(asked.query)
            operation = document.operation(asked.operation_name)
            if request.method == "GET" and operation.kind is not OperationType.QUERY:
                raise BadRequest(405, "GET is for queries: send a mutation by POST.", headers={"allow": "POST"})
            if denials := operation.denials(actor.role):
                raise DocumentRefused(denials)
            check_variables(asked.variables)
            check_rows(operation.pages, asked.variables)
            context = Context(
                self._services, actor, request_id=request_id, shared_reads=operation.kind is OperationType.QUERY
            )
            result = await self._execute(document.node, operation, asked, context)
        except BadRequest as error:
            body = {
                "errors": [{"message": error.message, "extensions": {"code": "BAD_REQUEST", "requestId": request_id}}]
            }
            return answers.answer(body, status=error.status, media_type=media_type, headers=error.headers)
        except DocumentRefused as error:
            return answers.request_errors(error.errors, media_type=media_type, request_id=request_id)
        except Refusal as refusal:
            return answers.request_errors([answers.refused(refusal)], media_type=media_type, request_id=request_id)
        except TimeoutError:
            late = GraphQLError(
                f"The operation took longer than {self._deadline_seconds:g} seconds and was stopped. A mutation can be"
                " sent again with the same idempotency key.",
                extensions={"code": "DEADLINE_EXCEEDED", "retryable": True},
            )
            return answers.request_errors([late], media_type=media_type, request_id=request_id)
        if result.data is None and result.errors and all(error.path is None for error in result.errors):
            return answers.request_errors(result.errors, media_type=media_type, request_id=request_id)
        return answers.executed(result.data, result.errors, media_type=media_type, request_id=request_id)

    async def _actor(self, request: Request) -> Actor:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("Send an API key or a token: Authorization: Bearer <key>.")
        return await self._authenticate(self._services, token.strip())

    async def _execute(
        self, document: Any, operation: Operation, asked: GraphQLRequest, context: Context
    ) -> ExecutionResult:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                result = execute(
                    self._schema,
                    document,
                    context_value=context,
                    variable_values=asked.variables,
                    operation_name=operation.name,
                    is_awaitable=optimized_is_awaitable,  # pyright: ignore[reportArgumentType]
                    max_coercion_errors=ERRORS_MAX,
                )
                return result if isinstance(result, ExecutionResult) else await result
        finally:
            await context.close()


def executable(schema: strawberry.Schema) -> GraphQLSchema:
    """The graphql-core schema that Strawberry built."""
    return schema._schema
