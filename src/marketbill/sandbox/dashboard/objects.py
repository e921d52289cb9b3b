"""Any object: its JSON, the events and balance transactions about it; lists of a kind; search."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from marketbill.sandbox.dashboard import queries
from marketbill.sandbox.dashboard.frame import PREFIX, Frame, Look, NoPage, href
from marketbill.sandbox.wire import Doc

_FOUND_MAX = 25
_TEXT_MAX = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """What a page is about."""

    kind: str
    account: str
    doc: Doc
    text: Markup
    told: list[queries.Told]
    transactions: list[Doc]


def subject(look: Look, identifier: str, *, kind: str | None = None) -> Subject | None:
    """Return an object with what belongs to it, or None when there is none of this id (and kind)."""
    found = queries.find(look.desk, identifier)
    if found is None or (kind is not None and found[0] != kind):
        return None
    name, account, doc = found
    return Subject(
        kind=name,
        account=account,
        doc=doc,
        text=look.json(doc),
        told=queries.events_about(look.desk, [identifier]),
        transactions=queries.transactions(look.desk, identifier, account),
    )


def routes(frame: Frame) -> list[Route]:
    return [
        frame.route(f"{PREFIX}/objects/{{id}}", page),
        frame.route(f"{PREFIX}/kinds/{{kind}}", listing),
        frame.route(f"{PREFIX}/search", search),
    ]


def page(look: Look) -> Response:
    identifier = look.named("id")
    about = subject(look, identifier)
    if about is None:
        raise NoPage(f"There is no object {identifier}.")
    if href(identifier) != look.request.url.path:
        return RedirectResponse(href(identifier), status_code=303)
    return look.page("object.html", about=about)


def listing(look: Look) -> Response:
    kind = look.named("kind")
    if kind == "account_link" or not _exists(look, kind):
        raise NoPage(f"There is no object of the kind {kind}.")
    return look.page("objects.html", kind=kind, found=queries.objects(look, kind), account=look.asked("account"))


def _exists(look: Look, kind: str) -> bool:
    row = look.desk.store.db.execute("SELECT 1 FROM objects WHERE kind = ? LIMIT 1", (kind,)).fetchone()
    return row is not None


def search(look: Look) -> Response:
    """Lead to the object of an id, or list ids that begin so, else what belongs to an email or a transfer group."""
    text = look.asked("q")[:_TEXT_MAX]
    db = look.desk.store.db
    if queries.find(look.desk, text) is not None:
        return RedirectResponse(href(text), status_code=303)
    if db.execute("SELECT 1 FROM events WHERE id = ?", (text,)).fetchone() is not None:
        return RedirectResponse(href(text), status_code=303)
    found: list[tuple[str, str]] = []
    if text:
        bounds = (text, text + "\U0010ffff")
        found += db.execute(
            "SELECT id, kind FROM objects WHERE id >= ? AND id < ? AND kind <> 'account_link' ORDER BY id LIMIT ?",
            (*bounds, _FOUND_MAX),
        ).fetchall()
        found += db.execute(
            "SELECT id, 'event' FROM events WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", (*bounds, _FOUND_MAX)
        ).fetchall()
    if text and not found:
        for kind, column in (("customer", "a"), ("transfer", "a"), ("charge", "c")):
            condition, value = queries.of_platforms(kind, column, text)
            statement = f"SELECT id, kind FROM objects WHERE {condition} ORDER BY seq DESC LIMIT ?"  # noqa: S608
            found += db.execute(statement, (value, _FOUND_MAX)).fetchall()
    return look.page("search.html", status=200 if found else 404, text=text, found=found[: 2 * _FOUND_MAX])
