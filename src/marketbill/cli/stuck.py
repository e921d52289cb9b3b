"""`marketbill stuck`: what was given up, refused or keeps failing, and what to do about it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table
from sqlalchemy import Row, select, update

from marketbill.cli import terminal
from marketbill.cli.failure import FAILED, CommandRefused
from marketbill.cli.joining import joined, platform_named, platforms

if TYPE_CHECKING:
    from marketbill.db import ReadScope, WriteScope
    from marketbill.ids import PlatformId
    from marketbill.provider.intent import Intent
    from marketbill.services import Services

#: The newest of each kind that are shown of a platform.
SHOWN_MAX = 200
_SUBJECTS = {
    "create_account": "seller",
    "create_payment": "payment",
    "create_payout": "payout",
    "create_transfer": "transfer",
}
_BY_ITSELF = "nothing: it is tried again by itself"
#: Client errors after which the provider may still do what was asked under the same key: a lock, a rate limit.
_UNDECIDED = (409, 429)


@dataclass(frozen=True, slots=True)
class Stuck:
    """One thing that does not get on. `attempts` is None where nothing was tried yet."""

    what: str
    since: datetime
    attempts: int | None
    why: str
    to_do: str


def stuck(
    *,
    platform: Annotated[str | None, Parameter(help="Name or id of one platform; default: all.")] = None,
    retry: Annotated[str | None, Parameter(help="Try this one again: int_... or evt_...")] = None,
    data: Annotated[Path | None, Parameter(help="Data folder of the running machine.")] = None,
) -> int:
    """List what is stuck: requests to the provider and its events that failed, transfers held or refused, payouts.

    Every line says since when, why, and what to do. Exits 1 when something is stuck, 0 when nothing is.

    Example: marketbill stuck --retry int_01jd8x0q4mf0v9k2s7c3b6n1ra
    """
    if retry is not None:
        asyncio.run(_retry(retry, platform, data))
        print(f"{retry} is tried again within a minute.")
        return 0
    found = asyncio.run(_find_all(platform, data))
    console = terminal.console()
    for name, things in found:
        console.print(stuck_table(name, things))
    if not found:
        console.print("Nothing is stuck.")
    return FAILED if found else 0


def stuck_table(title: str, things: Sequence[Stuck]) -> Table:
    """What is stuck on one platform."""
    table = Table(title=title, title_justify="left")
    for heading in ("what", "since (UTC)", "tried", "why", "what to do"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "tried" else "left")
    for one in things:
        tried = "" if one.attempts is None else f"{one.attempts}"
        table.add_row(one.what, f"{one.since:%Y-%m-%d %H:%M}", tried, one.why, one.to_do)
    return table


async def find(scope: "ReadScope") -> list[Stuck]:
    """What is stuck on the scope's platform, up to `SHOWN_MAX` of each kind, newest first."""
    from marketbill.events import inbox
    from marketbill.provider import intent as intents

    troubled = await intents.troubled(scope, SHOWN_MAX)
    # A transfer or payout whose request is listed is not listed again.
    told = {intent.subject_id for intent in troubled}
    return [
        *(_of_intent(intent) for intent in troubled),
        *(_of_event(row) for row in await inbox.troubled(scope, SHOWN_MAX)),
        *(_of_transfer(row) for row in await _transfers(scope) if row.id not in told),
        *(_of_payout(row) for row in await _payouts(scope) if row.id not in told),
    ]


async def revive(scope: "WriteScope", id: str) -> bool:
    """Makes what `id` names due again; False when the scope's platform has nothing of that name that is stuck."""
    from marketbill.events import inbox
    from marketbill.ids import parse_id
    from marketbill.payouts.model import TransferStatus, transfer
    from marketbill.provider import intent as intents
    from marketbill.provider.model import provider_intent

    if id.startswith("evt_"):
        return await inbox.revive(scope, id)
    intent = await intents.get(scope, parse_id("provider intent", id))
    if intent is None or not await intents.revive(scope, intent.id):
        return False
    status = (intent.last_error or {}).get("status")
    if status is not None and 400 <= status < 500 and status not in _UNDECIDED:
        # Refused for certain: under the old key the provider would only repeat its answer.
        await scope.run(
            update(provider_intent)
            .where(provider_intent.c.platform_id == scope.platform, provider_intent.c.id == intent.id)
            .values(generation=provider_intent.c.generation + 1)
        )
    await scope.run(
        update(transfer)
        .where(
            transfer.c.platform_id == scope.platform,
            transfer.c.intent_id == intent.id,
            transfer.c.status == TransferStatus.REFUSED.value,
        )
        .values(status=TransferStatus.PENDING.value, updated_at=scope.now)
    )
    return True


async def _find_all(platform: str | None, data: Path | None) -> list[tuple[str, list[Stuck]]]:
    found = []
    async with joined(data) as services:
        for id, name in await _chosen(services, platform):
            async with services.db.read(id) as scope:
                if things := await find(scope):
                    found.append((name, things))
    return found


async def _retry(id: str, platform: str | None, data: Path | None) -> None:
    from marketbill.errors import NotFound

    async with joined(data) as services:
        for tenant, _ in await _chosen(services, platform):
            async with services.db.write(tenant) as scope:
                try:
                    if await revive(scope, id):
                        return
                except NotFound:
                    break
    raise CommandRefused(f"nothing that is stuck is called {id!r}: `marketbill stuck` lists what may be tried again")


async def _chosen(services: "Services", platform: str | None) -> "list[tuple[PlatformId, str]]":
    return [await platform_named(services, platform)] if platform else await platforms(services)


async def _transfers(scope: "ReadScope") -> Sequence[Row[Any]]:
    from marketbill.payouts.model import TransferStatus, transfer
    from marketbill.sellers.model import seller

    return await scope.rows(
        select(transfer, seller.c.name)
        .join(seller, (seller.c.platform_id == transfer.c.platform_id) & (seller.c.id == transfer.c.seller_id))
        .where(
            transfer.c.platform_id == scope.platform,
            transfer.c.status.in_((TransferStatus.HELD.value, TransferStatus.REFUSED.value)),
        )
        .order_by(transfer.c.id.desc())
        .limit(SHOWN_MAX)
    )


async def _payouts(scope: "ReadScope") -> Sequence[Row[Any]]:
    """Payouts with a reason, but for those after which the seller asked for another one."""
    from marketbill.payouts.model import payout
    from marketbill.sellers.model import seller

    newer = payout.alias("newer")
    return await scope.rows(
        select(payout, seller.c.name)
        .join(seller, (seller.c.platform_id == payout.c.platform_id) & (seller.c.id == payout.c.seller_id))
        .where(
            payout.c.platform_id == scope.platform,
            payout.c.reason.is_not(None),
            ~select(newer.c.id)
            .where(
                newer.c.platform_id == payout.c.platform_id,
                newer.c.seller_id == payout.c.seller_id,
                newer.c.currency == payout.c.currency,
                newer.c.id > payout.c.id,
            )
            .exists(),
        )
        .order_by(payout.c.id.desc())
        .limit(SHOWN_MAX)
    )


def _of_intent(intent: "Intent") -> Stuck:
    from marketbill.ids import public_id

    id = public_id("provider intent", intent.id)
    subject = _SUBJECTS.get(intent.kind)
    of = f" {public_id(subject, intent.subject_id)}" if subject else ""
    gave_up = intent.status == "ABANDONED"
    error = intent.last_error or {}
    return Stuck(
        f"{intent.kind}{of}, {id}",
        intent.created_at,
        intent.attempts,
        error.get("message") or error.get("code") or "no answer",
        f"mend the cause, then marketbill stuck --retry {id}" if gave_up else _BY_ITSELF,
    )


def _of_event(row: Row[Any]) -> Stuck:
    to_do = f"mend the cause, then marketbill stuck --retry {row.id}" if row.next_attempt_at is None else _BY_ITSELF
    return Stuck(f"event {row.type}, {row.id}", row.received_at, row.attempts, row.error, to_do)


def _of_transfer(row: Row[Any]) -> Stuck:
    to_do = (
        f"{row.name} completes his onboarding: sellerOnboardingLinkCreate; the transfer follows by itself"
        if row.status == "HELD"
        else "look at the seller's account at the provider; the money stays payable to him"
    )
    return Stuck(_money("transfer", row), row.created_at, None, row.reason or row.status, to_do)


def _of_payout(row: Row[Any]) -> Stuck:
    to_do = (
        _BY_ITSELF
        if row.status in ("CREATED", "IN_TRANSIT")
        else f"{row.name} mends his bank account at the provider; then payoutCreate"
    )
    return Stuck(_money("payout", row), row.created_at, None, row.reason, to_do)


def _money(kind: str, row: Row[Any]) -> str:
    from marketbill.ids import public_id
    from marketbill.money import decimal_text

    amount = f"{decimal_text(row.amount, row.currency)} {row.currency}"
    return f"{kind} {row.status} {amount} to {row.name}, {public_id(kind, row.id)}"
