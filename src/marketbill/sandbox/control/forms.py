"""The control plane as a browser reaches it: forms in, pages out, and nothing from another site.

A form's fields are the JSON body's, by the same names; an empty field counts as not given. ``back`` names the page to
return to when it went well; without it the answer itself is shown.
"""

from __future__ import annotations

import json
from html import escape
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from marketbill.sandbox.pages import page
from marketbill.sandbox.wire import ApiError, Doc, decode_form, invalid

_FORM = "application/x-www-form-urlencoded"


def check_site(request: Request) -> None:
    """Refuse what a browser sends for a page of another site.

    Browsers say where a request comes from in ``Sec-Fetch-Site``, or, for addresses that they do not trust, in
    ``Origin``. Programs send neither and pass.

    :raises ApiError: 403.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        own = site in ("same-origin", "none")
    else:
        origin = request.headers.get("origin")
        own = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if not own:
        raise ApiError(403, "The sandbox is controlled from its own pages only, not from those of another site.")


def check_host(request: Request) -> None:
    """Refuse what came in by this machine's own loopback address under the name of another host.

    A page of another site may have its own name lead to that address; a browser takes the sandbox for that site then,
    and would let its page read and send whatever it likes.

    :raises ApiError: 403.
    """
    server = request.scope.get("server")
    if server and _is_loopback(server[0]) and not _is_loopback(_host_name(request)):
        raise ApiError(403, "The sandbox of this machine is reached as localhost or 127.0.0.1, not by another name.")


def _host_name(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_form(request: Request, body: bytes) -> bool:
    """Return whether a body is a form's; programs that leave the default content type on their JSON send JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == _FORM and not body.lstrip().startswith(b"{")


def fields(body: bytes) -> tuple[Doc, str | None]:
    """Return what a form says and the page to go back to.

    :raises ApiError: it cannot be decoded, or ``back`` is no page of this sandbox.
    """
    try:
        given = decode_form(body.decode())
    except UnicodeDecodeError:
        raise invalid("Your request could not be decoded as a form.") from None
    back = given.pop("back", None)
    if back is not None and not _is_own_page(back):
        raise invalid("`back` must be a path of this sandbox.", param="back")
    return _filled(given), back


def _filled(given: Doc) -> Doc:
    """Return the fields that were filled in; an object none of whose fields was is not given either."""
    read = {name: _filled(value) if isinstance(value, dict) else value for name, value in given.items()}
    return {name: value for name, value in read.items() if value not in ("", {})}


def _is_own_page(back: object) -> bool:
    return (
        isinstance(back, str)
        and back.startswith("/")
        and not back.startswith(("//", "/\\"))
        and back.isprintable()
        and len(back) <= 2048
    )


def done(body: Doc, back: str | None) -> Response:
    """Return to the page a form was on, or show what came of it."""
    if back is not None:
        return RedirectResponse(back, status_code=303)
    shown = escape(json.dumps(body, indent=2, ensure_ascii=False))
    return page("Done", f"<pre>{shown}</pre><p><a href='/'>Back to the dashboard</a></p>")


def refused(error: ApiError, back: str | None) -> Response:
    where = f"<p>Field: <code>{escape(error.param)}</code></p>" if error.param else ""
    return page(
        "That was not done",
        f"<p>{escape(error.message)}</p>{where}<p><a href='{escape(back or '/')}'>Back</a></p>",
        status=error.status,
    )
