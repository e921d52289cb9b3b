"""The Starlette program: GraphQL, provider webhooks, health, metrics, explorer. Everything it needs is passed in."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from uuid import UUID

import strawberry
import structlog
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from marketbill import clock
from marketbill.errors import NotFound, Refusal, Unavailable
from marketbill.ids import PlatformId, parse_id
from marketbill.platforms import keys
from marketbill.services import Services
from marketbill.webhooks.receive import BadSignature, Receiver, UnknownEndpoint
from marketbill_graphql import downloads, explorer, metrics, proof_files
from marketbill_graphql.endpoint import Authenticate, GraphQLEndpoint
from marketbill_graphql.request_id import RequestId
from marketbill_graphql.schema import build_schema
from marketbill_graphql.wire import BadRequest, read_bytes

log = structlog.get_logger("marketbill.http")

#: A provider's event is a few KiB; the largest objects stay well below this.
WEBHOOK_BYTES_MAX = 1024 * 1024
#: The tenant of a probe: nobody's.
_NOBODY = PlatformId(UUID(int=0))

_LANDING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>marketbill</title>
<body style="font-family: system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; line-height: 1.6">
<h1>marketbill</h1><p>Payments and billing for marketplaces.</p>
<ul><li><a href="/explorer">Explorer</a>: the API with its schema, in your browser</li>
<li><code>POST /graphql</code>: the API, with <code>Authorization: Bearer &lt;key&gt;</code></li>
<li><a href="/health">/health</a> and <a href="/ready">/ready</a>: for probes</li></ul>"""


def create_app(
    services: Services,
    *,
    schema: strawberry.Schema | None = None,
    authenticate: Authenticate | None = None,
) -> Starlette:
    """The program over the given services, which it closes when the server stops.

    `schema` and `authenticate` stand in for the product's own in tests.
    """
    endpoint = GraphQLEndpoint(schema or build_schema(), services, authenticate or keys.authenticate)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        yield
        await services.close()

    app = Starlette(
        routes=[
            Route("/", _landing),
            Route("/graphql", endpoint),
            Route("/health", _health),
            Route("/ready", _ready(services)),
            Route("/webhooks/stripe/{platform}", _stripe_webhook(services), methods=["POST"]),
            *metrics.routes(services),
            *downloads.routes(services),
            *proof_files.routes(services),
            *explorer.routes(),
        ],
        middleware=[Middleware(RequestId)],
        exception_handlers={Exception: _unexpected},
        lifespan=lifespan,
    )
    app.state.documents = endpoint.documents
    return app


async def _landing(request: Request) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_LANDING)
    return JSONResponse({"name": "marketbill", "graphql": "/graphql", "explorer": "/explorer", "ready": "/ready"})


async def _health(_request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


def _ready(services: Services) -> Callable[[Request], object]:
    async def ready(_request: Request) -> Response:
        """The process can serve: its database answers."""
        try:
            async with services.db.read(_NOBODY) as scope:
                await scope.scalar(text("select 1"))
        except Unavailable as refusal:
            return JSONResponse({"status": "unavailable", "reason": refusal.message}, status_code=503)
        return JSONResponse({"status": "ready"})

    return ready


def _stripe_webhook(services: Services) -> Callable[[Request], object]:
    receiver = Receiver(services.db, services.vault)

    async def webhook(request: Request) -> Response:
        """Stores a signed event and answers; a worker does the rest."""
        try:
            raw = await read_bytes(request, limit=WEBHOOK_BYTES_MAX)
            platform = PlatformId(parse_id("platform", request.path_params["platform"]))
            signature = request.headers.get("stripe-signature", "")
            result = await receiver.receive(platform, raw, signature, clock.now())
        except BadRequest as error:
            return JSONResponse({"error": error.message}, status_code=error.status, headers=error.headers)
        except (UnknownEndpoint, NotFound):
            return JSONResponse({"error": "No such webhook endpoint."}, status_code=404)
        except BadSignature as refusal:
            log.warning("webhook refused", reason=refusal.message)
            return JSONResponse({"error": refusal.message}, status_code=400)
        except Refusal as refusal:
            # Anything but 2xx makes the provider send the event again.
            log.warning("webhook refused", reason=refusal.message)
            return JSONResponse({"error": refusal.message}, status_code=503 if refusal.retryable else 400)
        return JSONResponse({"received": True, "result": result})

    return webhook


async def _unexpected(request: Request, error: Exception) -> Response:
    request_id = request.scope.get("state", {}).get("request_id", "")
    log.error("unexpected error", path=request.url.path, exc_info=error)
    return JSONResponse({"error": "Something went wrong on our side.", "requestId": request_id}, status_code=500)
