"""A seller's account at the provider: made once, onboarded by a link, and its state as the provider tells it.

The provider's state is read from the provider itself, never from an event's payload: events come in any order.
"""

import asyncio
import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, Row, Text, bindparam, select, update
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, NotFound, ProviderNotConnected
from marketbill.events import outbox
from marketbill.ids import PlatformId, SellerId, parse_id, public_id
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.keys import tenant
from marketbill.prepared import prepared
from marketbill.provider import claim as claims
from marketbill.provider import intent as intents
from marketbill.provider.intent import Intent
from marketbill.provider.port import INTENT_METADATA, PROVIDER_ERRORS, Account, AccountLink, CapabilityState, Provider
from marketbill.sellers.model import seller as table
from marketbill.services import Services
from marketbill.text import check_usable

_BY_ACCOUNTS = select(table).where(
    table.c.platform_id == bindparam("platform"),
    table.c.provider_account == bindparam("accounts", type_=ARRAY(Text)).any_(),
)
# By id, and before any other row is locked: so that those who read the gates and those who write them wait in line.
_GATES = _BY_ACCOUNTS.order_by(table.c.id).with_for_update(read=True)
_THIS = (table.c.platform_id == bindparam("platform")) & (table.c.id == bindparam("seller"))
_STATE = {
    "transfers": bindparam("new_transfers"),
    "payouts_enabled": bindparam("new_payouts_enabled"),
    "requirements": bindparam("new_requirements", type_=JSONB),
    "updated_at": bindparam("now"),
}
_OPENED = prepared(
    update(table)
    .where(_THIS)
    .values(provider_account=bindparam("new_account"), provider_read_at=bindparam("now"), **_STATE)
    .returning(table)
)
# What was read later stays, in whatever order two readers record.
_REFRESHED = prepared(
    update(table)
    .where(_THIS, table.c.provider_read_at.is_(None) | (table.c.provider_read_at <= bindparam("read_at")))
    .values(provider_read_at=bindparam("read_at"), **_STATE)
)
CREATE_ACCOUNT = "create_account"
#: Calls to the provider under way at once.
CALLS_MAX = 8


@dataclass(frozen=True, slots=True)
class Opening:
    """An account about to be made: the committed intent, and whom to ask."""

    intent: Intent
    provider: Provider


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


async def open_account(services: Services, scope: WriteScope, row: Row[Any]) -> Opening | None:
    """Begins a new seller's account within the transaction that makes him; None without provider credentials."""
    try:
        provider = await provider_of(services, scope)
    except ProviderNotConnected:
        return None
    return Opening(await _intent(scope, row), provider)


async def make_account(services: Services, platform: PlatformId, opening: Opening) -> Row[Any]:
    """Asks the provider for the account of an opening and records it. Raises ProviderUnavailable, ProviderRefused."""
    intent = opening.intent
    id = public_id("seller", intent.subject_id)
    try:
        account = await opening.provider.create_account(
            key=intent.key,
            seller_id=id,
            name=intent.request["name"],
            email=intent.request["email"],
            country=intent.request["country"],
            metadata={"marketbill_seller": id, INTENT_METADATA: public_id("provider intent", intent.id)},
        )
    except PROVIDER_ERRORS as error:
        async with services.db.write(platform) as scope:
            await intents.record_failure(scope, intent, error, jitter=random.random())
        raise
    async with services.db.write(platform) as scope:
        await intents.record_success(scope, intent, account.id)
        return await scope.one(
            _OPENED,
            {
                "platform": platform,
                "seller": intent.subject_id,
                "new_account": account.id,
                "now": scope.now,
                **_values(account),
            },
        )


def transfer_gate(account: str) -> str:
    """What a transfer is held for (`provider.intent`) that the account may not receive."""
    return f"transfers:{account}"


def payout_gate(account: str) -> str:
    """What a payout is held for that the account may not make."""
    return f"payouts:{account}"


async def open_gates(scope: WriteScope, accounts: Collection[str]) -> set[str]:
    """The gates of these accounts that are open as far as we know. They stay so until the end of the transaction:
    whoever holds something for a gate that is not among them will be let go by `refresh`."""
    rows = await scope.rows(_GATES, {"platform": scope.platform, "accounts": list(accounts)})
    transfers = {transfer_gate(row.provider_account) for row in rows if row.transfers == CapabilityState.ACTIVE}
    return transfers | {payout_gate(row.provider_account) for row in rows if row.payouts_enabled}


async def refresh(services: Services, platform: PlatformId, accounts: Iterable[str]) -> None:
    """Reads these provider accounts and records what they may do now. What waited for just that is woken.

    Raises Unknown when the provider cannot be reached; nothing is recorded then.
    """
    async with services.db.read(platform) as scope:
        found = await scope.rows(_BY_ACCOUNTS, {"platform": platform, "accounts": list(accounts)})
        provider = await provider_of(services, scope)
        read_at = scope.now
    rows = sorted(found, key=lambda row: row.id)
    gate = asyncio.Semaphore(CALLS_MAX)

    async def read(row: Row[Any]) -> Account:
        async with gate:
            return await provider.retrieve_account(row.provider_account)

    states: list[Account] = []
    for state in await asyncio.gather(*(read(row) for row in rows), return_exceptions=True):
        if isinstance(state, BaseException):
            raise state
        states.append(state)
    async with services.db.write(platform) as scope:
        for row, state in zip(rows, states, strict=True):
            values = {"platform": platform, "seller": row.id, "read_at": read_at, "now": scope.now, **_values(state)}
            await scope.run(_REFRESHED, values)
        # After all the sellers are locked, so that nobody waits in a circle with `open_gates`.
        ready = [state.id for state in states if state.may_transfer is CapabilityState.ACTIVE]
        for account in ready:
            await claims.let_go(scope, transfer_gate(account))
        let_go = [await claims.let_go(scope, payout_gate(state.id)) for state in states if state.may_pay_out]
        if ready:
            await outbox.enqueue(scope, "execute_transfers", str(platform))
        if any(let_go):
            await outbox.enqueue(scope, "execute_payouts", str(platform))


async def _account(services: Services, platform: PlatformId, seller_id: SellerId) -> tuple[Row[Any], Provider]:
    """The seller with an account at the provider, made now if there was none. The intent's key makes it one account."""
    async with services.db.write(platform) as scope:
        # Locked, so that two who come at once use one intent and therefore one key.
        row = await _load(scope, seller_id, lock=True)
        provider = await provider_of(services, scope)
        if row.provider_account is not None:
            return row, provider
        opening = Opening(await _intent(scope, row), provider)
    return await make_account(services, platform, opening), provider


async def _intent(scope: WriteScope, row: Row[Any]) -> Intent:
    """The seller's open intent, or a new one: an account whose making was interrupted is not made twice."""
    for intent in await intents.for_subjects(scope, CREATE_ACCOUNT, [row.id]):
        if intent.status in ("OPEN", "UNKNOWN"):
            return intent
    return await intents.open_intent(
        scope,
        kind=CREATE_ACCOUNT,
        subject_id=row.id,
        request={"name": row.name, "email": row.email, "country": row.country},
    )


def _values(account: Account) -> dict[str, Any]:
    return {
        "new_transfers": account.may_transfer,
        "new_payouts_enabled": account.may_pay_out,
        "new_requirements": account.requirements.as_json(),
    }


async def _load(scope: Scope, seller_id: SellerId, *, lock: bool = False) -> Row[Any]:
    statement = select(table).where(table.c.platform_id == scope.platform, table.c.id == seller_id)
    row = await scope.first(statement.with_for_update() if lock else statement)
    if row is None:
        raise NotFound("seller", public_id("seller", seller_id), path=("sellerId",))
    return row
