"""Payments whose events never come: what the provider knows is asked for, so nobody is charged without being booked."""

from uuid import UUID

import pytest
from sqlalchemy import update
from tests.market.market import Market

from marketbill.payments.model import payment


@pytest.fixture
async def deaf(market: Market) -> Market:
    """A market to which no event comes any more."""
    await market.seller("A")
    market.machine.endpoint.holding = True
    return market


async def authenticated(market: Market, outcome: str = "approve") -> UUID:
    """A payment whose buyer has answered the bank's question without our knowing."""
    asked = await market.pay(market.draft(market.line("A", 5000), card="pm_card_authenticationRequired"))
    provider_payment = asked.payment.provider_payment
    await market.machine.control(f"payment_intents/{provider_payment}/authenticate", {"outcome": outcome})
    assert (await market.payment(asked.payment.id)).status == "REQUIRES_ACTION"
    return asked.payment.id


async def test_a_buyer_who_authenticated_is_booked_though_no_event_came(deaf: Market) -> None:
    id = await authenticated(deaf)
    await deaf.machine.sweep()
    assert (await deaf.payment(id)).status == "REQUIRES_ACTION", "not asked for while the event may still come"

    await deaf.machine.advance(seconds=11 * 60)

    row = await deaf.payment(id)
    assert row.status == "SUCCEEDED"
    assert None not in (row.booked_at, row.settled_at)
    assert [kind for kind, _ in await deaf.journal(id)] == ["charge", "split", "psp-fee"]
    await deaf.prove()


async def test_a_buyer_who_failed_is_told_so_though_no_event_came(deaf: Market) -> None:
    id = await authenticated(deaf, "fail")
    await deaf.machine.advance(seconds=11 * 60)
    assert (await deaf.payment(id)).status == "DECLINED"


@pytest.mark.parametrize("first", [None, "pm_card_chargeDeclined"], ids=["no card", "declined card"])
async def test_a_card_given_in_the_browser_is_booked_though_no_event_came(deaf: Market, first: str | None) -> None:
    waiting = await deaf.pay(deaf.draft(deaf.line("A", 5000), card=first))
    form = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/done"}
    await deaf.stripe(f"payment_intents/{waiting.payment.provider_payment}/confirm", form=form)

    await deaf.machine.advance(seconds=11 * 60)

    assert (await deaf.payment(waiting.payment.id)).booked_at is not None
    await deaf.prove()


async def test_a_payment_that_does_not_move_is_asked_about_ever_less_often_and_then_no_more(deaf: Market) -> None:
    waiting = await deaf.pay(deaf.draft(deaf.line("A", 5000), card=None))
    call = f"GET /v1/payment_intents/{waiting.payment.provider_payment}"

    async def asked(*, minutes: int) -> int:
        before = deaf.machine.line.count(call)
        await deaf.machine.advance(seconds=60 * minutes)
        return deaf.machine.line.count(call) - before

    assert [await asked(minutes=minutes) for minutes in (9, 2)] == [0, 1]
    assert [await asked(minutes=minutes) for minutes in (9, 5)] == [0, 1], "as long again as it was old, 11 minutes"
    assert [await asked(minutes=minutes) for minutes in (20, 10)] == [0, 1], "25 minutes"
    assert [await asked(minutes=minutes) for minutes in (24 * 60, 350, 20)] == [1, 0, 1], "six hours at most"
    await deaf.machine.shift(30 * 86_400)
    assert await asked(minutes=24 * 60) == 0


async def test_a_charge_whose_fee_stays_unknown_is_asked_about_ever_less_often(deaf: Market) -> None:
    paid = await deaf.pay(deaf.draft(deaf.line("A", 5000)))
    call = f"GET /v1/payment_intents/{paid.payment.provider_payment}"
    deaf.machine.line.refuse(call, status=403)

    async def asked(*, minutes: int) -> int:
        before = deaf.machine.line.count(call)
        await deaf.machine.advance(seconds=60 * minutes)
        return deaf.machine.line.count(call) - before

    assert [await asked(minutes=minutes) for minutes in (1, 2, 2, 2)] == [0, 1, 0, 1], "after 3 minutes, after 6"
    assert [await asked(minutes=minutes) for minutes in (5, 3)] == [0, 1], "as long again as it was old"
    assert [await asked(minutes=minutes) for minutes in (24 * 60, 350, 20)] == [1, 0, 1], "six hours at most"
    deaf.machine.line.mend()
    assert await asked(minutes=60 * 24 * 60) == 1, "and for ever, for it is money"
    assert (await deaf.payment(paid.payment.id)).settled_at is not None


async def test_a_payment_that_cannot_be_booked_does_not_keep_the_others_waiting(
    deaf: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketbill.payments.resolve.BATCH_MAX", 2)
    # The first was charged another amount than we think, and the second is hidden.
    ids = [(await deaf.pay(deaf.draft(deaf.line("A", price)))).payment.id for price in (5000, 6000, 7000, 8000)]
    wrong, refused, *_ = ids
    async with deaf.machine.services.db.write(deaf.platform) as scope:
        await scope.run(
            update(payment).where(payment.c.id == wrong).values(gross=payment.c.gross + 1, fee=payment.c.fee + 1)
        )
    deaf.machine.line.refuse(f"GET /v1/payment_intents/{(await deaf.payment(refused)).provider_payment}", status=403)

    for _ in range(2):
        await deaf.machine.advance(seconds=3 * 60)

    assert [(await deaf.payment(id)).settled_at is not None for id in ids] == [False, False, True, True]
    deaf.machine.line.mend()
    for _ in range(2):
        await deaf.machine.advance(seconds=3 * 60)
    assert (await deaf.payment(refused)).settled_at is not None
