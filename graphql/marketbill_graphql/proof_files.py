"""Proofs of payouts as files by signed link: of one payout of one platform, for minutes."""

from typing import Literal

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from marketbill import clock
from marketbill.actor import Actor, Role
from marketbill.errors import NotFound, Refusal
from marketbill.ids import PlatformId, parse_id, public_id
from marketbill.reconciliation.payout_proof import prove
from marketbill.reconciliation.proof import as_csv, as_json
from marketbill.services import Services
from marketbill_graphql.downloads import LIFETIME, DownloadLink

#: Another issuer than that of other links and tokens, so that none can stand in for another.
_ISSUER = "marketbill-proofs"
_CLAIMS = ["exp", "plt", "pot"]
Format = Literal["csv", "json"]
_MEDIA = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def link(services: Services, platform: PlatformId, payout: str, format: Format) -> DownloadLink:
    """A link to a payout's proof, for a caller who may see it."""
    expires_at = clock.now().replace(microsecond=0) + LIFETIME
    claims = {"iss": _ISSUER, "exp": expires_at, "plt": public_id("platform", platform), "pot": payout}
    token = jwt.encode(claims, services.vault.token_key, algorithm="HS256")
    url = f"{services.settings.public_url.rstrip('/')}/files/payout-proof.{format}?token={token}"
    return DownloadLink(url=url, expires_at=expires_at)


def routes(services: Services) -> list[Route]:
    """The files' addresses."""

    async def file(request: Request) -> Response:
        format = request.url.path.rpartition(".")[2]
        try:
            asked = jwt.decode(
                request.query_params.get("token", ""),
                services.vault.token_key,
                algorithms=["HS256"],
                issuer=_ISSUER,
                options={"require": _CLAIMS},
            )
            platform = PlatformId(parse_id("platform", asked["plt"]))
            # Who made the link was allowed to see the payout, and it names no other.
            actor = Actor(Role.OPERATOR_READONLY, "link", platform)
            proof = await prove(services, actor, platform, asked["pot"])
        except (jwt.InvalidTokenError, NotFound, ValueError):
            return JSONResponse({"error": "This link is not valid, or has expired."}, status_code=404)
        except Refusal as refusal:
            return JSONResponse({"error": refusal.message}, status_code=503 if refusal.retryable else 400)
        body = as_json(proof) if format == "json" else "".join(as_csv(proof)).encode()
        headers = {
            "content-disposition": f'attachment; filename="proof-{proof.payout}.{format}"',
            "cache-control": "private, no-store",
            "x-content-type-options": "nosniff",
        }
        return Response(body, media_type=_MEDIA[format], headers=headers)

    return [Route("/files/payout-proof.csv", file), Route("/files/payout-proof.json", file)]
