"""Payouts sent by workers that race, die, break or get no answer: each is made once."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Row
from tests.market.market import Market
from tests.payouts.purse import CALL, NET, custody, given_up_of, made

from marketbill.errors import InsufficientFunds
from marketbill.interventions import provider_intent
from marketbill.payouts import payout as payouts
from marketbill.payouts.payout import execute_payouts
from marketbill.provider import claim as claims
from marketbill.provider import ending
from marketbill.provider.kinds import CREATE_PAYOUT
from marketbill.provider.objects import Payout
from marketbill.provider.port import Failure, Refused
from marketbill.sellers import onboarding


async def test_requests_that_race_for_the_same_money_get_it_once(funded: Market) -> None:
    answers = await asyncio.gather(*(funded.payout("A", 3000) for _ in range(4)), return_exceptions=True)
    await funded.machine.quiet()

    won = [answer for answer in answers if isinstance(answer, Row)]
    lost = [answer for answer in answers if isinstance(answer, InsufficientFunds)]
    assert (len(won), len(lost)) == (1, 3)
    assert {refusal.available_minor for refusal in lost} == {NET - 3000}
    assert [one["amount"] for one in await made(funded)] == [3000]
    await funded.prove()


async def test_many_workers_at_once_ask_once(funded: Market) -> None:
    for amount in (1000, 1001, 1002):
        await funded.payout("A", amount)
    await asyncio.gather(*(execute_payouts(funded.machine.services, funded.platform) for _ in range(4)))

    assert sorted(one["amount"] for one in await made(funded)) == [1000, 1001, 1002]
    assert funded.machine.line.count(CALL) == 3
    await funded.machine.quiet()
    await funded.prove()


async def test_a_payout_that_never_gets_an_answer_keeps_its_money_until_an_operator_looks(funded: Market) -> None:
    """It was made, but neither an answer nor a look-up nor an event ever came through: the money must not go back."""
    machine = funded.machine
    machine.line.lose_answer(CALL)
    machine.endpoint.holding = True
    requested = await funded.payout("A", 4000)
    await machine.quiet()
    machine.line.refuse("GET /v1/payouts", status=503)
    for _ in range(40):
        await machine.shift(20 * 60)
        await execute_payouts(machine.services, funded.platform)

    row = await funded.payout_row(requested.id)
    assert row.status == "CREATED"
    assert "No definite answer after 40 attempts" in row.reason
    assert (await custody(funded, "available"), await custody(funded, "in-transit")) == (NET - 4000, 4000)
    [given_up] = await given_up_of(funded)
    assert (given_up.status, given_up.attempts) == ("GAVE_UP", 40)

    machine.line.mend()
    await provider_intent.retry(machine.services, funded.platform, id=given_up.public_id, by="key_1")
    await execute_payouts(machine.services, funded.platform)
    await machine.endpoint.deliver(machine.endpoint.kept)
    machine.endpoint.holding = False
    await machine.advance(days=4)

    row = await funded.payout_row(requested.id)
    assert (row.status, row.reason) == ("PAID", None)
    assert [one["amount"] for one in await made(funded)] == [4000]
    await funded.prove()


async def test_a_worker_whose_lease_runs_out_asks_for_nothing(funded: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = await funded.payout("A", 4000)
    with monkeypatch.context() as slow:
        slow.setattr(claims, "CALL_LONGEST", claims.CLAIM_LEASE)
        await execute_payouts(funded.machine.services, funded.platform)
    assert await made(funded) == []

    await funded.machine.shift(4 * 60)
    await funded.machine.advance(days=4)
    assert (await funded.payout_row(requested.id)).status == "PAID"
    await funded.prove()


async def test_a_defect_in_one_payout_ends_the_job_after_the_others(
    funded: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = [await funded.payout("A", amount) for amount in (1000, 1001, 1002)]
    send, broken = payouts.PAYOUT.send, asyncio.Event()

    async def fail_once(*arguments: Any) -> Payout:
        if not broken.is_set():
            broken.set()
            raise RuntimeError("a defect")
        return await send(*arguments)

    monkeypatch.setattr(payouts, "PAYOUT", replace(payouts.PAYOUT, send=fail_once))
    with pytest.raises(RuntimeError, match="a defect"):
        await execute_payouts(funded.machine.services, funded.platform)

    told_of = [(await funded.payout_row(row.id)).provider_payout is not None for row in requested]
    assert sorted(told_of) == [False, True, True]


async def test_a_payout_is_let_go_only_when_the_account_may_pay_out(funded: Market) -> None:
    requested = await funded.payout("A", 4000)
    account = (await funded.seller_row("A")).provider_account
    machine, gate = funded.machine, onboarding.payout_gate(account)
    async with machine.services.db.write(funded.platform) as scope:
        [intent] = await claims.claim_due(scope, [CREATE_PAYOUT], 1)
        refused = Refused(Failure(400, "payouts_not_allowed", "text"))
        await ending.record_failure(scope, intent, refused, jitter=0, held_for=gate)
        assert await claims.let_go(scope, onboarding.transfer_gate(account)) == 0

    await onboarding.refresh(machine.services, funded.platform, [account])
    await machine.quiet()

    assert [one["amount"] for one in await made(funded)] == [4000]
    assert (await funded.payout_row(requested.id)).provider_payout is not None


@pytest.mark.parametrize("wait_seconds", [4 * 60, 25 * 3600], ids=["minutes later", "a day later"])
@pytest.mark.parametrize("executed", [False, True], ids=["before the call", "after the call"])
async def test_a_killed_worker_is_taken_over_from(funded: Market, executed: bool, wait_seconds: int) -> None:
    requested = await funded.payout("A", 4000)
    funded.machine.endpoint.holding = True
    held = funded.machine.line.hold(CALL, executed=executed)
    working = asyncio.create_task(funded.machine.quiet())
    await held.reached.wait()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    funded.machine.line.mend()
    assert len(await made(funded)) == executed

    await funded.machine.advance(seconds=wait_seconds)
    await funded.machine.endpoint.deliver(funded.machine.endpoint.kept)
    funded.machine.endpoint.holding = False
    await funded.machine.advance(days=4)

    assert (await funded.payout_row(requested.id)).status == "PAID"
    assert [one["amount"] for one in await made(funded)] == [4000]
    await funded.prove()
