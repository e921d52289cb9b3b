"""The provider's side of reconciliation: its movements of a time, and what they come to for each object."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from marketbill.provider.movements import AccountPayout, Movement, Moving
from marketbill.provider.port import Provider, Refused
from marketbill.reconciliation.matching import Stage, Thing, Told

#: Movements of one window; a window of more is halved.
MOVEMENTS_MAX = 1_000
#: Accounts whose payouts are listed in one window; a window of more is halved.
ACCOUNTS_MAX = 400
#: An account's payouts in one window.
PAYOUTS_MAX = 1_000
CALLS_MAX = 6

#: What nobody asked for by a name of ours: each of its movements is a thing of its own.
BY_TRANSACTION = frozenset({Thing.TOPUP, Thing.OTHER})

_THINGS = {
    Moving.CHARGE: Thing.CHARGE,
    Moving.TRANSFER: Thing.TRANSFER,
    Moving.REFUND: Thing.REFUND,
    Moving.DISPUTE: Thing.DISPUTE,
    Moving.TOPUP: Thing.TOPUP,
    # The platform's own payouts; those of sellers move other balances.
    Moving.PAYOUT: Thing.OTHER,
    Moving.OTHER: Thing.OTHER,
}
#: The names that we give to what we make, by thing.
_NAMED = {
    Thing.CHARGE: "marketbill_payment",
    Thing.TRANSFER: "marketbill_transfer",
    Thing.REVERSAL: "marketbill_transfer",
    Thing.REFUND: "marketbill_refund",
    Thing.PAYOUT: "marketbill_payout",
}
_TAKEN_BACK = frozenset({"transfer_refund", "transfer_cancel", "transfer_failure"})
_FOLLOWS = ("_failure", "_failure_refund", "_reversal", "_cancel")
_RETURNED = frozenset({"failed", "canceled"})


class TooMany(Exception):
    """A window holds more than is read at once: it is to be halved."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a movement of the provider's belongs: the payment as the provider knows it, and its group."""

    payment_id: str | None
    transfer_group: str | None
    destination: str | None


async def platform_told(
    provider: Provider, start: datetime, end: datetime
) -> tuple[list[Told], dict[tuple[Thing, str], Origin]]:
    """Everything that moved the platform's balance in a time, whole, and where it belongs. Raises TooMany."""
    listed = await provider.list_movements(created_from=start, created_until=end, limit=MOVEMENTS_MAX)
    if len(listed) >= MOVEMENTS_MAX:
        raise TooMany
    whole = {one.object_id for one in listed if _thing(one) not in BY_TRANSACTION and (not one.alone or _is_later(one))}
    rest = [one for one in listed if one.object_id not in whole]
    return _gathered([*rest, *await _all_of(provider, whole)])


async def objects_told(provider: Provider, ids: Collection[str]) -> tuple[list[Told], dict[tuple[Thing, str], Origin]]:
    """The same for single objects, whenever they moved; what the provider does not know is not among them."""
    return _gathered(await _all_of(provider, ids))


async def payouts_told(provider: Provider, accounts: Collection[str], start: datetime, end: datetime) -> list[Told]:
    """The payouts that were made from these accounts in a time. Raises TooMany."""
    gate = asyncio.Semaphore(CALLS_MAX)

    async def of(account: str) -> list[Told]:
        async with gate:
            found = await provider.list_account_payouts(
                account, created_from=start, created_until=end, limit=PAYOUTS_MAX
            )
        if len(found) >= PAYOUTS_MAX:
            raise TooMany
        return [_payout(account, one) for one in found]

    return [one for found in await asyncio.gather(*map(of, sorted(accounts))) for one in found]


async def single_payouts(provider: Provider, asked: Iterable[tuple[str, str]]) -> list[Told]:
    """Single payouts by their accounts and ids; what the provider does not know is not among them."""
    gate = asyncio.Semaphore(CALLS_MAX)

    async def one(account: str, id: str) -> list[Told]:
        async with gate:
            found = await provider.retrieve_account_payout(account, id)
        return [] if found is None else [_payout(account, found)]

    return [told for found in await asyncio.gather(*(one(*each) for each in asked)) for told in found]


async def transactions_told(provider: Provider, ids: Collection[str]) -> list[Told]:
    """Single movements that the provider made by itself; what it does not know is not among them."""
    gate = asyncio.Semaphore(CALLS_MAX)

    async def one(id: str) -> list[Told]:
        async with gate:
            try:
                found = await provider.retrieve_balance_transaction(id)
            except Refused as refused:
                if refused.failure.status == 404:
                    return []
                raise
        thing = Thing.TOPUP if found.type.startswith("topup") else Thing.OTHER
        at = found.created or found.available_on
        return [Told(thing, id, at=at, latest=at, currency=found.currency, steps=(found.net,))]

    return [told for found in await asyncio.gather(*map(one, sorted(ids))) for told in found]


async def _all_of(provider: Provider, ids: Collection[str]) -> list[Movement]:
    gate = asyncio.Semaphore(CALLS_MAX)

    async def of(id: str) -> list[Movement]:
        async with gate:
            return await provider.movements_of(id)

    return [one for found in await asyncio.gather(*map(of, sorted(ids))) for one in found]


def _is_later(movement: Movement) -> bool:
    """A movement that its object did not begin with: the others may lie outside the window."""
    kind = movement.transaction.type
    return (
        movement.moving is Moving.DISPUTE or kind in _TAKEN_BACK or kind.endswith(("_failure", "_reversal", "_cancel"))
    )


def _gathered(movements: Sequence[Movement]) -> tuple[list[Told], dict[tuple[Thing, str], Origin]]:
    by_object: defaultdict[tuple[Thing, str, str], list[Movement]] = defaultdict(list)
    for one in movements:
        thing = _thing(one)
        id = one.transaction.id if thing in BY_TRANSACTION else one.object_id
        by_object[thing, id, one.transaction.currency].append(one)
    told: list[Told] = []
    origins: dict[tuple[Thing, str], Origin] = {}
    for (thing, id, currency), found in by_object.items():
        found.sort(key=lambda one: (one.created, one.transaction.id))
        first = found[0]
        origins[thing, id] = Origin(first.payment_id, first.transfer_group, first.destination)
        told.append(
            Told(
                thing=thing,
                id=id,
                at=first.created,
                latest=found[-1].created,
                currency=currency,
                steps=tuple(one.transaction.net for one in found),
                facts=_facts(thing, found),
                name=first.metadata.get(_NAMED.get(thing, "")),
                words=(first.payment_id,) if first.payment_id else (),
            )
        )
    return told, origins


def _thing(movement: Movement) -> Thing:
    if movement.moving is Moving.TRANSFER and movement.transaction.type in _TAKEN_BACK:
        return Thing.REVERSAL
    return _THINGS[movement.moving]


def _facts(thing: Thing, found: Sequence[Movement]) -> dict[str, int]:
    """What our rows keep of it too, as amounts above zero."""
    first = found[0].transaction
    if thing is Thing.CHARGE and len(found) == 1:
        return {"amount": first.amount, "fee": first.fee}
    if thing is Thing.REVERSAL:
        return {"amount": sum(one.transaction.amount for one in found)}
    if thing is Thing.TRANSFER:
        return {"amount": -first.amount}
    return {}


def _payout(account: str, told: AccountPayout) -> Told:
    is_returned = told.status in _RETURNED
    stage = Stage.RETURNED if is_returned else Stage.PAID if told.status == "paid" else Stage.UNDER_WAY
    return Told(
        thing=Thing.PAYOUT,
        id=told.id,
        at=told.created,
        latest=told.created,
        currency=told.currency,
        steps=(-told.amount, told.amount) if is_returned else (-told.amount,),
        facts={"amount": told.amount},
        name=told.metadata.get(_NAMED[Thing.PAYOUT]),
        stage=stage,
        account=account,
    )
