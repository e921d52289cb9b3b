"""Upkeep: sellers' accounts whose making was interrupted, or whose news never came, are brought up to date.

VAT numbers that the register did not answer about are asked about again with them.
"""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy import bindparam, text, update

from marketbill.errors import ProviderNotConnected, told
from marketbill.ids import PlatformId
from marketbill.platforms.credentials import provider_of
from marketbill.provider import asking
from marketbill.provider import claim as claims
from marketbill.provider import saga as sagas
from marketbill.provider.kinds import CREATE_ACCOUNT
from marketbill.provider.port import PROVIDER_ERRORS
from marketbill.sellers import vat_check
from marketbill.sellers.model import seller
from marketbill.sellers.onboarding import ACCOUNT, CALLS_MAX, refresh
from marketbill.services import Services

BATCH_MAX = 50
#: A seller who may not receive transfers yet is read again after this, should his event have been lost.
NEWS_WITHIN = timedelta(minutes=10)

#: SQL: a seller whose news may have been lost; the longer he takes, the less often, but every six hours.
NEWS_DUE = (
    "s.transfers <> 'ACTIVE' and s.provider_account is not null"
    " and s.provider_read_at <= cast(:news_before as timestamptz)"
    f" and {asking.is_time('s', since='s.created_at', touched='provider_read_at')}"
)
_STALE = text(
    f"""
    select s.provider_account from seller s where s.platform_id = :platform and {NEWS_DUE}
    order by s.provider_read_at limit :limit
    """  # noqa: S608 (our own words alone)
)
# Accounts of which the provider said, since we read them last, that they do not allow what we asked for.
_DOUBTED = text(
    """
    select distinct s.provider_account from provider_intent i
    join seller s on s.platform_id = i.platform_id and s.provider_account = split_part(i.held_for, ':', 2)
    where i.platform_id = :platform and i.held_for is not null and i.updated_at >= s.provider_read_at limit :limit
    """
)
_ASKED = (
    update(seller)
    .where(seller.c.platform_id == bindparam("platform"), seller.c.provider_account == bindparam("account"))
    .values(provider_read_at=bindparam("now"))
)
log = structlog.get_logger()


async def keep_up_sellers(services: Services, platform: PlatformId) -> None:
    """One sweep over a platform's sellers; safe to run in many workers at once."""
    await vat_check.ask_due(services, platform)
    async with services.db.write(platform) as scope:
        claimed = await claims.claim_due(scope, [CREATE_ACCOUNT], sagas.BATCH_MAX)
        values = {"platform": platform, "now": scope.now, "news_before": scope.now - NEWS_WITHIN, "limit": BATCH_MAX}
        doubted = {row.provider_account for row in await scope.rows(_DOUBTED, values)}
        stale = {row.provider_account for row in await scope.rows(_STALE, values)}
        try:
            provider = await provider_of(services, scope)
        except ProviderNotConnected:
            return
    await sagas.run(services.db, platform, provider, ACCOUNT, claimed)
    gate = asyncio.Semaphore(CALLS_MAX)
    await asyncio.gather(*(_refresh(services, platform, account, gate) for account in sorted(doubted | stale)))


async def _refresh(services: Services, platform: PlatformId, account: str, gate: asyncio.Semaphore) -> None:
    """Reads one account. One that cannot be read fails alone and goes last."""
    async with gate:
        try:
            await refresh(services, platform, [account], told_of=False)
        except PROVIDER_ERRORS as error:
            log.error("seller's account not read", account=account, error=told(error))
            async with services.db.write(platform) as scope:
                await scope.run(_ASKED, {"platform": platform, "account": account, "now": scope.now})
