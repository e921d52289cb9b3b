"""Checkout: what was previewed is what is charged, once for a key, whatever the card answers."""

import asyncio
from typing import Any

import pytest
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.actor import Actor, Role
from marketbill.errors import IdempotencyConflict, ProviderDeclined, StateConflict
from marketbill.ids import public_id
from marketbill.payments import cancellation
from marketbill.payments.checkout import Checkout
from marketbill.payments.order import Order
from marketbill.payments.planning import plan_order
from marketbill.payments.queries import lines_of, shares_of
from marketbill.provider.port import Unknown


@pytest.fixture
async def shop(market: Market) -> Market:
    """A market with two sellers who can be paid."""
    await market.seller("A", onboard=None)
    await market.seller("B", country="DE", onboard=None)
    await market.onboard("A", "B")
    return market


async def test_the_sale_is_split_exactly_as_the_preview_said(shop: Market) -> None:
    lines = [shop.line("A", 333, quantity=3), shop.line("B", 2001, tax_inclusive=False), shop.line("A", 1)]
    async with shop.machine.services.db.read(shop.platform) as scope:
        preview = (await plan_order(scope, Order("EUR", tuple(lines)))).plan
    payment = await shop.sale(*lines)

    row = await shop.payment(payment)
    async with shop.machine.services.db.read(shop.platform) as scope:
        kept_lines = (await lines_of(scope, shop.operator, [payment]))[payment]
        shares = (await shares_of(scope, shop.operator, [payment]))[payment]
    assert {**row.trace, "at": ""} == {**preview.to_trace(), "at": ""}
    assert (row.gross, row.fee, row.fee_tax, row.seller_net) == (
        preview.totals.gross,
        preview.totals.fee,
        preview.totals.fee_tax,
        preview.totals.seller_net,
    )
    assert [(one.gross, one.fee, one.seller_net) for one in kept_lines] == [
        (one.amounts.gross, one.amounts.fee, one.amounts.seller_net) for one in preview.lines
    ]
    assert sum(share.seller_net for share in shares) == row.seller_net
    assert [charge["amount"] for charge in await shop.charges()] == [row.gross]
    await shop.prove()


async def test_a_preview_keeps_nothing(shop: Market) -> None:
    before = await shop.books()
    async with shop.machine.services.db.read(shop.platform) as scope:
        await plan_order(scope, Order("EUR", (shop.line("A", 100),)))

    assert await shop.books() == before
    assert await shop.charges() == []


async def test_the_same_key_gives_the_same_payment_and_one_charge(shop: Market) -> None:
    draft = shop.draft(shop.line("A", 5000), reference="order-7")
    first = await shop.pay(draft, key="k")
    again = await shop.pay(draft, key="k")
    await shop.machine.quiet()
    later = await shop.pay(draft, key="k")

    assert first.payment.id == again.payment.id == later.payment.id
    assert first.payment.status == later.payment.status == "SUCCEEDED"
    assert len(await shop.charges()) == 1
    await shop.prove()


async def test_a_retry_after_the_api_key_was_rotated_is_the_same_request(shop: Market) -> None:
    draft = shop.draft(shop.line("A", 2000))
    rotated = Actor(Role.SERVICE, "key_another", shop.platform)
    first = await shop.pay(draft, key="order-7")
    again = await shop.pay(draft, key="order-7", actor=rotated)
    assert again.payment.id == first.payment.id
    assert len(await shop.charges()) == 1


async def test_the_same_key_with_another_body_conflicts(shop: Market) -> None:
    await shop.pay(shop.draft(shop.line("A", 5000)), key="k")

    with pytest.raises(IdempotencyConflict) as refused:
        await shop.pay(shop.draft(shop.line("A", 5001)), key="k")

    assert not refused.value.in_progress
    assert not refused.value.retryable
    assert len(await shop.charges()) == 1


async def test_a_refused_request_leaves_its_key_free(shop: Market) -> None:
    with pytest.raises(Exception, match="more than zero"):
        await shop.pay(shop.draft(shop.line("A", 0)), key="k")

    paid = await shop.pay(shop.draft(shop.line("A", 100)), key="k")

    assert paid.payment.status == "SUCCEEDED"


async def test_requests_that_race_with_one_key_charge_once(shop: Market) -> None:
    draft = shop.draft(shop.line("A", 5000))
    answers = await asyncio.gather(*(shop.pay(draft, key="k") for _ in range(4)), return_exceptions=True)
    await shop.machine.quiet()
    last = await shop.pay(draft, key="k")

    won = [answer for answer in answers if isinstance(answer, Checkout)]
    lost = [answer for answer in answers if not isinstance(answer, Checkout)]
    assert won
    assert {answer.payment.id for answer in won} == {last.payment.id}
    assert all(isinstance(answer, IdempotencyConflict) and answer.in_progress for answer in lost)
    assert len(await shop.charges()) == 1
    await shop.prove()


@pytest.mark.parametrize(
    ("card", "code", "advice"),
    [
        ("pm_card_chargeDeclined", "generic_decline", "try_again_later"),
        ("pm_card_visa_chargeDeclinedLostCard", "lost_card", "do_not_try_again"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds", "try_again_later"),
    ],
)
async def test_a_decline_is_told_with_its_code_and_told_again(shop: Market, card: str, code: str, advice: str) -> None:
    draft = shop.draft(shop.line("A", 5000), card=card)
    first = await shop.pay(draft, key="k")
    await shop.machine.quiet()
    again = await shop.pay(draft, key="k")

    for answer in (first, again):
        assert answer.payment.status == "DECLINED"
        assert isinstance(answer.refusal, ProviderDeclined)
        assert (answer.refusal.decline_code, answer.refusal.advice) == (code, advice)
        assert answer.refusal.retryable == (advice == "try_again_later")
    assert first.payment.id == again.payment.id
    assert shop.machine.line.count("POST /v1/payment_intents") == 1
    assert await shop.books() == {}
    await shop.prove()


async def test_another_card_pays_a_declined_payment(shop: Market) -> None:
    declined = await shop.pay(shop.draft(shop.line("A", 5000), card="pm_card_chargeDeclined"))
    await shop.machine.quiet()
    await confirm(shop, declined.payment.provider_payment, "pm_card_visa")

    row = await shop.payment(declined.payment.id)
    assert (row.status, row.decline) == ("SUCCEEDED", None)
    assert len(await shop.charges()) == 1
    await shop.prove()


async def test_a_buyer_who_authenticates_has_paid(shop: Market) -> None:
    draft = shop.draft(
        shop.line("A", 5000), card="pm_card_authenticationRequired", return_url="https://shop.example/done"
    )
    asked = await shop.pay(draft, key="k")
    assert (asked.payment.status, asked.refusal) == ("REQUIRES_ACTION", None)
    assert asked.payment.next_action["redirect_url"].startswith("http")
    assert asked.client_secret is not None
    assert await shop.books() == {}

    await shop.machine.control(f"payment_intents/{asked.payment.provider_payment}/authenticate", {"outcome": "approve"})
    await shop.machine.quiet()

    paid = await shop.pay(draft, key="k")
    assert (paid.payment.status, paid.payment.next_action, paid.client_secret) == ("SUCCEEDED", None, None)
    assert len(await shop.charges()) == 1
    await shop.prove()


async def test_a_buyer_who_fails_to_authenticate_has_not_paid(shop: Market) -> None:
    asked = await shop.pay(shop.draft(shop.line("A", 5000), card="pm_card_authenticationRequired"))
    await shop.machine.control(f"payment_intents/{asked.payment.provider_payment}/authenticate", {"outcome": "fail"})
    await shop.machine.quiet()

    assert (await shop.payment(asked.payment.id)).status == "DECLINED"
    assert await shop.charges() == []
    assert await shop.books() == {}


async def test_off_session_a_card_that_must_ask_is_declined(shop: Market) -> None:
    answer = await shop.pay(shop.draft(shop.line("A", 5000), card="pm_card_authenticationRequired", off_session=True))

    assert isinstance(answer.refusal, ProviderDeclined)
    assert answer.refusal.decline_code == "authentication_required"
    assert await shop.charges() == []


async def test_off_session_a_card_that_need_not_ask_pays(shop: Market) -> None:
    paid = await shop.sale(shop.line("A", 5000), off_session=True)

    assert (await shop.payment(paid)).status == "SUCCEEDED"
    await shop.prove()


async def test_without_a_method_the_client_secret_lets_the_buyer_pay(shop: Market) -> None:
    draft = shop.draft(shop.line("A", 5000), card=None)
    open_payment = await shop.pay(draft, key="k")
    again = await shop.pay(draft, key="k")
    assert open_payment.payment.status == "REQUIRES_PAYMENT_METHOD"
    assert open_payment.client_secret is not None
    assert open_payment.client_secret.startswith(open_payment.payment.provider_payment)
    assert again.client_secret == open_payment.client_secret

    await confirm(shop, open_payment.payment.provider_payment, "pm_card_visa")

    assert (await shop.payment(open_payment.payment.id)).status == "SUCCEEDED"
    await shop.prove()


async def test_a_canceled_payment_cannot_be_paid_any_more(shop: Market) -> None:
    waiting = await shop.pay(shop.draft(shop.line("A", 5000), card=None))
    canceled = await cancellation.cancel(
        shop.machine.services, shop.operator, idempotency_key="c", id=public_id("payment", waiting.payment.id)
    )
    await shop.machine.quiet()

    assert canceled.status == "CANCELED"
    assert (await shop.payment(waiting.payment.id)).status == "CANCELED"
    state = await shop.stripe(f"payment_intents/{waiting.payment.provider_payment}")
    assert state["status"] == "canceled"
    await shop.prove()


async def test_a_cancellation_that_was_interrupted_ends_when_it_is_asked_for_again(shop: Market) -> None:
    waiting = await shop.pay(shop.draft(shop.line("A", 5000), card=None))
    id = public_id("payment", waiting.payment.id)

    async def cancel() -> Any:
        return await cancellation.cancel(shop.machine.services, shop.operator, idempotency_key="c", id=id)

    shop.machine.line.lose_answer(f"POST /v1/payment_intents/{waiting.payment.provider_payment}/cancel")
    with pytest.raises(Unknown):
        await cancel()
    await shop.machine.quiet()
    assert (await shop.payment(waiting.payment.id)).status == "CANCELED", "the provider's event was there first"

    assert [(await cancel()).status for _ in range(2)] == ["CANCELED", "CANCELED"]
    with pytest.raises(StateConflict):
        await cancellation.cancel(shop.machine.services, shop.operator, idempotency_key="another", id=id)


async def test_two_markets_do_not_meet(machine: Machine) -> None:
    one, other = await machine.platform(name="One"), await machine.platform(name="Other")
    for market in (one, other):
        await market.seller("A")
    first = await one.sale(one.line("A", 1000))
    second = await other.sale(other.line("A", 2000))

    assert [charge["amount"] for charge in await one.charges()] == [1000]
    assert [charge["amount"] for charge in await other.charges()] == [2000]
    assert (await one.payment(first)).gross == 1000
    assert (await other.payment(second)).gross == 2000
    await one.prove()
    await other.prove()


async def confirm(market: Market, provider_payment: str, card: str) -> None:
    """What the provider's script in the buyer's browser does."""
    form = {"payment_method": card, "return_url": "https://shop.example/done"}
    await market.stripe(f"payment_intents/{provider_payment}/confirm", form=form)
    await market.machine.quiet()
