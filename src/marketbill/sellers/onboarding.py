"""A seller's account at the provider: made once, onboarded by a link, and its state as the provider tells it.

The provider's state is read from the provider itself, never from an event's payload: events come in any order.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Row, Text, bindparam, select, update
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, NotFound, ProviderNotConnected, StateConflict
from marketbill.events import outbox
from marketbill.ids import PlatformId, SellerId, parse_id, public_id
from marketbill.platforms.credentials import provider_of
from marketbill.platforms.keys import tenant
from marketbill.prepared import prepared
from marketbill.provider import claim as claims
from marketbill.provider import ending
from marketbill.provider import intent as intents
from marketbill.provider import saga as sagas
from marketbill.provider.intent import MONTH_LONG, Intent
from marketbill.provider.kinds import CREATE_ACCOUNT, KINDS
from marketbill.provider.model import IntentStatus
from marketbill.provider.objects import Account, AccountLink, CapabilityState, Requirements
from marketbill.provider.port import INTENT_METADATA, Provider, Refused
from marketbill.provider.saga import Done, Saga, Setback
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
#: What the provider says of an account that is not there, or is not ours any more.
_GONE_CODES = frozenset({"account_invalid", "resource_missing"})
#: Our own word for it, beside the provider's reasons (`Requirements.disabled_reason`).
DISCONNECTED = "account_disconnected"
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
    outcome = await sagas.ask(services.db, platform, opening.provider, ACCOUNT, opening.intent)
    async with services.db.write(platform) as scope:
        await sagas.settle(scope, ACCOUNT, [outcome])
        if isinstance(outcome, Done):
            return await _load(scope, SellerId(opening.intent.subject_id))
    raise outcome.error


async def _look_up(provider: Provider, intent: Intent) -> Account | None:
    """By the seller, not the intent: an account that was made for an earlier intent is his account all the same."""
    since = intent.request.get("since")
    return await provider.find_account(
        public_id("seller", intent.subject_id),
        created_from=datetime.fromisoformat(since) if since else intent.created_at,
        created_until=_look_up_until(intent),
    )


def _look_up_until(intent: Intent) -> datetime | None:
    earlier = intent.request.get("until")
    bounds = [intent.look_up_until, datetime.fromisoformat(earlier) if earlier else None]
    return max((bound for bound in bounds if bound is not None), default=None)


async def _send(provider: Provider, intent: Intent) -> Account:
    id = public_id("seller", intent.subject_id)
    return await provider.create_account(
        key=intent.key,
        seller_id=id,
        name=intent.request["name"],
        email=intent.request["email"],
        country=intent.request["country"],
        metadata={"marketbill_seller": id, INTENT_METADATA: intent.public_id},
    )


async def _succeeded(scope: WriteScope, done: Sequence[Done[Account]]) -> None:
    # Earlier requests for his account that were given up are answered with this one too.
    await ending.record_news(scope, CREATE_ACCOUNT, [(one.intent.subject_id, one.made.id) for one in done])
    for one in done:
        values = {"platform": scope.platform, "seller": one.intent.subject_id, "now": scope.now}
        await scope.run(_OPENED, {**values, "new_account": one.made.id, **_values(one.made)})


async def _failed(scope: WriteScope, setback: Setback) -> None:
    """Nothing follows: the seller stands without an account, and the next onboarding link asks again."""


async def _retried(scope: WriteScope, intent: Intent) -> None:
    """Locked, so that nobody opens another request for his account meanwhile."""
    row = await _load(scope, SellerId(intent.subject_id), lock=True)
    if row.provider_account is not None:
        raise StateConflict("This seller has an account.", current_state=intent.status, path=("id",))
    for other in await intents.for_subjects(scope, CREATE_ACCOUNT, [row.id]):
        if other.id != intent.id and other.status in (IntentStatus.OPEN, IntentStatus.UNKNOWN):
            raise StateConflict(
                f"Another request for this seller's account is under way: {other.public_id}.",
                current_state=intent.status,
                path=("id",),
            )


#: The saga of a seller's account.
ACCOUNT = Saga(
    kind=CREATE_ACCOUNT,
    look_up=_look_up,
    send=_send,
    provider_id=lambda made: made.id,
    succeeded=_succeeded,
    failed=_failed,
    memory=MONTH_LONG,
    retried=_retried,
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


def disconnected(row: Row[Any]) -> bool:
    """Whether the seller's account was gone, or no longer ours, when it was read last."""
    return (row.requirements or {}).get("disabled_reason") == DISCONNECTED


async def doubt(scope: WriteScope, setback: Setback) -> None:
    """A refusal that speaks of the account has it read again, for news of it may have been lost (`upkeep`)."""
    if setback.held:
        await outbox.enqueue(scope, KINDS[CREATE_ACCOUNT].job, str(scope.platform))


async def refresh(services: Services, platform: PlatformId, accounts: Iterable[str], *, told_of: bool = True) -> None:
    """Reads these provider accounts and records what they may do now. What waited for just that is woken.

    An account that is gone, or no longer ours, closes the seller's gates (`disconnected`). `told_of` is False when no
    news came: what a gate that was open all the time holds is not woken then, for it was refused all the same.
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
            return await _read(provider, row.provider_account)

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
        pairs = list(zip(rows, states, strict=True))
        ready = [
            state.id
            for row, state in pairs
            if state.may_transfer is CapabilityState.ACTIVE and (told_of or row.transfers != CapabilityState.ACTIVE)
        ]
        for account in ready:
            await claims.let_go(scope, transfer_gate(account))
        let_go = [
            await claims.let_go(scope, payout_gate(state.id))
            for row, state in pairs
            if state.may_pay_out and (told_of or not row.payouts_enabled)
        ]
        if ready:
            await outbox.enqueue(scope, "execute_transfers", str(platform))
        if any(let_go):
            await outbox.enqueue(scope, "execute_payouts", str(platform))


async def _read(provider: Provider, account: str) -> Account:
    try:
        return await provider.retrieve_account(account)
    except Refused as refused:
        if refused.failure.code not in _GONE_CODES:
            raise
        closed = Requirements(disabled_reason=DISCONNECTED)
        return Account(account, CapabilityState.RESTRICTED, may_pay_out=False, requirements=closed)


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
    """The seller's open intent, or a new one: an account whose making was interrupted is not made twice.

    Raises Unknown while another request is at it.
    """
    earlier = await intents.for_subjects(scope, CREATE_ACCOUNT, [row.id])
    for intent in earlier:
        if intent.status in (IntentStatus.OPEN, IntentStatus.UNKNOWN):
            # The provider's newer API executes again, under the same key, what failed.
            return await claims.take(scope, intent.id, repeats=False)
    since = min((intent.created_at for intent in earlier), default=scope.now)
    until = max((intent.look_up_until or intent.touched_at for intent in earlier), default=None)
    return await intents.open_intent(
        scope,
        kind=CREATE_ACCOUNT,
        subject_id=row.id,
        request={
            "name": row.name,
            "email": row.email,
            "country": row.country,
            "since": since.isoformat(),
            "until": until.isoformat() if until else None,
        },
        unsure=any(intent.unsure for intent in earlier),
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
