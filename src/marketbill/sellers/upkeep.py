"""Upkeep: sellers' accounts whose making was interrupted, or whose news never came, are brought up to date."""

from datetime import timedelta

from sqlalchemy import bindparam, select

from marketbill.errors import ProviderNotConnected
from marketbill.ids import PlatformId
from marketbill.platforms.credentials import provider_of
from marketbill.provider import intent as intents
from marketbill.provider.port import PROVIDER_ERRORS
from marketbill.sellers.model import seller
from marketbill.sellers.onboarding import CREATE_ACCOUNT, Opening, make_account, refresh
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


async def keep_up_sellers(services: Services, platform: PlatformId) -> None:
    """One sweep over a platform's sellers; safe to run in many workers at once.

    An account's intent is sent again under its own key, which the provider remembers for 30 days: it makes one account.
    """
    async with services.db.write(platform) as scope:
        claimed = await intents.claim_due(scope, [CREATE_ACCOUNT], BATCH_MAX)
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
    if stale:
        await refresh(services, platform, [row.provider_account for row in stale])
