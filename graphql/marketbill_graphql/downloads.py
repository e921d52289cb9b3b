"""Files by signed link: a link names one file of one platform, needs no other credential and lives for minutes."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from marketbill import clock
from marketbill.actor import Actor, Role
from marketbill.errors import NotFound, Refusal
from marketbill.ids import PREFIX, PlatformId, SellerId, parse_id, public_id
from marketbill.services import Services
from marketbill.statements import fee_invoice, issued
from marketbill.statements.document import FILE_LINES_MAX, PDF_LINES_MAX, draw_up
from marketbill.statements.model import FileFormat
from marketbill.statements.rendering import MEDIA_TYPES, File, invoice_file, render, statement_file
from marketbill.statements.statement import Statement
from marketbill.statements.statement_csv import statement_csv
from marketbill.statements.words import Language
from marketbill_graphql import declare
from marketbill_graphql.access import TENANT

LIFETIME = timedelta(minutes=15)
#: Another issuer than that of seller and buyer tokens, so that neither can stand in for the other.
_ISSUER = "marketbill-files"
_CLAIMS = ["exp", "plt", "fmt", "lng"]


@declare.output(TENANT)
class DownloadLink:
    """An address that needs no other credential and works for a quarter of an hour."""

    url: str
    expires_at: datetime


def statement_link(
    services: Services, platform: PlatformId, told: Statement, format: FileFormat, language: Language
) -> DownloadLink:
    """A link to a seller's statement as a file, of the same state of the books."""
    claims = {
        "sel": public_id("seller", told.seller),
        "cur": told.currency,
        "start": told.start.isoformat(),
        "end": told.end.isoformat(),
        "known": told.as_of,
    }
    return _link(services, platform, "statement", claims, format, language)


def document_link(
    services: Services, platform: PlatformId, document: str, format: FileFormat, language: Language
) -> DownloadLink:
    """A link to a file of an issued statement (`stm_…`) or of a fee invoice (`inv_…`)."""
    return _link(services, platform, "document", {"doc": document}, format, language)


def routes(services: Services) -> list[Route]:
    """The files' addresses."""

    def route(name: str, answer: Callable[[Services, dict[str, Any]], Awaitable[Response]]) -> Route:
        async def download(request: Request) -> Response:
            try:
                return await answer(services, _verify(services, request.query_params.get("token", "")))
            except (jwt.InvalidTokenError, NotFound, KeyError, ValueError):
                return JSONResponse({"error": "This link is not valid, or has expired."}, status_code=404)
            except Refusal as refusal:
                return JSONResponse({"error": refusal.message}, status_code=503 if refusal.retryable else 400)

        return Route(f"/files/{name}.{{format}}", download)

    return [route("statement", _statement), route("document", _document)]


def _link(
    services: Services, platform: PlatformId, name: str, claims: dict[str, Any], format: FileFormat, language: Language
) -> DownloadLink:
    expires_at = clock.now().replace(microsecond=0) + LIFETIME
    told = {
        "iss": _ISSUER,
        "exp": expires_at,
        "plt": public_id("platform", platform),
        "fmt": format.value,
        "lng": language.value,
        **claims,
    }
    token = jwt.encode(told, services.vault.token_key, algorithm="HS256")
    return DownloadLink(
        url=f"{services.settings.public_url.rstrip('/')}/files/{name}.{format.lower()}?token={token}",
        expires_at=expires_at,
    )


def _verify(services: Services, token: str) -> dict[str, Any]:
    return jwt.decode(
        token, services.vault.token_key, algorithms=["HS256"], issuer=_ISSUER, options={"require": _CLAIMS}
    )


async def _statement(services: Services, asked: dict[str, Any]) -> Response:
    platform = PlatformId(parse_id("platform", asked["plt"]))
    read = partial(services.db.read, platform)
    format, language = FileFormat(asked["fmt"]), Language(asked["lng"])
    period: dict[str, Any] = {
        "seller": SellerId(parse_id("seller", asked["sel"])),
        "currency": asked["cur"],
        "start": datetime.fromisoformat(asked["start"]),
        "end": datetime.fromisoformat(asked["end"]),
        "known": asked["known"],
    }
    name = f"statement-{asked['sel']}-{asked['cur']}-{asked['start'][:10]}"
    if format is FileFormat.CSV:
        parts = statement_csv(read, **period)
        # The first part is fetched before the answer begins, so that a refusal still has a status of its own.
        first = await anext(parts)
        return _File(_after(first, parts), media_type=MEDIA_TYPES[format], headers=_headers(name, format))
    lines_max = PDF_LINES_MAX if format is FileFormat.PDF else FILE_LINES_MAX
    document = await draw_up(read, **period, lines_max=lines_max)
    content = await asyncio.to_thread(render, document, format, language)
    return Response(content, media_type=MEDIA_TYPES[format], headers=_headers(name, format))


async def _document(services: Services, asked: dict[str, Any]) -> Response:
    platform = PlatformId(parse_id("platform", asked["plt"]))
    file, number = await document_file(
        services, platform, asked["doc"], FileFormat(asked["fmt"]), Language(asked["lng"])
    )
    format = FileFormat(asked["fmt"])
    return Response(file.content, media_type=MEDIA_TYPES[format], headers=_headers(number, format))


async def document_file(
    services: Services, platform: PlatformId, document: str, format: FileFormat, language: Language
) -> tuple[File, str]:
    """A file of an issued statement or a fee invoice, and the document's number. Raises NotFound, LimitExceeded."""
    reader = Actor(role=Role.OPERATOR_READONLY, id="link", platform=platform)
    if document.startswith(PREFIX["statement"]):
        async with services.db.read(platform) as scope:
            row = await issued.by_id(scope, reader, document)
        return await statement_file(services.db, platform, row, format, language), row.number
    async with services.db.read(platform) as scope:
        row = await fee_invoice.by_id(scope, reader, document)
        lines = (await fee_invoice.lines_of(scope, [row.id]))[row.id]
    return await invoice_file(services.db, platform, row, lines, language), row.number


def _headers(name: str, format: FileFormat) -> dict[str, str]:
    return {
        "content-disposition": f'attachment; filename="{name}.{format.lower()}"',
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
    }


async def _after(first: str, rest: AsyncGenerator[str]) -> AsyncGenerator[str]:
    async with aclosing(rest):
        yield first
        async for part in rest:
            yield part


class _File(StreamingResponse):
    """Closes its source at once, also when the reader went away in the middle."""

    def __init__(self, parts: AsyncGenerator[str], *, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(parts, media_type=media_type, headers=headers)
        self._parts = parts

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._parts):
            await super().stream_response(send)
