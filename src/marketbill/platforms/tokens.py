"""Short-lived tokens for sellers and buyers, which a platform's backend mints: signed JWTs (HS256), never stored."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from marketbill import clock
from marketbill.actor import Actor, Role
from marketbill.errors import InvalidInput, NotFound, Unauthenticated
from marketbill.ids import BuyerId, PlatformId, SellerId, parse_id, public_id
from marketbill.services import Services

LIFETIME_SECONDS_MIN = 60
LIFETIME_SECONDS_MAX = 86_400
_ISSUER = "marketbill"


@dataclass(frozen=True, slots=True)
class PartyToken:
    """A minted token and the instant from which it is refused."""

    token: str
    expires_at: datetime


def mint(
    services: Services, platform: PlatformId, *, role: Role, party: str, lifetime_seconds: int = 3600
) -> PartyToken:
    """A token for one seller or buyer (`party` is its public id). Raises InvalidInput for a lifetime out of range."""
    if not LIFETIME_SECONDS_MIN <= lifetime_seconds <= LIFETIME_SECONDS_MAX:
        raise InvalidInput(
            "A token lives from one minute to one day.", path=("lifetimeSeconds",), constraint="60..86400 seconds"
        )
    now = clock.now().replace(microsecond=0)
    expires_at = now + timedelta(seconds=lifetime_seconds)
    claims = {
        "iss": _ISSUER,
        "plt": public_id("platform", platform),
        "role": role.value,
        "sub": party,
        "iat": now,
        "exp": expires_at,
    }
    return PartyToken(jwt.encode(claims, services.vault.token_key, algorithm="HS256"), expires_at)


async def verify(services: Services, token: str) -> Actor:
    """The seller or buyer of a token. Raises Unauthenticated when it is expired, altered or not ours."""
    try:
        claims = jwt.decode(
            token,
            services.vault.token_key,
            algorithms=["HS256"],
            issuer=_ISSUER,
            options={"require": ["exp", "iat", "sub", "plt", "role"]},
        )
        platform = PlatformId(parse_id("platform", str(claims["plt"])))
        if claims["role"] == Role.SELLER:
            seller = SellerId(parse_id("seller", claims["sub"]))
            return Actor(Role.SELLER, claims["sub"], platform, seller=seller)
        buyer = BuyerId(parse_id("buyer", claims["sub"]))
        return Actor(Role.BUYER, claims["sub"], platform, buyer=buyer)
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("This token has expired: let the platform's backend mint a new one.") from None
    except (jwt.InvalidTokenError, NotFound):
        raise Unauthenticated("This token is not valid.") from None
