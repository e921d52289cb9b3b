"""Upkeep: payouts that are under way at the provider, and whose news never came, are asked for."""

import asyncio
from typing import Any

import structlog
from sqlalchemy import Row, text

from marketbill.errors import Unavailable, told
from marketbill.ids import PayoutId, PlatformId, public_id
from marketbill.payouts import payout as payouts
from marketbill.platforms.credentials import provider_of
from marketbill.provider import asking
from marketbill.provider.port import Provider
from marketbill.services import Services

BATCH_MAX = 50
CALLS_MAX = 8
#: SQL: a payout that may have been paid, or come back, without our knowing.
NEWS_DUE = f"o.provider_payout is not null and o.status in ('CREATED', 'IN_TRANSIT') and {asking.is_due('o')}"
_CLAIM = text(
    f"""
    with due as (
      select o.id from payout o where o.platform_id = :platform and {NEWS_DUE}
      order by o.updated_at limit :limit for update skip locked
    )
    update payout o set updated_at = :now from due, seller s
    where o.platform_id = :platform and o.id = due.id and s.platform_id = o.platform_id and s.id = o.seller_id
    returning o.id, o.provider_payout, s.provider_account
    """  # noqa: S608 (our own words alone)
)
log = structlog.get_logger()


async def keep_up_payouts(services: Services, platform: PlatformId) -> None:
    """One sweep over a platform's payouts; safe to run in many workers at once."""
    async with services.db.write(platform) as scope:
        rows = await scope.rows(_CLAIM, {"platform": platform, "now": scope.now, "limit": BATCH_MAX})
        provider = await provider_of(services, scope) if rows else None
    if provider is None:
        return
    gate = asyncio.Semaphore(CALLS_MAX)
    await asyncio.gather(*(_catch_up(services, platform, provider, row, gate) for row in rows))


async def _catch_up(
    services: Services, platform: PlatformId, provider: Provider, row: Row[Any], gate: asyncio.Semaphore
) -> None:
    """Reads a payout from the provider and does what its events would have done. A bad one fails alone."""
    async with gate:
        try:
            state = await provider.retrieve_payout(row.provider_account, row.provider_payout)
            async with services.db.write(platform) as scope:
                await payouts.apply(scope, PayoutId(row.id), state, account=row.provider_account)
        except Unavailable:
            raise
        except Exception as error:  # whatever is wrong with this payout is not wrong with the others
            # It was touched when it was claimed, so the others have their turn before it is asked about again.
            log.error("payout not brought up to date", payout=public_id("payout", row.id), error=told(error))
