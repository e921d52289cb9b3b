"""Buyers and their payment methods: a provider's token comes in, never a card."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.actor import Actor, Role
from marketbill.buyers import buyer as buyers
from marketbill.buyers import queries
from marketbill.buyers.buyer import BuyerDraft
from marketbill.errors import IdempotencyConflict, InvalidInput, NotFound
from marketbill.ids import BuyerId, public_id
from marketbill.provider.port import Refused, Unknown


async def create(market: Market, draft: BuyerDraft | None = None, *, key: str | None = None) -> Any:
    return await buyers.create(
        market.machine.services,
        market.operator,
        idempotency_key=key or market.machine.key(),
        draft=draft or BuyerDraft("Kim", "kim@buyers.example", "kim"),
    )


async def attach(market: Market, buyer: Any, token: str, *, key: str | None = None, actor: Actor | None = None) -> Any:
    return await buyers.attach_method(
        market.machine.services,
        actor or market.operator,
        idempotency_key=key or market.machine.key(),
        buyer_id=public_id("buyer", buyer.id),
        token=token,
    )


async def test_a_stored_card_pays_again_and_again(market: Market) -> None:
    await market.seller("A", onboard=None)
    kim = await create(market)
    card = await attach(market, kim, "pm_card_visa")
    assert (card.brand, card.last4, card.kind) == ("visa", "4242", "card")
    for _ in range(2):
        paid = await market.pay(
            market.draft(
                market.line("A", 5000),
                card=None,
                payment_method_id=public_id("payment method", card.id),
                off_session=True,
            )
        )
        assert (paid.payment.status, paid.payment.buyer_id) == ("SUCCEEDED", kim.id)
    await market.machine.quiet()
    assert {charge["customer"] for charge in await market.charges()} == {(await load(market, kim)).provider_customer}
    await market.prove()


async def test_a_card_number_never_comes_in(market: Market, subtests: pytest.Subtests) -> None:
    kim = await create(market)
    for token in ["4242424242424242", "4242 4242 4242 4242", "", "pm_", "pm_card visa", "tok_visa"]:
        with subtests.test(token=token):
            with pytest.raises(InvalidInput) as refused:
                await attach(market, kim, token)
            assert refused.value.path == ("token",)
            assert "POST /v1/customers" not in market.machine.line.calls


async def test_a_method_attached_twice_with_one_key_is_one(market: Market) -> None:
    kim = await create(market, key="k")
    assert (await create(market, key="k")).id == kim.id
    first, again = [await attach(market, kim, "pm_card_visa", key="m") for _ in range(2)]
    assert first.id == again.id
    with pytest.raises(IdempotencyConflict):
        await attach(market, kim, "pm_card_mastercard", key="m")


async def test_a_method_of_the_provider_is_kept_once(market: Market) -> None:
    kim = await create(market)
    first = await attach(market, kim, "pm_card_visa")
    again = await asyncio.gather(*(attach(market, kim, first.provider_method) for _ in range(2)))
    assert [one.id for one in again] == [first.id, first.id]
    async with market.machine.services.db.read(market.platform) as scope:
        assert len((await buyers.methods_of(scope, [kim.id]))[kim.id]) == 1


async def test_an_external_reference_names_one_buyer(market: Market) -> None:
    racing = await asyncio.gather(*(create(market) for _ in range(5)), return_exceptions=True)
    [kim] = [one for one in racing if not isinstance(one, BaseException)]
    refusals = [one for one in racing if one is not kim]
    assert {type(one) for one in refusals} == {InvalidInput}
    assert all(public_id("buyer", kim.id) in str(one) for one in refusals)


async def test_an_unknown_token_is_refused_and_may_be_tried_again(market: Market) -> None:
    kim = await create(market)
    for _ in range(2):
        with pytest.raises(Refused):
            await attach(market, kim, "pm_1unknown", key="m")


@pytest.mark.parametrize("call", ["POST /v1/customers", "attach"])
async def test_a_lost_answer_attaches_once(market: Market, call: str) -> None:
    kim = await create(market)
    path = call if call != "attach" else "POST /v1/payment_methods/pm_card_visa/attach"
    market.machine.line.lose_answer(path)
    with pytest.raises(Unknown):
        await attach(market, kim, "pm_card_visa", key="m")

    await attach(market, kim, "pm_card_visa", key="m")

    customers = (await market.stripe("customers?limit=100"))["data"]
    assert len(customers) == 1
    methods = await market.stripe(f"customers/{customers[0]['id']}/payment_methods")
    assert len(methods["data"]) == 1


@pytest.mark.parametrize("kind", ["error_after", "cut_after", "malformed"])
@pytest.mark.parametrize("call", ["POST /v1/customers", "POST /v1/payment_methods/*/attach"])
async def test_what_the_provider_did_and_did_not_tell_is_found(market: Market, call: str, kind: str) -> None:
    kim = await create(market)
    bought = (await market.stripe("payment_methods", form={"type": "card", "card[token]": "tok_visa"}))["id"]
    await market.machine.control("faults", {"kind": kind, "on": call, "next": 3})
    for _ in range(4):
        with suppress(Unknown):
            await attach(market, kim, bought, key="m")

    attached = await attach(market, kim, bought, key="m")

    assert attached.provider_method == bought
    customers = (await market.stripe("customers?limit=100"))["data"]
    assert [one["id"] for one in customers] == [(await load(market, kim)).provider_customer]
    methods = await market.stripe(f"customers/{customers[0]['id']}/payment_methods")
    assert [one["id"] for one in methods["data"]] == [bought]


async def test_a_buyer_has_his_own_methods_only(machine: Machine) -> None:
    market, other = await machine.platform(name="One"), await machine.platform(name="Other")
    kim, lou = await create(market), await create(market, BuyerDraft("Lou"))
    as_lou = Actor(Role.BUYER, public_id("buyer", lou.id), market.platform, buyer=BuyerId(lou.id))
    for actor in (as_lou, other.operator):
        with pytest.raises(NotFound):
            await attach(market, kim, "pm_card_visa", actor=actor)
    async with machine.services.db.read(market.platform) as scope:
        with pytest.raises(NotFound):
            await queries.by_id(scope, as_lou, public_id("buyer", kim.id))
        assert (await queries.by_id(scope, as_lou, public_id("buyer", lou.id))).name == "Lou"


async def test_wrong_fields_are_refused_by_name(machine: Machine, subtests: pytest.Subtests) -> None:
    for draft, field in [
        (BuyerDraft(""), "name"),
        (BuyerDraft("x" * 201), "name"),
        (BuyerDraft("a\x00"), "name"),
        (BuyerDraft("Kim", "nobody"), "email"),
        (BuyerDraft("Kim", "a@\x00"), "email"),
        (BuyerDraft("Kim", external_ref=""), "externalRef"),
        (BuyerDraft("Kim", external_ref="x" * 101), "externalRef"),
    ]:
        with subtests.test(draft=draft, field=field):
            market = await machine.platform(connected=False)
            with pytest.raises(InvalidInput) as refused:
                await create(market, draft)
            assert refused.value.path == (field,)


async def load(market: Market, buyer: Any) -> Any:
    async with market.machine.services.db.read(market.platform) as scope:
        return await buyers.load(scope, buyer.id)
