"""What every page shares: templates, headers, and how money, moments, states and ids are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from marketbill.sandbox.control.forms import check_host
from marketbill.sandbox.currencies import in_words
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.dispatch import Api
from marketbill.sandbox.line import Line
from marketbill.sandbox.wire import ApiError, Doc

PREFIX = "/dashboard"

#: No script, nothing from elsewhere, forms to this sandbox only, in nobody's frame.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

#: Pages of their own, by how an id begins; every other object has the page of objects.
PAGES = {
    "acct_": "accounts",
    "evt_": "events",
    "pi_": "payments",
    "po_": "payouts",
    "tr_": "transfers",
    "we_": "webhooks",
}

_GOOD = frozenset((
    "active", "available", "complete", "delivered", "enabled", "paid", "succeeded", "supported", "verified",
    "warning_closed", "won",
))  # fmt: skip
_BAD = frozenset((
    "disabled", "errored", "failed", "lost", "past due", "requires_payment_method", "restricted", "uncaptured",
    "unsupported",
))  # fmt: skip
_WAITING = frozenset((
    "in_transit", "inactive", "needs_response", "pending", "processing", "requires_action", "requires_capture",
    "requires_confirmation", "under_review", "warning_needs_response", "warning_under_review",
))  # fmt: skip

#: An id or key inside JSON text.
_ID = re.compile(r"&#34;([a-z]{2,8}_[A-Za-z0-9_]{6,60})&#34;")


def href(identifier: str) -> str:
    """Return the page of an object."""
    for prefix, folder in PAGES.items():
        if identifier.startswith(prefix):
            return f"{PREFIX}/{folder}/{identifier}"
    return f"{PREFIX}/objects/{identifier}"


def is_shown(desk: Desk, identifier: str) -> bool:
    """Return whether an id is that of an object with a page. The id of an account link is its secret."""
    found = desk.store.kind_and_account(identifier)
    if found is None:
        row = desk.store.db.execute("SELECT 1 FROM events WHERE id = ?", (identifier,)).fetchone()
        return row is not None
    return found[0] != "account_link"


def moment(seconds: float | None) -> Markup:
    """Write a moment in UTC; a dash for none."""
    if not seconds:
        return Markup('<span class="none">—</span>')
    at = datetime.fromtimestamp(int(seconds), UTC)
    # Two pieces: where there is little room a line breaks between them, nowhere else.
    text = Markup('<time datetime="{}"><span>{:%Y-%m-%d}</span> <span>{:%H:%M:%S}</span></time>')
    return text.format(at.isoformat(), at, at)


def span(seconds: int) -> str:
    """Write a length of time: ``3 days, 4:00:00``."""
    return str(timedelta(seconds=seconds))


def pill(state: str | None) -> Markup:
    """Write a state with the colour of what it means."""
    word = state or "none"
    tone = "good" if word in _GOOD else "bad" if word in _BAD else "wait" if word in _WAITING else "plain"
    return Markup('<span class="pill {}">{}</span>').format(tone, word.replace("_", " "))


def money(amount: int | None, currency: str) -> str:
    return "—" if amount is None else in_words(amount, currency)


def account_name(doc: Doc) -> str:
    return doc["business_profile"]["name"] or doc["settings"]["dashboard"]["display_name"] or doc["email"] or doc["id"]


class NoPage(LookupError):
    """There is nothing to show; the text says what was looked for."""


@dataclass(frozen=True, slots=True)
class Look:
    """One request for a page."""

    desk: Desk
    api: Api
    line: Line
    request: Request
    _environment: Environment

    def named(self, name: str) -> str:
        """Return a name out of the path."""
        return self.request.path_params[name]

    def asked(self, name: str) -> str:
        """Return a parameter of the query, empty when it is not given."""
        return self.request.query_params.get(name, "").strip()

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        path, query = self.request.url.path, self.request.url.query
        text = self._environment.get_template(template).render(
            now=self.desk.clock.now(),
            here=path + (f"?{query}" if query else ""),
            section=path.removeprefix(PREFIX).strip("/").partition("/")[0],
            searched=self.asked("q"),
            **values,
        )
        return HTMLResponse(text, status_code=status, headers=HEADERS)

    def json(self, doc: Doc) -> Markup:
        """Write a document as JSON in which the ids that exist are links."""
        text = str(Markup.escape(orjson.dumps(doc, option=orjson.OPT_INDENT_2).decode()))

        def linked(match: re.Match[str]) -> str:
            identifier = match.group(1)
            if not is_shown(self.desk, identifier):
                return match.group()
            return f'&#34;<a href="{href(identifier)}">{identifier}</a>&#34;'

        return Markup(_ID.sub(linked, text))  # noqa: S704 - escaped above; a link holds letters, digits and _ only


Answer = Callable[[Look], Response]


class Frame:
    """Makes routes of pages."""

    def __init__(self, desk: Desk, api: Api, line: Line) -> None:
        self._desk = desk
        self._api = api
        self._line = line
        self._environment = Environment(
            loader=PackageLoader("marketbill.sandbox.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            href=href, ref=self._ref, moment=moment, span=span, pill=pill, money=money, account_name=account_name
        )

    def _ref(self, identifier: str | None) -> Markup:
        """Write an id, as a link when it has a page; a dash for none."""
        if not identifier:
            return Markup('<span class="none">—</span>')
        if not is_shown(self._desk, identifier):
            return Markup('<span class="id">{}</span>').format(identifier)
        return Markup('<a class="id" href="{}">{}</a>').format(href(identifier), identifier)

    def route(self, path: str, answer: Answer) -> Route:
        """Return a route; what was due is done before it answers. A page only reads."""

        async def respond(request: Request) -> Response:
            desk = self._desk
            look = Look(desk, self._api, self._line, request, self._environment)
            try:
                check_host(request)
                desk.schedule.run(desk.clock.now())
                response = answer(look)
            except (NoPage, ApiError) as error:
                status = error.status if isinstance(error, ApiError) else 404
                text = error.message if isinstance(error, ApiError) else str(error)
                response = look.page("missing.html", status=status, text=text)
            await desk.store.committed()
            return response

        return Route(path, respond, methods=["GET"])
