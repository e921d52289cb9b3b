"""A sale and a payout under every fault of the provider: the money moves once, and the books say so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from sqlalchemy import select
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.payments.model import payment
from marketbill.provider.port import Unknown
from marketbill.sandbox.faults import SECONDS_DEFAULT, FaultKind


@pytest.fixture(autouse=True)
def a_client_that_does_not_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider's client would often get through by itself, after a rest; here it is our doors that must."""
    monkeypatch.setattr("marketbill.provider.stripe.wire.NETWORK_RETRIES", 0)
    monkeypatch.setattr("marketbill.provider.stripe.wire.RATE_LIMIT_RETRIES", 0)


async def until(machine: Machine, done: Callable[[], Awaitable[bool]]) -> None:
    """Lets time pass, as it does, until what was troubled is done: hours, then days, three at most."""
    for seconds in (3_600, 3 * 3_600, 86_400, 86_400, 86_400):
        await machine.advance(seconds=seconds)
        if await done():
            return
    raise AssertionError("not done after three days")


async def live(market: Market, *, troubles: list[dict[str, object]]) -> None:
    """A sale, its transfer and its payout, with faults set before; each call to the provider had one effect."""
    machine = market.machine
    await market.seller("A")
    for trouble in troubles:
        await machine.control("faults", trouble)
    await market.sale(market.line("A", 5000), card="pm_card_bypassPending")

    async def sent() -> bool:
        return [row.status for row in await market.transfers()] == ["SENT"]

    await until(machine, sent)
    made = await market.payout("A")

    async def paid() -> bool:
        return (await market.payout_row(made.id)).status == "PAID"

    await until(machine, paid)
    account = (await market.seller_row("A")).provider_account
    assert len(await market.charges()) == 1
    assert len((await market.stripe("transfers"))["data"]) == 1
    assert len((await market.stripe("payouts", account=account))["data"]) == 1


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if not kind.of_webhooks])
async def test_a_request_that_is_struck_twice(market: Market, kind: FaultKind) -> None:
    calls = ("POST /v1/transfers", "POST /v1/payouts")
    # Late: when it was looked up in vain more than once, and just before it would be tried under a new key.
    more = {FaultKind.SLOW: {"seconds": 0.1}, FaultKind.ERROR_LATE: {"seconds": 5 * 3_600}}.get(kind, {})
    await live(market, troubles=[{"kind": kind, "on": call, "next": 2, **more} for call in calls])
    assert (await market.machine.control("faults"))["survived"][kind] >= 2
    await market.prove()


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind.of_webhooks])
async def test_every_event_is_struck(market: Market, kind: FaultKind) -> None:
    more = {"seconds": 0.1} if kind in SECONDS_DEFAULT else {}
    await live(market, troubles=[{"kind": kind, "rate": 1, **more}])
    assert (await market.machine.control("faults"))["survived"][kind] >= 5
    await market.prove()


#: What never reaches the provider: nobody charges a buyer hours later, so the payment fails and the buyer pays anew.
NEVER_DONE = {
    FaultKind.ERROR_BEFORE,
    FaultKind.CUT_BEFORE,
    FaultKind.IN_FLIGHT,
    FaultKind.RATE_LIMIT,
    FaultKind.LOCK_TIMEOUT,
}


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if not kind.of_webhooks])
async def test_a_checkout_that_is_struck_twice(market: Market, kind: FaultKind) -> None:
    """The buyer is charged once or not at all, and is told which, also when the charge comes hours after its 500."""
    machine = market.machine
    await market.seller("A")
    more = {FaultKind.SLOW: {"seconds": 0.1}, FaultKind.ERROR_LATE: {"seconds": 5 * 3_600}}.get(kind, {})
    await machine.control("faults", {"kind": kind, "on": "POST /v1/payment_intents", "next": 2, **more})
    draft = market.draft(market.line("A", 5000), card="pm_card_bypassPending")
    with suppress(Unknown):
        await market.pay(draft, key="order-1")
    await machine.advance(seconds=7_200)
    if kind in (FaultKind.ERROR_BEFORE, FaultKind.ERROR_LATE):
        # Nothing is there, but it may still come: nobody is told that it failed before that is sure.
        async with machine.services.db.read(market.platform) as scope:
            assert [row.status for row in await scope.rows(select(payment.c.status))] == ["CREATED"]
        await machine.advance(seconds=7 * 3_600)
    told = (await market.pay(draft, key="order-1")).payment.status
    assert (told, len(await market.charges())) == (("FAILED", 0) if kind in NEVER_DONE else ("SUCCEEDED", 1))
    await market.prove()
