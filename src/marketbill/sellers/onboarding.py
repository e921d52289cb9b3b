"""A seller's account at the provider: made once, onboarded by a link, and its state as the provider tells it.

The provider's state is read from the provider itself, never from an event's payload: events come in any order.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, Row, Text, bindparam, select, update

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, NotFound, ProviderNotConnected, ProviderRefused, ProviderUnavailable
from marketbill.events import outbox
from marketbill.ids import PlatformId, SellerId, parse_id, public_id
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.keys import tenant
from marketbill.provider import intent as intents
from marketbill.provider.intent import Intent
from marketbill.provider.port import INTENT_METADATA, PROVIDER_ERRORS, Account, AccountLink, Provider
from marketbill.sellers.model import seller as table
from marketbill.services import Services
from marketbill.text import check_usable

_BY_ACCOUNTS = select(table).where(
    table.c.platform_id == bindparam("platform"),
    table.c.provider_account == bindparam("accounts", type_=ARRAY(Text)).any_(),
)


@dataclass(frozen=True, slots=True)
class OnboardingLink:
    """A page of the provider on which the seller completes what is missing; it works once and for a few minutes."""

    seller: Row[Any]
    link: AccountLink


async def link(services: Services, actor: Actor, *, id: str, return_url: str, refresh_url: str) -> OnboardingLink:
    """A fresh onboarding link; every call makes a new one. Raises NotFound, InvalidInput, ProviderUnavailable."""
    platform = tenant(actor)
    seller_id = SellerId(parse_id("seller", id, path=("sellerId",)))
    if actor.seller is not None and actor.seller != seller_id:
        raise NotFound("seller", id, path=("sellerId",))
    for field, url in (("returnUrl", return_url), ("refreshUrl", refresh_url)):
        check_usable(url, path=(field,))
        if not url.startswith(("http://", "https://")) or len(url) > 2000:
            raise InvalidInput("This is not a web address.", path=(field,), constraint="https://…")
    row, provider = await _account(services, platform, seller_id)
    made = await provider.create_account_link(row.provider_account, return_url=return_url, refresh_url=refresh_url)
    return OnboardingLink(row, made)


async def try_account(services: Services, platform: PlatformId, seller_id: SellerId) -> None:
    """Makes the seller's account at the provider if that can be done now; if not, the onboarding link does it later."""
    try:
        await _account(services, platform, seller_id)
    except (ProviderNotConnected, ProviderUnavailable, ProviderRefused):
        return


async def refresh(services: Services, platform: PlatformId, accounts: Iterable[str]) -> None:
    """Reads these provider accounts and records what they may do now. Transfers that waited for it are woken.

    Raises Unknown when the provider cannot be reached; nothing is recorded then.
    """
    async with services.db.read(platform) as scope:
        rows = await scope.rows(_BY_ACCOUNTS, {"platform": platform, "accounts": list(accounts)})
        provider = await provider_of(services, scope)
        read_at = scope.now
    states = {row.id: await provider.retrieve_account(row.provider_account) for row in rows}
    async with services.db.write(platform) as scope:
        for seller_id, state in states.items():
            await scope.run(
                update(table)
                .where(
                    table.c.platform_id == platform,
                    table.c.id == seller_id,
                    table.c.provider_read_at.is_(None) | (table.c.provider_read_at <= read_at),
                )
                .values(**_columns(state), provider_read_at=read_at, updated_at=scope.now)
            )
        for row in rows:
            await intents.let_go(scope, row.provider_account)
        if states:
            await outbox.enqueue(scope, "execute_transfers", str(platform))


async def _account(services: Services, platform: PlatformId, seller_id: SellerId) -> tuple[Row[Any], Provider]:
    """The seller with an account at the provider, made now if there was none. The intent's key makes it one account."""
    async with services.db.write(platform) as scope:
        # Locked, so that two who come at once use one intent and therefore one key.
        row = await _load(scope, seller_id, lock=True)
        provider = await provider_of(services, scope)
        if row.provider_account is not None:
            return row, provider
        intent = await _intent(scope, row)
    try:
        account = await provider.create_account(
            key=intent.key,
            seller_id=public_id("seller", seller_id),
            name=intent.request["name"],
            email=intent.request["email"],
            country=intent.request["country"],
            metadata={
                "marketbill_seller": public_id("seller", seller_id),
                INTENT_METADATA: public_id("provider intent", intent.id),
            },
        )
    except PROVIDER_ERRORS as error:
        async with services.db.write(platform) as scope:
            await intents.record_failure(scope, intent, error, jitter=random.random())
        raise
    async with services.db.write(platform) as scope:
        await intents.record_success(scope, intent, account.id)
        await scope.run(
            update(table)
            .where(table.c.platform_id == platform, table.c.id == seller_id)
            .values(provider_account=account.id, **_columns(account), provider_read_at=scope.now, updated_at=scope.now)
        )
        return await _load(scope, seller_id), provider


async def _intent(scope: WriteScope, row: Row[Any]) -> Intent:
    """The seller's open intent, or a new one: an account whose making was interrupted is not made twice."""
    for intent in await intents.for_subjects(scope, "create_account", [row.id]):
        if intent.status in ("OPEN", "UNKNOWN"):
            return intent
    return await intents.open_intent(
        scope,
        kind="create_account",
        subject_id=row.id,
        request={"name": row.name, "email": row.email, "country": row.country},
    )


def _columns(account: Account) -> dict[str, Any]:
    return {
        "transfers": account.may_transfer,
        "payouts_enabled": account.may_pay_out,
        "requirements": account.requirements.as_json(),
    }


async def _load(scope: Scope, seller_id: SellerId, *, lock: bool = False) -> Row[Any]:
    statement = select(table).where(table.c.platform_id == scope.platform, table.c.id == seller_id)
    row = await scope.first(statement.with_for_update() if lock else statement)
    if row is None:
        raise NotFound("seller", public_id("seller", seller_id), path=("sellerId",))
    return row
