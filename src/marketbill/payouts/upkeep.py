"""Upkeep: payouts that are under way at the provider, and whose news never came, are asked for; so are those that were
paid, as long as the bank may send them back (five business days, and what holidays add)."""

import asyncio
from typing import Any

import structlog
from sqlalchemy import Row, TextClause, text

from marketbill.errors import Unavailable, told
from marketbill.ids import PayoutId, PlatformId, public_id
from marketbill.payouts import payout as payouts
from marketbill.platforms.credentials import provider_of
from marketbill.provider import asking
from marketbill.provider.port import Provider
from marketbill.services import Services

BATCH_MAX = 50
CALLS_MAX = 8
#: Batches of each kind in one job.
_ROUNDS_MAX = 20
_NOW = "cast(:now as timestamptz)"
#: SQL: one that is under way for more than 30 days, which is rare, is asked about once a day, for 60 days more.
_LATE = (
    f"(o.created_at <= {_NOW} - interval '30 days' and o.created_at > {_NOW} - interval '90 days'"
    f" and o.updated_at <= {_NOW} - interval '1 day')"
)
#: SQL: a payout that may have been paid, or come back, without our knowing.
NEWS_DUE = (
    f"o.provider_payout is not null and o.status in ('CREATED', 'IN_TRANSIT') and ({asking.is_due('o')} or {_LATE})"
)
#: SQL: a payout that was paid, and may have come back since: asked about from six hours after on, then once a day.
RETURN_DUE = (
    f"o.provider_payout is not null and o.status = 'PAID' and o.paid_at > {_NOW} - interval '12 days'"
    f" and o.updated_at > {_NOW} - interval '14 days' and o.updated_at <= {_NOW} - interval '6 hours' and "
    + asking.is_time("o", since="o.paid_at", first="interval '6 hours'", longest="interval '1 day'")
)


def _claim(condition: str) -> TextClause:
    """A payout is of the account that it was asked of, which need not be the seller's any more."""
    return text(
        f"""
        with due as (
          select o.id from payout o where o.platform_id = :platform and {condition}
          order by o.updated_at limit :limit for update skip locked
        )
        update payout o set updated_at = :now from due, provider_intent i
        where o.platform_id = :platform and o.id = due.id and i.platform_id = o.platform_id and i.id = o.intent_id
        returning o.id, o.provider_payout, i.request ->> 'account_id' as provider_account
        """  # noqa: S608 (our own words alone)
    )


_UNDER_WAY, _MAY_RETURN = _claim(NEWS_DUE), _claim(RETURN_DUE)
log = structlog.get_logger()


async def keep_up_payouts(services: Services, platform: PlatformId) -> None:
    """One sweep over a platform's payouts; safe to run in many workers at once."""
    gate = asyncio.Semaphore(CALLS_MAX)
    for _ in range(_ROUNDS_MAX):
        async with services.db.write(platform) as scope:
            values = {"platform": platform, "now": scope.now, "limit": BATCH_MAX}
            claimed = [await scope.rows(statement, values) for statement in (_UNDER_WAY, _MAY_RETURN)]
            provider = await provider_of(services, scope) if any(claimed) else None
        if provider is None:
            return
        asked = (_catch_up(services, platform, provider, row, gate) for rows in claimed for row in rows)
        await asyncio.gather(*asked)
        if all(len(rows) < BATCH_MAX for rows in claimed):
            return


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
