"""What every route of the control plane shares: a checked body in, JSON out, refusals in the API's error form.

A browser's form is taken in place of JSON, and answered with a page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from marketbill.sandbox.control import forms
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.dispatch import Api
from marketbill.sandbox.line import Line
from marketbill.sandbox.parameters import Reader
from marketbill.sandbox.wire import ApiError, Doc, invalid

PREFIX = "/_sandbox"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to the control plane."""

    desk: Desk
    api: Api
    line: Line
    #: Names in the path.
    path: dict[str, str]
    #: The body (of a GET, the query) as its table reads it; empty for a route without one.
    params: Doc

    def account(self) -> str:
        """Return the account that the path names.

        :raises ApiError: there is none.
        """
        identifier = self.path["account"]
        if self.desk.store.find("account", identifier) is None:
            raise ApiError(404, f"No such account: '{identifier}'", code="resource_missing", param="account")
        return identifier


Answer = Callable[[Ask], Any]


@dataclass(frozen=True, slots=True)
class Plane:
    """The control plane of one sandbox."""

    desk: Desk
    api: Api
    line: Line

    def route(self, path: str, method: str, answer: Answer, table: Reader | None = None) -> Route:
        """Return a route; what was due is done before it answers, and it answers after its writes are committed."""
        return Route(f"{PREFIX}/{path}", self._guarded(answer, table), methods=[method])

    def _guarded(self, answer: Answer, table: Reader | None) -> Callable[[Request], Awaitable[Response]]:
        desk = self.desk

        async def respond(request: Request) -> Response:
            sent = await request.body()
            form = forms.is_form(request, sent)
            back: str | None = None
            try:
                forms.check_host(request)
                if request.method != "GET":
                    forms.check_site(request)
                if request.method == "GET":
                    given = dict(request.query_params)
                elif form:
                    given, back = forms.fields(sent)
                else:
                    given = {} if table is None else _json(sent)
                params = {} if table is None else table(given, "")
                desk.schedule.run(desk.clock.now())
                self.line.execute_late()
                body = answer(Ask(desk, self.api, self.line, dict(request.path_params), params))
                if isawaitable(body):
                    body = await body
                response = forms.done(body, back) if form else _answer(body, 200)
            except ApiError as error:
                response = forms.refused(error, back) if form else _answer(error.body("req_control"), error.status)
            await desk.store.committed()
            desk.wake.set()
            return response

        return respond


def _answer(body: Doc, status: int) -> Response:
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")


def _json(body: bytes) -> Doc:
    if not body:
        return {}
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid("The request body could not be read as JSON.") from None
    if not isinstance(sent, dict):
        raise invalid("The request body must be a JSON object.")
    return sent
