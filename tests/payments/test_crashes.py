"""The provider away, answers lost, processes killed between any two steps of a checkout: at most one charge, always."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

import pytest
import structlog
from sqlalchemy import Row
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.errors import IdempotencyConflict, ProviderRefused
from marketbill.ids import public_id
from marketbill.payments import checkout
from marketbill.payments.checkout import PaymentDraft
from marketbill.payments.model import payment
from marketbill.provider import intent as intents
from marketbill.provider.port import Unknown
from marketbill.services import Services

CALL = "POST /v1/payment_intents"


@pytest.fixture
async def shop(market: Market) -> Market:
    await market.seller("A")
    return market


@pytest.fixture
def draft(shop: Market) -> PaymentDraft:
    return shop.draft(shop.line("A", 5000), reference="order-1")


async def test_an_unreachable_provider_leaves_the_payment_open_and_its_key_usable(
    shop: Market, draft: PaymentDraft
) -> None:
    shop.machine.line.cut = True
    with pytest.raises(Unknown) as unknown:
        await shop.pay(draft, key="k")
    assert unknown.value.retryable
    assert [row.status for row in await payments(shop)] == ["CREATED"]

    with pytest.raises(Unknown):
        await shop.pay(draft, key="k")
    shop.machine.line.mend()
    paid = await shop.pay(draft, key="k")
    await shop.machine.quiet()

    assert paid.payment.status == "SUCCEEDED"
    assert len(await payments(shop)) == len(await shop.charges()) == 1
    await later(shop)


async def test_where_nobody_answers_the_payment_stays_open(shop: Market, draft: PaymentDraft) -> None:
    machine = shop.machine
    settings = machine.services.settings
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = f"http://127.0.0.1:{gone.getsockname()[1]}"
    elsewhere = Services.create(settings.model_copy(update={"sandbox_url": nobody}))
    try:
        with pytest.raises(Unknown) as unknown:
            await checkout.create(elsewhere, shop.operator, idempotency_key="k", draft=draft)
    finally:
        await elsewhere.close()
    assert unknown.value.failure.status is None
    assert [row.status for row in await payments(shop)] == ["CREATED"]

    await machine.advance(seconds=100)

    assert [row.status for row in await payments(shop)] == ["SUCCEEDED"]
    assert (await shop.pay(draft, key="k")).payment.status == "SUCCEEDED"
    await later(shop)


async def test_a_lost_answer_is_found_by_the_next_attempt(shop: Market, draft: PaymentDraft) -> None:
    shop.machine.line.lose_answer(CALL)
    with pytest.raises(Unknown):
        await shop.pay(draft, key="k")
    assert len(await shop.charges()) == 1

    paid = await shop.pay(draft, key="k")

    assert paid.payment.status == "SUCCEEDED"
    assert shop.machine.line.count(CALL) == 1
    await later(shop)


async def test_a_lost_decline_is_found_by_the_next_attempt(shop: Market) -> None:
    draft = shop.draft(shop.line("A", 5000), card="pm_card_chargeDeclined")
    shop.machine.line.lose_answer(CALL)
    with pytest.raises(Unknown):
        await shop.pay(draft, key="k")

    declined = await shop.pay(draft, key="k")

    assert declined.payment.status == "DECLINED"
    assert declined.refusal is not None
    await shop.prove()


async def test_a_lost_answer_is_found_a_day_later_when_the_provider_has_forgotten_the_key(
    shop: Market, draft: PaymentDraft
) -> None:
    shop.machine.line.lose_answer(CALL)
    shop.machine.endpoint.holding = True
    with pytest.raises(Unknown):
        await shop.pay(draft, key="k")
    await shop.machine.control("clock", {"advance_seconds": 25 * 3600})
    await shop.machine.shift(25 * 3600)

    paid = await shop.pay(draft, key="k")

    assert paid.payment.status == "SUCCEEDED"
    assert len(await shop.charges()) == 1
    await later(shop)


@pytest.mark.parametrize("executed", [False, True], ids=["before the charge", "after the charge"])
@pytest.mark.parametrize("way", ["sweep", "retry", "both"])
async def test_a_killed_checkout_charges_once(shop: Market, draft: PaymentDraft, executed: bool, way: str) -> None:
    await killed(shop, draft, executed=executed)
    assert len(await shop.charges()) == executed
    with pytest.raises(IdempotencyConflict) as conflict:
        await shop.pay(draft, key="k")
    assert conflict.value.in_progress

    await shop.machine.advance(seconds=100)
    if way == "both":
        await asyncio.gather(shop.machine.sweep(), shop.pay(draft, key="k"))
    elif way == "retry":
        await shop.pay(draft, key="k")

    await shop.machine.quiet()
    assert [row.status for row in await payments(shop)] == ["SUCCEEDED"]
    assert len(await shop.charges()) == 1
    assert (await shop.pay(draft, key="k")).payment.status == "SUCCEEDED"
    await later(shop)


async def test_the_charge_of_a_killed_checkout_is_told_by_its_event(shop: Market, draft: PaymentDraft) -> None:
    await killed(shop, draft, executed=True)
    await shop.machine.quiet()

    [row] = await payments(shop)
    assert (row.status, row.gross) == ("SUCCEEDED", 5000)
    assert row.booked_at is not None
    await later(shop)


async def test_a_buyer_who_has_gone_is_not_charged_any_more(shop: Market, draft: PaymentDraft) -> None:
    await killed(shop, draft, executed=False)
    await shop.machine.advance(seconds=11 * 60)

    assert [row.status for row in await payments(shop)] == ["FAILED"]
    answer = await shop.pay(draft, key="k")
    assert isinstance(answer.refusal, ProviderRefused)
    assert answer.refusal.provider_code == "never_received"
    assert await shop.charges() == []
    await later(shop, charges=0)


async def test_after_a_server_error_a_payment_is_not_told_as_failed_and_not_charged_again(
    shop: Market, draft: PaymentDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 500 is no definite answer: what a look-up does not find may still come."""
    monkeypatch.setattr("marketbill.provider.stripe.wire.NETWORK_RETRIES", 0)
    await shop.machine.control("faults", {"kind": "error_late", "on": CALL, "seconds": 15 * 60})
    with pytest.raises(Unknown):
        await shop.pay(draft, key="k")
    sent = shop.machine.line.count(CALL)
    await shop.machine.advance(seconds=11 * 60)
    [row] = await payments(shop)
    assert (row.status, row.decline["code"]) == ("CREATED", "answer_awaited")
    assert "do not let it be paid again" in row.decline["message"]

    await shop.machine.advance(seconds=5 * 60)

    assert [(row.status, row.decline) for row in await payments(shop)] == [("SUCCEEDED", None)]
    assert len(await shop.charges()) == 1
    assert shop.machine.line.count(CALL) == sent
    await later(shop)


async def test_a_buyer_who_has_gone_after_a_server_error_is_told_of_the_failure_when_it_is_sure(
    shop: Market, draft: PaymentDraft
) -> None:
    shop.machine.line.refuse(CALL, status=500)
    with pytest.raises(Unknown):
        await shop.pay(draft, key="k")
    await shop.machine.advance(seconds=11 * 60)
    shop.machine.line.mend()
    sent = shop.machine.line.count(CALL)
    await shop.machine.advance(seconds=5 * 3600)
    assert [row.status for row in await payments(shop)] == ["CREATED"]

    await shop.machine.advance(seconds=2 * 3600)

    assert [(row.status, row.decline["code"]) for row in await payments(shop)] == [("FAILED", "never_received")]
    assert shop.machine.line.count(CALL) == sent
    await later(shop, charges=0)


async def test_a_charge_that_the_provider_completes_after_we_gave_it_up_is_booked_and_alarmed(
    shop: Market, draft: PaymentDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketbill.provider.stripe.wire.NETWORK_RETRIES", 0)
    await shop.machine.control("faults", {"kind": "error_late", "on": CALL, "seconds": 8 * 3600})
    with pytest.raises(Unknown):
        await shop.pay(draft, key="k")
    await shop.machine.advance(seconds=7 * 3600)
    assert [row.status for row in await payments(shop)] == ["FAILED"]

    with structlog.testing.capture_logs() as logs:
        await shop.machine.advance(seconds=2 * 3600)

    [row] = await payments(shop)
    [alarm] = [entry for entry in logs if entry["event"] == "payment succeeded after it was told as failed"]
    assert (alarm["log_level"], alarm["payment"]) == ("error", public_id("payment", row.id))
    assert alarm["provider_payment"] == row.provider_payment
    assert [row.status for row in await payments(shop)] == ["SUCCEEDED"]
    assert len(await shop.charges()) == 1
    async with shop.machine.services.db.read(shop.platform) as scope:
        [intent] = await intents.for_subjects(scope, "create_payment", [(await payments(shop))[0].id])
    assert intent.status == "SUCCEEDED"
    await later(shop)


async def test_a_refused_look_up_is_no_refusal_of_the_payment(shop: Market, draft: PaymentDraft) -> None:
    shop.machine.endpoint.holding = True
    shop.machine.line.lose_answer(CALL)
    with pytest.raises(Unknown):
        await shop.pay(draft, key="k")
    shop.machine.line.refuse("GET /v1/charges", status=401)
    await shop.machine.advance(seconds=100)
    assert [row.status for row in await payments(shop)] == ["CREATED"]

    shop.machine.line.mend()
    await shop.machine.advance(seconds=1000)

    assert [row.status for row in await payments(shop)] == ["SUCCEEDED"]
    assert len(await shop.charges()) == 1
    await later(shop)


async def test_a_sweep_that_is_killed_is_swept_again(shop: Market, draft: PaymentDraft) -> None:
    await killed(shop, draft, executed=False)
    held = shop.machine.line.hold(CALL, executed=True)
    sweep = asyncio.create_task(shop.machine.advance(seconds=100))
    await held.reached.wait()
    await kill(sweep)
    shop.machine.line.mend()

    await shop.machine.advance(seconds=200)

    assert [row.status for row in await payments(shop)] == ["SUCCEEDED"]
    assert len(await shop.charges()) == 1
    await later(shop)


async def killed(market: Market, draft: PaymentDraft, *, executed: bool) -> None:
    """A checkout whose process dies while it waits for the provider, whether that has charged the card or not."""
    held = market.machine.line.hold(CALL, executed=executed)
    paying = asyncio.create_task(market.pay(draft, key="k"))
    await held.reached.wait()
    await kill(paying)
    market.machine.line.mend()


async def kill(task: "asyncio.Task[object]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def later(market: Market, *, charges: int = 1) -> None:
    """Ten days on, nothing more has happened: one charge, transferred whole, and books that agree."""
    machine: Machine = market.machine
    if machine.endpoint.holding:
        kept, machine.endpoint.kept, machine.endpoint.holding = machine.endpoint.kept, [], False
        await machine.endpoint.deliver(kept)
    await machine.advance(days=10)
    assert len(await market.charges()) == charges
    assert [(row.status, row.amount) for row in await market.transfers()] == [("SENT", 4359)] * charges
    await market.prove()


async def payments(market: Market) -> list[Row[Any]]:
    async with market.machine.services.db.read(market.platform) as scope:
        return list(await scope.rows(payment.select().where(payment.c.platform_id == market.platform)))
