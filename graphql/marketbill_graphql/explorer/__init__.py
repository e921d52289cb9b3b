"""The explorer: GraphiQL from our own files: it works without the internet and under a strict content policy."""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

#: GraphiQL sets styles on its elements and has its fonts in the style sheet; all else comes from this host.
CONTENT_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:;"
    " object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def routes() -> list[BaseRoute]:
    """The page at /explorer and its assets below it."""
    assets = files(__name__) / "assets"
    page = (assets / "explorer.html").read_text()

    async def explorer(_request: Request) -> Response:
        headers = {
            "content-security-policy": CONTENT_POLICY,
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }
        return HTMLResponse(page, headers=headers)

    return [
        Route("/explorer", explorer),
        Mount("/explorer/assets", StaticFiles(directory=str(assets))),
    ]
