"""What events tell of disputes and fraud warnings: read from the provider as they are now, then applied."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from marketbill.disputes import apply as disputes
from marketbill.disputes import warnings
from marketbill.errors import NotFound
from marketbill.ids import PaymentId, PlatformId, parse_id
from marketbill.payments import settle
from marketbill.provider.objects import Dispute, FraudWarning
from marketbill.provider.port import Provider
from marketbill.provider.stripe.facts import DisputeChanged, Fact, FraudWarned
from marketbill.services import Services

_CALLS_MAX = 4


@dataclass(frozen=True, slots=True)
class News:
    """A dispute or a warning as the provider tells it now, and the payment of ours that it is about."""

    payment: PaymentId
    told: Dispute | FraudWarning


async def read(provider: Provider, facts: Iterable[Fact | None]) -> list[News]:
    """Each dispute and warning once; those of charges that are not ours are passed over."""
    gate = asyncio.Semaphore(_CALLS_MAX)
    named = {
        fact.dispute_id if isinstance(fact, DisputeChanged) else fact.warning_id: fact
        for fact in facts
        if isinstance(fact, DisputeChanged | FraudWarned) and fact.payment_id
    }

    async def one(fact: DisputeChanged | FraudWarned) -> News | None:
        async with gate:
            ours = _ours((await provider.retrieve_payment(fact.payment_id or "")).transfer_group)
            if ours is None:
                return None
            if isinstance(fact, DisputeChanged):
                return News(ours, await provider.retrieve_dispute(fact.dispute_id))
            return News(ours, await provider.retrieve_fraud_warning(fact.warning_id))

    found = await asyncio.gather(*(one(fact) for fact in named.values()))
    return [news for news in found if news is not None]


async def apply(services: Services, platform: PlatformId, news: Sequence[News]) -> None:
    """Each in a transaction of its own: whoever posts holds the books' lock, and may lock no row after that."""
    for one in news:
        async with services.db.write(platform) as scope:
            payment = (await settle.lock(scope, [one.payment])).get(one.payment)
            if payment is None:
                continue
            if isinstance(one.told, Dispute):
                await disputes.apply(scope, payment, one.told)
            else:
                await warnings.apply(scope, payment, one.told)


def _ours(transfer_group: str | None) -> PaymentId | None:
    try:
        return PaymentId(parse_id("payment", transfer_group or ""))
    except NotFound:
        return None
