"""Upkeep: sellers' accounts whose making was interrupted, or whose news never came, are brought up to date."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy import bindparam, select, update

from marketbill.errors import ProviderNotConnected, told
from marketbill.ids import PlatformId
from marketbill.platforms.credentials import provider_of
from marketbill.provider import claim as claims
from marketbill.provider.port import PROVIDER_ERRORS
from marketbill.sellers.model import seller
from marketbill.sellers.onboarding import CALLS_MAX, CREATE_ACCOUNT, Opening, make_account, refresh
from marketbill.services import Services

BATCH_MAX = 50
#: A seller who may not receive transfers yet is read again after this, should his event have been lost.
NEWS_WITHIN = timedelta(minutes=10)

_STALE = (
    select(seller.c.provider_account)
    .where(
        seller.c.platform_id == bindparam("platform"),
        seller.c.provider_account.is_not(None),
        seller.c.transfers != "ACTIVE",
        seller.c.provider_read_at < bindparam("before"),
    )
    .order_by(seller.c.provider_read_at)
    .limit(BATCH_MAX)
)
_ASKED = (
    update(seller)
    .where(seller.c.platform_id == bindparam("platform"), seller.c.provider_account == bindparam("account"))
    .values(provider_read_at=bindparam("now"))
)
log = structlog.get_logger()


async def keep_up_sellers(services: Services, platform: PlatformId) -> None:
    """One sweep over a platform's sellers; safe to run in many workers at once.

    An account's intent is sent again under its own key, which the provider remembers for 30 days: it makes one account.
    """
    async with services.db.write(platform) as scope:
        claimed = await claims.claim_due(scope, [CREATE_ACCOUNT], BATCH_MAX)
        stale = await scope.rows(_STALE, {"platform": platform, "before": scope.now - NEWS_WITHIN})
        try:
            provider = await provider_of(services, scope)
        except ProviderNotConnected:
            return
    for intent in claimed:
        try:
            await make_account(services, platform, Opening(intent, provider))
        except PROVIDER_ERRORS:
            continue  # recorded with the intent, which says when to try again
    gate = asyncio.Semaphore(CALLS_MAX)
    await asyncio.gather(*(_refresh(services, platform, row.provider_account, gate) for row in stale))


async def _refresh(services: Services, platform: PlatformId, account: str, gate: asyncio.Semaphore) -> None:
    """Reads one account. One that cannot be read (the seller disconnected it, say) fails alone and goes last."""
    async with gate:
        try:
            await refresh(services, platform, [account])
        except PROVIDER_ERRORS as error:
            log.error("seller's account not read", account=account, error=told(error))
            async with services.db.write(platform) as scope:
                await scope.run(_ASKED, {"platform": platform, "account": account, "now": scope.now})
