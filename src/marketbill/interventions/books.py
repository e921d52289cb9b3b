"""An operator's changes of the books, each in one transaction with its idempotency key.

What is done, and what is refused, is told in `ledger.hold` and `ledger.operations`, which the terminal uses directly.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from marketbill.actor import Actor
from marketbill.db import WriteScope
from marketbill.idempotency import keys as idempotency
from marketbill.ids import parse_id, public_id
from marketbill.ledger import hold
from marketbill.ledger.operations import correction, correction_limit, period
from marketbill.ledger.operations.account_terms import AccountChange
from marketbill.ledger.operations.correction import Correction
from marketbill.ledger.operations.replacement import Replacement
from marketbill.platforms.keys import tenant
from marketbill.services import Services


class Change(Protocol):
    """A change of an account's terms, as `account_terms` has them."""

    async def __call__(self, scope: WriteScope, account_id: UUID, /, *, by: str, reason: str) -> AccountChange: ...


async def close_period(services: Services, actor: Actor, *, idempotency_key: str, until: datetime) -> datetime:
    """As `period.close`; gives the end of the period, by which it is found."""

    async def close(scope: WriteScope) -> str:
        return (await period.close(scope, until=until, by=actor.id)).closed_until.isoformat()

    body = {"until": until.isoformat()}
    return datetime.fromisoformat(await _once(services, actor, "ledgerPeriodClose", idempotency_key, body, close))


async def change_account(
    services: Services,
    actor: Actor,
    *,
    operation: str,
    idempotency_key: str,
    id: str,
    reason: str,
    change: Change,
    became: object = None,
) -> UUID:
    """As the `change` of `account_terms`, which makes the account what it `became`; gives the id of what is kept."""
    account_id = parse_id("ledger account", id, path=("id",))

    async def make(scope: WriteScope) -> str:
        return public_id("account change", (await change(scope, account_id, by=actor.id, reason=reason)).id)

    body = {"id": id, "reason": reason, "became": became}
    return parse_id("account change", await _once(services, actor, operation, idempotency_key, body, make))


async def void_hold(services: Services, actor: Actor, *, idempotency_key: str, id: str, reason: str) -> UUID:
    """As `hold.void`; gives the hold's id."""
    hold_id = parse_id("journal entry", id, path=("id",))

    async def void(scope: WriteScope) -> str:
        await hold.void(scope, hold_id, by=actor.id, reason=reason)
        return id

    await _once(services, actor, "ledgerHoldVoid", idempotency_key, {"id": id, "reason": reason}, void)
    return hold_id


async def reverse_entry(
    services: Services,
    actor: Actor,
    *,
    idempotency_key: str,
    id: str,
    reason: str,
    effective_at: datetime | None,
    replacement: Replacement | None,
) -> UUID:
    """As `correction.request`; gives the correction's id."""
    entry_id = parse_id("journal entry", id, path=("entryId",))

    async def request(scope: WriteScope) -> str:
        made = await correction.request(
            scope, entry_id, by=actor.id, reason=reason, effective_at=effective_at, replacement=replacement
        )
        return _id(made)

    body = {
        "entryId": id,
        "reason": reason,
        "effectiveAt": effective_at.isoformat() if effective_at else None,
        "replacement": replacement.as_json() if replacement else None,
    }
    return await _corrected(services, actor, "journalEntryReverse", idempotency_key, body, request)


async def approve_correction(services: Services, actor: Actor, *, idempotency_key: str, id: str) -> UUID:
    """As `correction.approve`; gives the correction's id."""
    correction_id = parse_id("correction", id, path=("id",))

    async def approve(scope: WriteScope) -> str:
        return _id(await correction.approve(scope, correction_id, by=actor.id))

    return await _corrected(services, actor, "ledgerCorrectionApprove", idempotency_key, {"id": id}, approve)


async def reject_correction(services: Services, actor: Actor, *, idempotency_key: str, id: str, reason: str) -> UUID:
    """As `correction.reject`; gives the correction's id."""
    correction_id = parse_id("correction", id, path=("id",))

    async def reject(scope: WriteScope) -> str:
        return _id(await correction.reject(scope, correction_id, by=actor.id, reason=reason))

    body = {"id": id, "reason": reason}
    return await _corrected(services, actor, "ledgerCorrectionReject", idempotency_key, body, reject)


async def set_correction_limit(
    services: Services, actor: Actor, *, idempotency_key: str, currency: str, amount: int, reason: str
) -> None:
    """As `correction_limit.set_limit`."""

    async def set_limit(scope: WriteScope) -> str:
        await correction_limit.set_limit(scope, currency=currency, amount=amount, by=actor.id, reason=reason)
        return currency

    body = {"currency": currency, "amount": amount, "reason": reason}
    await _once(services, actor, "ledgerCorrectionLimitSet", idempotency_key, body, set_limit)


async def _corrected(
    services: Services,
    actor: Actor,
    operation: str,
    key: str,
    body: Mapping[str, Any],
    work: Callable[[WriteScope], Awaitable[str]],
) -> UUID:
    return parse_id("correction", await _once(services, actor, operation, key, body, work))


async def _once(
    services: Services,
    actor: Actor,
    operation: str,
    key: str,
    body: Mapping[str, Any],
    work: Callable[[WriteScope], Awaitable[str]],
) -> str:
    """What `work` says of its result; for a request that was answered before, what it said then."""
    async with services.db.write(tenant(actor)) as scope:
        claim = await idempotency.claim(scope, actor=actor.idempotency_scope, operation=operation, key=key, body=body)
        if claim.replay is not None:
            return claim.replay["made"]
        made = await work(scope)
        await idempotency.finish(scope, claim, {"made": made})
        return made


def _id(made: Correction) -> str:
    return public_id("correction", made.id)
