"""Files by signed link: a link names one file of one platform, needs no other credential and lives for minutes."""

from collections.abc import AsyncGenerator
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
from marketbill.errors import NotFound, Refusal
from marketbill.ids import PlatformId, SellerId, parse_id, public_id
from marketbill.services import Services
from marketbill.statements.statement_csv import statement_csv
from marketbill_graphql import declare
from marketbill_graphql.access import TENANT

LIFETIME = timedelta(minutes=15)
#: Another issuer than that of seller and buyer tokens, so that neither can stand in for the other.
_ISSUER = "marketbill-files"
_CLAIMS = ["exp", "plt", "sel", "cur", "start", "end"]


@declare.output(TENANT)
class DownloadLink:
    """An address that needs no other credential and works for a quarter of an hour."""

    url: str
    expires_at: datetime


def statement_link(
    services: Services, platform: PlatformId, *, seller: SellerId, currency: str, start: datetime, end: datetime
) -> DownloadLink:
    """A link to a seller's statement as CSV."""
    expires_at = clock.now().replace(microsecond=0) + LIFETIME
    claims = {
        "iss": _ISSUER,
        "exp": expires_at,
        "plt": public_id("platform", platform),
        "sel": public_id("seller", seller),
        "cur": currency,
        "start": start.isoformat(),
        "end": end.isoformat(),
    }
    token = jwt.encode(claims, services.vault.token_key, algorithm="HS256")
    return DownloadLink(
        url=f"{services.settings.public_url.rstrip('/')}/files/statement.csv?token={token}", expires_at=expires_at
    )


def routes(services: Services) -> list[Route]:
    """The files' addresses."""

    async def statement(request: Request) -> Response:
        try:
            asked = _verify(services, request.query_params.get("token", ""))
            parts = _statement(services, asked)
            # The first part is fetched before the answer begins, so that a refusal still has a status of its own.
            first = await anext(parts)
        except (jwt.InvalidTokenError, NotFound, ValueError):
            return JSONResponse({"error": "This link is not valid, or has expired."}, status_code=404)
        except Refusal as refusal:
            return JSONResponse({"error": refusal.message}, status_code=503 if refusal.retryable else 400)
        name = f"statement-{asked['sel']}-{asked['cur']}-{asked['start'][:10]}.csv"
        headers = {
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "private, no-store",
            "x-content-type-options": "nosniff",
        }
        return _File(_after(first, parts), media_type="text/csv; charset=utf-8", headers=headers)

    return [Route("/files/statement.csv", statement)]


def _verify(services: Services, token: str) -> dict[str, Any]:
    return jwt.decode(
        token, services.vault.token_key, algorithms=["HS256"], issuer=_ISSUER, options={"require": _CLAIMS}
    )


def _statement(services: Services, asked: dict[str, Any]) -> AsyncGenerator[str]:
    platform = PlatformId(parse_id("platform", asked["plt"]))
    return statement_csv(
        partial(services.db.read, platform),
        seller=SellerId(parse_id("seller", asked["sel"])),
        currency=asked["cur"],
        start=datetime.fromisoformat(asked["start"]),
        end=datetime.fromisoformat(asked["end"]),
    )


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
