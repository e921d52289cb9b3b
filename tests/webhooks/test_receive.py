"""Webhooks at the door: only what the provider signed just now for this platform comes in, and only once."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.market.endpoint import Delivery
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.errors import Unavailable
from marketbill.events.model import inbox_event, outbox_message
from marketbill.ids import PaymentId, PlatformId, new_id, public_id
from marketbill.payments.model import payment
from marketbill.provider.port import BadEvent, BadSignature
from marketbill.sandbox.webhooks import signature
from marketbill.webhooks.receive import Receiver, ReceiveResult, UnknownEndpoint


@pytest.fixture
async def paid(market: Market) -> Market:
    """A market with one paid sale, whose events were received but not kept here."""
    await market.seller("A", onboard=None)
    market.machine.endpoint.holding = True
    await market.pay(market.draft(market.line("A", 5000)))
    await market.machine.delivered()
    return market


def succeeded(market: Market) -> Delivery:
    return next(one for one in market.machine.endpoint.kept if one.type == "payment_intent.succeeded")


async def kept(market: Market) -> tuple[int, int]:
    """Events in the inbox and jobs in the outbox."""
    async with market.machine.services.db.read(market.platform) as scope:
        return (
            await scope.scalar(select(func.count()).where(inbox_event.c.platform_id == market.platform)),
            await scope.scalar(select(func.count()).where(outbox_message.c.platform_id == market.platform)),
        )


async def test_an_event_is_stored_once_with_one_job(paid: Market) -> None:
    before = await kept(paid)
    delivery = succeeded(paid)
    receive = paid.machine.endpoint.receive

    assert [await receive(delivery) for _ in range(3)] == [
        ReceiveResult.STORED,
        ReceiveResult.DUPLICATE,
        ReceiveResult.DUPLICATE,
    ]
    assert await kept(paid) == (before[0] + 1, before[1] + 1)


async def test_a_replayed_webhook_changes_nothing_even_after_it_was_handled(paid: Market) -> None:
    endpoint = paid.machine.endpoint
    deliveries, endpoint.kept = endpoint.kept, []
    await endpoint.deliver(deliveries)
    await paid.machine.quiet()
    books = await paid.books()

    assert set(await endpoint.deliver(deliveries)) == {ReceiveResult.DUPLICATE}
    await paid.machine.quiet()
    assert await paid.books() == books
    await paid.prove()


def bent(header: str, name: str) -> str | None:
    moment, signed = header.removeprefix("t=").split(",v1=")
    return {
        "missing": None,
        "empty": "",
        "garbage": "garbage",
        "no signature": f"t={moment}",
        "no time": f"v1={signed}",
        "other bytes": f"t={moment},v1={'0' * 64}",
        "other time": f"t={int(moment) + 1},v1={signed}",
        "time in words": f"t=now,v1={signed}",
        "other scheme": f"t={moment},v0={signed}",
        "not hexadecimal": f"t={moment},v1=é",
    }[name]


async def test_a_wrong_signature_is_refused_and_nothing_kept(paid: Market, subtests: pytest.Subtests) -> None:
    for name in [
        "missing",
        "empty",
        "garbage",
        "no signature",
        "no time",
        "other bytes",
        "other time",
        "time in words",
        "other scheme",
        "not hexadecimal",
    ]:
        with subtests.test(name=name):
            before = await kept(paid)
            delivery = succeeded(paid)

            with pytest.raises(BadSignature):
                await paid.machine.endpoint.receive(replace(delivery, signature=bent(delivery.signature or "", name)))

            assert await kept(paid) == before


async def test_an_altered_body_is_refused(paid: Market) -> None:
    delivery = succeeded(paid)
    with pytest.raises(BadSignature):
        await paid.machine.endpoint.receive(replace(delivery, raw=delivery.raw.replace(b"5000", b"9000")))


async def test_an_old_or_future_signature_is_refused(paid: Market, subtests: pytest.Subtests) -> None:
    for seconds in [-301, -86_400, 400, 86_400]:
        with subtests.test(seconds=seconds):
            endpoint = paid.machine.endpoint
            delivery = await endpoint.signed(paid.platform, succeeded(paid).event, at=int(time.time()) + seconds)
            with pytest.raises(BadSignature):
                await endpoint.receive(delivery)


async def test_an_unknown_platform_has_no_endpoint(paid: Market) -> None:
    unconnected = await paid.machine.platform(name="Unconnected", connected=False)
    for platform in (PlatformId(new_id()), unconnected.platform):
        with pytest.raises(UnknownEndpoint):
            await paid.machine.endpoint.receive(replace(succeeded(paid), platform=platform))


async def test_another_platforms_signature_is_refused(paid: Market) -> None:
    other = await paid.machine.platform(name="Other")
    with pytest.raises(BadSignature):
        await paid.machine.endpoint.receive(replace(succeeded(paid), platform=other.platform))
    assert (await kept(other))[0] == 0


async def test_a_signed_body_that_is_no_event_of_ours_is_refused(paid: Market, subtests: pytest.Subtests) -> None:
    for changes in [
        {"livemode": True},
        {"id": None},
        {"type": None},
        {"data": None},
        {"data": {"object": 7}},
        {"created": "today"},
    ]:
        with subtests.test(changes=changes):
            endpoint = paid.machine.endpoint
            event = {name: value for name, value in (succeeded(paid).event | changes).items() if value is not None}
            before = await kept(paid)

            with pytest.raises(BadEvent):
                await endpoint.receive(await endpoint.signed(paid.platform, event))
            assert await kept(paid) == before


async def test_a_signed_body_that_is_no_json_is_refused(paid: Market, subtests: pytest.Subtests) -> None:
    for raw in [b"", b"{", b"[]", b"null", b'{"id": 1}']:
        with subtests.test(raw=raw):
            endpoint = paid.machine.endpoint
            signed = await endpoint.signed(paid.platform, {})
            moment = int(time.time())
            credentials = await endpoint.secrets(paid.platform)
            with pytest.raises(BadEvent):
                await endpoint.receive(replace(signed, raw=raw, signature=signature((credentials[0],), raw, moment)))


async def test_an_event_we_did_not_ask_for_is_answered_and_passed_over(paid: Market) -> None:
    endpoint = paid.machine.endpoint
    event = succeeded(paid).event | {"id": "evt_1", "type": "product.created"}
    before = await kept(paid)
    assert await endpoint.receive(await endpoint.signed(paid.platform, event)) is ReceiveResult.IGNORED
    assert await kept(paid) == before


async def test_events_of_payments_that_are_not_ours_are_passed_over(paid: Market) -> None:
    """The same provider account may also be used by another program."""
    machine: Machine = paid.machine
    machine.endpoint.kept.clear()
    machine.endpoint.holding = False
    books = await paid.books()
    stranger = public_id("payment", PaymentId(new_id()))
    for group in (None, "order-77", stranger):
        form = {"amount": "700", "currency": "eur", "payment_method": "pm_card_visa", "confirm": "true"} | {
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
        }
        await paid.stripe("payment_intents", form=form | ({"transfer_group": group} if group else {}))
    await machine.quiet()

    async with machine.services.db.read(paid.platform) as scope:
        waiting = select(func.count()).where(inbox_event.c.handled_at.is_(None))
        assert await scope.scalar(waiting) == 0
        assert await scope.scalar(select(func.count()).select_from(payment)) == 1
    assert await paid.books() == books


async def test_a_charge_of_another_amount_is_never_booked(paid: Market) -> None:
    """It waits alone, with its error, while the other events are handled."""
    machine: Machine = paid.machine
    deliveries, machine.endpoint.kept = machine.endpoint.kept, []
    event = next(one for one in deliveries if one.type.startswith("charge.")).event
    event["id"] = "evt_wrong_amount"
    event["data"]["object"]["amount"] = 4999
    await machine.endpoint.receive(await machine.endpoint.signed(paid.platform, event))
    await machine.quiet()
    assert await paid.books() == {}

    await machine.endpoint.deliver(deliveries)
    await machine.quiet()

    assert (await paid.books())["psp:pending", "EUR"] == 5000 - 100


async def test_a_burst_that_is_too_long_is_sent_back_to_be_delivered_again(
    paid: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, may_store, reached, store = paid.machine.endpoint, asyncio.Event(), asyncio.Event(), Receiver._store
    events = [succeeded(paid).event | {"id": f"evt_burst_{number}"} for number in range(4)]
    first, *more, last = [await endpoint.signed(paid.platform, event) for event in events]

    async def slowly(self: Receiver, *batch: Any) -> set[str]:
        reached.set()
        await may_store.wait()
        return await store(self, *batch)

    monkeypatch.setattr("marketbill.webhooks.receive.WAITING_MAX", 2)
    monkeypatch.setattr(Receiver, "_store", slowly)
    received = [asyncio.create_task(endpoint.receive(first))]
    await reached.wait()
    received += [asyncio.create_task(endpoint.receive(delivery)) for delivery in more]
    while endpoint.receiver is None or len(endpoint.receiver._waiting[paid.platform]) < len(more):  # noqa: ASYNC110
        await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await endpoint.receive(last)
    assert refused.value.retryable

    may_store.set()
    assert await asyncio.gather(*received) == [ReceiveResult.STORED] * 3
    assert await endpoint.receive(last) is ReceiveResult.STORED
