"""A buyer at the provider: his customer, made once, and the methods that are attached to it.

No money moves here, so there is no intent: whoever asks again goes on from what the provider has. Its idempotency keys
alone do not do: it keeps a server error for a day, also of a request that it executed. So such an answer is followed by
a look-up and, where that finds nothing, by the next key.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Row, update

from marketbill.buyers.model import buyer as table
from marketbill.ids import PlatformId, public_id
from marketbill.provider.ending import looked_up
from marketbill.provider.objects import PaymentMethod
from marketbill.provider.port import Provider, Unknown
from marketbill.provider.retry import answer_is_kept
from marketbill.services import Services

T = TypeVar("T")
#: Keys that one request tries; who asks again tries them all again, so a server error does not last for a day.
KEYS_MAX = 5
_CLOCK_SLACK = timedelta(minutes=5)


async def make_customer(
    services: Services, platform: PlatformId, provider: Provider, buyer: Row[Any], *, look_first: bool
) -> str:
    """The buyer's customer, made now unless an earlier request made it. Raises Refused, Unknown."""
    name = public_id("buyer", buyer.id)
    customer = await _once(
        lambda key: provider.create_customer(
            key=key, name=buyer.name, email=buyer.email, metadata={"marketbill_buyer": name}
        ),
        lambda: provider.find_customer(name, email=buyer.email, created_from=buyer.created_at - _CLOCK_SLACK),
        key=f"{name}:customer",  # the buyer's own, so that two requests at once make one customer
        look_first=look_first,
    )
    async with services.db.write(platform) as scope:
        await scope.run(
            update(table)
            .where(table.c.platform_id == platform, table.c.id == buyer.id)
            .values(provider_customer=customer, updated_at=scope.now)
        )
    return customer


async def attach(provider: Provider, token: str, customer: str, *, key: str, look_first: bool) -> PaymentMethod:
    """The token's method, attached to the customer. Raises Declined, Refused, Unknown."""
    return await _once(
        lambda numbered: provider.attach_payment_method(token, customer, key=numbered),
        lambda: provider.find_payment_method(token, customer),
        key=key,
        look_first=look_first,
    )


async def _once(
    make: Callable[[str], Awaitable[T]], find: Callable[[], Awaitable[T | None]], *, key: str, look_first: bool
) -> T:
    if look_first and (found := await looked_up(find())) is not None:
        return found
    for number in range(1, KEYS_MAX):
        try:
            return await make(key if number == 1 else f"{key}-{number}")
        except Unknown as unknown:
            if not answer_is_kept(unknown.failure.as_json()):
                raise
        if (found := await looked_up(find())) is not None:
            return found
    return await make(f"{key}-{KEYS_MAX}")
