"""Payouts: a seller's money goes to his bank on request, and comes back when the bank refuses it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Row
from tests.market.machine import Machine
from tests.market.market import Market
from tests.payouts.purse import CALL, NET, bank_account, custody, fund, given_up_of, made

from marketbill.actor import Actor, Role
from marketbill.errors import IdempotencyConflict, InsufficientFunds, InvalidInput, NotFound, SellerNotAllowed
from marketbill.ids import PayoutId, SellerId, new_id, public_id
from marketbill.payouts import payout as payouts
from marketbill.payouts import request
from marketbill.payouts.payout import PayoutMismatch
from marketbill.payouts.request import PayoutDraft
from marketbill.provider.objects import Payout
from marketbill.reconciliation.business import prove_payouts
from marketbill.reconciliation.check import Verdict


async def test_part_of_the_money_is_paid_out(funded: Market) -> None:
    requested = await funded.payout("A", 4000)
    assert (requested.status, requested.amount) == ("CREATED", 4000)
    assert (await custody(funded, "available"), await custody(funded, "in-transit")) == (NET - 4000, 4000)

    await funded.machine.quiet()
    assert [one["amount"] for one in await made(funded)] == [4000]
    await funded.machine.advance(days=4)

    row = await funded.payout_row(requested.id)
    assert (row.status, row.reason) == ("PAID", None)
    assert row.paid_at is not None
    assert (await custody(funded, "in-transit"), await custody(funded, "owed")) == (0, NET - 4000)
    await funded.prove()


@pytest.mark.parametrize("amount", [0, -1])
async def test_an_amount_must_be_more_than_zero(funded: Market, amount: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        await funded.payout("A", amount)
    assert refused.value.path == ("amount",)


@pytest.mark.parametrize("amount", [NET + 1, 10**15])
async def test_more_than_is_there_is_refused_with_what_is_there(funded: Market, amount: int) -> None:
    with pytest.raises(InsufficientFunds) as refused:
        await funded.payout("A", amount)

    assert (refused.value.available_minor, refused.value.currency) == (NET, "EUR")
    assert "43.59" in refused.value.message
    assert await custody(funded, "available") == NET
    assert await made(funded) == []
    await funded.prove()


@pytest.mark.parametrize("amount", [2**62, 10**30])
async def test_an_amount_beyond_all_amounts_is_refused(funded: Market, amount: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        await funded.payout("A", amount)
    assert refused.value.path == ("amount",)


async def test_where_nothing_is_there_nothing_is_paid_out(funded: Market) -> None:
    with pytest.raises(InsufficientFunds) as refused:
        await funded.payout("A", currency="USD")
    assert refused.value.available_minor == 0
    with pytest.raises(InvalidInput):
        await funded.payout("A", currency="XXY")


async def test_the_gates_are_apart(market: Market) -> None:
    """A seller whose payouts are blocked sells and gets transfers; only the money stays at the provider."""
    await market.seller("A", onboard="payouts_blocked")
    row = await market.seller_row("A")
    assert (row.transfers, row.payouts_enabled, row.suspended) == ("ACTIVE", False, False)
    await fund(market)
    assert await custody(market, "available") == NET

    with pytest.raises(SellerNotAllowed) as refused:
        await market.payout("A")
    assert (refused.value.gate, refused.value.seller_id) == ("PAYOUT", market.seller_id("A"))

    await market.onboard("A")
    await market.payout("A")
    await market.machine.advance(days=4)
    assert await custody(market, "available") == 0
    await market.prove()


async def test_the_same_key_gives_the_same_payout(funded: Market) -> None:
    first = await funded.payout("A", 2000, key="k")
    again = await funded.payout("A", 2000, key="k")
    with pytest.raises(IdempotencyConflict):
        await funded.payout("A", 2001, key="k")
    racing = await asyncio.gather(*(funded.payout("A", 1000, key="r") for _ in range(3)))
    await funded.machine.quiet()
    later = await funded.payout("A", 2000, key="k")

    assert first.id == again.id == later.id
    assert len({row.id for row in racing}) == 1
    assert sorted(one["amount"] for one in await made(funded)) == [1000, 2000]
    await funded.prove()


async def test_a_seller_pays_out_his_own_money_only(funded: Market) -> None:
    await funded.seller("B")
    services = funded.machine.services

    def seller_actor(name: str) -> Actor:
        return Actor(Role.SELLER, funded.seller_id(name), funded.platform, seller=funded.sellers[name])

    with pytest.raises(NotFound):
        await funded.payout("A", actor=seller_actor("B"))
    own = await funded.payout("A", 100, actor=seller_actor("A"))
    assert own.seller_id == funded.sellers["A"]
    with pytest.raises(NotFound):
        await request.create(
            services,
            funded.operator,
            idempotency_key="unknown",
            draft=PayoutDraft(public_id("seller", SellerId(new_id())), "EUR"),
        )


async def test_another_tenants_seller_is_not_found(funded: Market) -> None:
    machine: Machine = funded.machine
    other = await machine.platform(name="Other")
    with pytest.raises(NotFound):
        await funded.payout("A", actor=other.operator)
    assert await custody(funded, "available") == NET


@pytest.mark.parametrize("number", ["000111111116", "000111111113", "000333333335"])
async def test_a_payout_that_the_bank_refuses_gives_the_money_back(machine: Machine, number: str) -> None:
    market = await machine.platform(country="US", currency="USD")
    await market.seller("A", country="US")
    await bank_account(market, number)
    await market.sale(market.line("A", 5000, currency="USD"))
    await machine.advance(days=9)
    requested = await market.payout("A", 4000, currency="USD")
    await machine.advance(days=4)

    row = await market.payout_row(requested.id)
    assert row.status == "FAILED"
    assert row.reason in ("no_account", "account_closed", "debit_not_authorized")
    books = await market.books()
    assert (books["custody:A:available", "USD"], books["custody:A:in-transit", "USD"]) == (NET, 0)
    assert [kind for kind, _ in await market.journal(requested.id)] == ["payout-created", "payout-failed"]
    await market.prove()


async def test_a_payout_that_fails_after_it_was_paid_gives_the_money_back(funded: Market) -> None:
    requested = await funded.payout("A", 4000)
    await funded.machine.advance(days=4)
    assert (await funded.payout_row(requested.id)).status == "PAID"

    [one] = await made(funded)
    for status in ("failed", "failed", "paid"):
        await apply(funded, requested.id, told(one, status))

    row = await funded.payout_row(requested.id)
    assert (row.status, row.reason) == ("FAILED", "account_closed")
    assert [kind for kind, _ in await funded.journal(requested.id)] == [
        "payout-created",
        "payout-paid",
        "payout-failed",
    ]
    assert (await custody(funded, "available"), await custody(funded, "owed")) == (NET, NET)


async def test_a_refusal_by_the_provider_gives_the_money_back_with_its_reason(funded: Market) -> None:
    funded.machine.line.refuse(CALL, status=400)
    requested = await funded.payout("A", 4000)
    await funded.machine.quiet()

    row = await funded.payout_row(requested.id)
    assert (row.status, row.reason) == ("REFUSED", "Something went wrong on the line.")
    assert await custody(funded, "available") == NET
    assert await made(funded) == []
    await funded.prove()


async def refused_but_made(market: Market) -> tuple[Row[Any], Any]:
    """A payout of 40.00 that was refused and gave its money back, and the provider's payout of the same amount."""
    market.machine.line.refuse(CALL, status=400)
    requested = await market.payout("A", 4000)
    await market.machine.quiet()
    market.machine.line.mend()
    account = (await market.seller_row("A")).provider_account
    one = await market.stripe("payouts", account=account, form={"amount": "4000", "currency": "eur"})
    assert (await market.payout_row(requested.id)).status == "REFUSED"
    return requested, one


@pytest.mark.parametrize("end", ["paid", "failed"])
async def test_a_payout_taken_for_refused_but_made_claims_its_money_again(funded: Market, end: str) -> None:
    requested, one = await refused_but_made(funded)
    for status in ("in_transit", "in_transit", end):
        await apply(funded, requested.id, told(one, status))

    assert (await funded.payout_row(requested.id)).status == end.upper()
    assert [kind for kind, _ in await funded.journal(requested.id)] == [
        "payout-created",
        "payout-failed",
        "payout-reclaimed",
        f"payout-{end}",
    ]
    assert await custody(funded, "in-transit") == 0
    assert await custody(funded, "available") == (NET - 4000 if end == "paid" else NET)
    async with funded.machine.services.db.read(funded.platform) as scope:
        assert [check for check in await prove_payouts(scope) if check.verdict is Verdict.BROKEN] == []


async def test_money_that_is_gone_cannot_be_claimed_again_in_silence(funded: Market) -> None:
    requested, one = await refused_but_made(funded)
    await funded.payout("A", 1000)

    with pytest.raises(InsufficientFunds):
        await apply(funded, requested.id, told(one, "paid"))

    assert (await funded.payout_row(requested.id)).status == "REFUSED"


async def test_a_payout_that_was_refused_for_certain_cannot_be_revived(funded: Market) -> None:
    """Its money went back, so asking again would pay out money that nothing claims."""
    await refused_but_made(funded)
    assert await given_up_of(funded) == []


@pytest.mark.parametrize("wrong", [{"amount": 4001}, {"currency": "USD"}, {"account": "acct_other"}])
async def test_a_payout_that_is_told_otherwise_is_not_booked(funded: Market, wrong: dict[str, Any]) -> None:
    requested = await funded.payout("A", 4000)
    await funded.machine.quiet()
    [one] = await made(funded)
    account = wrong.pop("account", None)

    with pytest.raises(PayoutMismatch, match=public_id("payout", requested.id)):
        await apply(funded, requested.id, replace(told(one, "paid"), **wrong), account=account)

    assert await custody(funded, "in-transit") == 4000


def told(one: Any, status: Any) -> Payout:
    """The provider's payout, in some state."""
    arrival = datetime.fromtimestamp(one["arrival_date"], UTC)
    return Payout(one["id"], status, one["amount"], "EUR", arrival, "account_closed", None)


async def apply(market: Market, id: PayoutId, said: Payout, *, account: str | None = None) -> None:
    account = account or (await market.seller_row("A")).provider_account
    async with market.machine.services.db.write(market.platform) as scope:
        await payouts.apply(scope, id, said, account=str(account))
