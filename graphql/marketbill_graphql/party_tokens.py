"""Tokens and links that a request makes once: the same idempotency key gives the same one again while it lives."""

from datetime import datetime

from marketbill.actor import Role
from marketbill.buyers import buyer
from marketbill.idempotency import keys as idempotency
from marketbill.ids import BuyerId, SellerId, parse_id
from marketbill.platforms import tokens
from marketbill.platforms.tokens import PartyToken
from marketbill.provider.objects import AccountLink
from marketbill.sellers import onboarding, seller
from marketbill.sellers.onboarding import OnboardingLink
from marketbill_graphql.context import Context


async def mint_once(
    context: Context, *, operation: str, idempotency_key: str, role: Role, party_id: str, lifetime_seconds: int
) -> PartyToken:
    """A token for a seller or buyer that exists. Raises NotFound, InvalidInput, IdempotencyConflict."""
    services, platform = context.services, context.platform
    sealed_for = f"{platform}:idempotency:{operation}:{idempotency_key}"
    body = {"party": party_id, "lifetime": lifetime_seconds}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=context.actor.id, operation=operation, key=idempotency_key, body=body
        )
        if claim.replay is not None:
            token = services.vault.decrypt(claim.replay["token"], context=sealed_for)
            return PartyToken(token, datetime.fromisoformat(claim.replay["expires_at"]))
        if role is Role.SELLER:
            path = ("sellerId",)
            await seller.load(scope, SellerId(parse_id("seller", party_id, path=path)), path=path)
        else:
            path = ("buyerId",)
            await buyer.load(scope, BuyerId(parse_id("buyer", party_id, path=path)), path=path)
        made = tokens.mint(services, platform, role=role, party=party_id, lifetime_seconds=lifetime_seconds)
        sealed = services.vault.encrypt(made.token, context=sealed_for)
        await idempotency.finish(scope, claim, {"token": sealed, "expires_at": made.expires_at.isoformat()})
        return made


async def link_once(
    context: Context, *, idempotency_key: str, seller_id: str, return_url: str, refresh_url: str
) -> OnboardingLink:
    """An onboarding link. Raises what `onboarding.link` raises, and then the key is free again."""
    services, platform, actor = context.services, context.platform, context.actor
    body = {"seller": seller_id, "return": return_url, "refresh": refresh_url}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="sellerOnboardingLinkCreate", key=idempotency_key, body=body
        )
        if claim.replay is not None:
            row = await seller.load(scope, SellerId(parse_id("seller", seller_id)))
            expires_at = datetime.fromisoformat(claim.replay["expires_at"])
            return OnboardingLink(row, AccountLink(claim.replay["url"], expires_at))
    async with idempotency.attempt(services.db, claim, platform):
        made = await onboarding.link(services, actor, id=seller_id, return_url=return_url, refresh_url=refresh_url)
    async with services.db.write(platform) as scope:
        await idempotency.finish(scope, claim, {"url": made.link.url, "expires_at": made.link.expires_at.isoformat()})
    return made
