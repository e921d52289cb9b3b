"""Sellers as the platform makes and changes them."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.market.machine import Machine
from tests.market.market import GERMAN_VAT, Market

from marketbill.actor import Actor, Role
from marketbill.errors import IdempotencyConflict, InvalidInput, NotFound, StateConflict
from marketbill.ids import public_id
from marketbill.paging import PageRequest
from marketbill.sellers import queries
from marketbill.sellers import seller as sellers
from marketbill.sellers.seller import SellerDraft

GOOD = SellerDraft("Anna's Atelier", "anna@sellers.example", "NL", external_ref="anna")


async def create(market: Market, draft: SellerDraft = GOOD, *, key: str | None = None) -> Any:
    return await sellers.create(
        market.machine.services, market.operator, idempotency_key=key or market.machine.key(), draft=draft
    )


async def change(market: Market, row: Any, *, version: int | None = None, **changes: Any) -> Any:
    return await sellers.change(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        id=public_id("seller", row.id),
        changes=changes,
        expected_version=version,
    )


async def test_the_same_key_makes_one_seller(market: Market) -> None:
    first, again = await create(market, key="k"), await create(market, key="k")
    raced = await asyncio.gather(*(create(market, replace(GOOD, external_ref="r"), key="r") for _ in range(3)))

    assert first.id == again.id
    assert len({row.id for row in raced}) == 1
    with pytest.raises(IdempotencyConflict):
        await create(market, replace(GOOD, name="Another"), key="k")
    assert market.machine.line.count("POST /v2/core/accounts") == 2


async def test_wrong_fields_are_refused_by_name(machine: Machine, subtests: pytest.Subtests) -> None:
    for field, value in [
        ("name", ""),
        ("name", "x" * 201),
        ("name", "a\x00"),
        ("name", "\ud800"),
        ("email", "anna"),
        ("email", "a b@c.d"),
        ("email", "a@" + "x" * 255 + ".nl"),
        ("email", "a@b.c\x00"),
        ("country", "XX"),
        ("country", "nl"),
        ("vat_number", ""),
        ("vat_number", "x" * 33),
        ("external_ref", ""),
        ("external_ref", "x" * 101),
        ("external_ref", "\x00"),
    ]:
        with subtests.test(field=field, value=value):
            market = await machine.platform(connected=False)
            with pytest.raises(InvalidInput) as refused:
                await create(market, replace(GOOD, **{field: value}))

            words = {"vat_number": "vatNumber", "external_ref": "externalRef"}
            assert refused.value.path == (words.get(field, field),)
            async with machine.services.db.read(market.platform) as scope:
                assert (await queries.page(scope, market.operator, PageRequest())).rows == []


async def test_an_external_reference_names_one_seller(market: Market) -> None:
    anna = await create(market)
    with pytest.raises(InvalidInput) as refused:
        await create(market, replace(GOOD, name="Another Anna"))
    assert refused.value.path == ("externalRef",)
    assert public_id("seller", anna.id) in refused.value.message

    racing = await asyncio.gather(
        *(create(market, replace(GOOD, name=name, external_ref="same")) for name in ("One", "Two", "Three")),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, BaseException) for one in racing) == 1
    assert {type(one) for one in racing if isinstance(one, BaseException)} == {InvalidInput}


async def test_a_vat_number_is_checked_for_its_country(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    german = await create(market, SellerDraft("Gerd", "g@x.example", "DE", GERMAN_VAT))
    wrong = await create(market, SellerDraft("Willi", "w@x.example", "DE", "DE136695977"))
    assert (german.vat_number_valid, wrong.vat_number_valid) == (True, False)

    corrected = await change(market, wrong, vat_number=GERMAN_VAT)
    removed = await change(market, german, vat_number=None)
    assert (corrected.vat_number_valid, removed.vat_number_valid) == (True, False)


async def test_a_change_of_an_old_version_is_refused(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    row = await create(market)
    changed = await change(market, row, version=1, name="Anna & Sons")
    assert (changed.name, changed.version) == ("Anna & Sons", 2)

    with pytest.raises(StateConflict) as refused:
        await change(market, row, version=1, name="Nobody")
    assert refused.value.current_state == "2"
    with pytest.raises(InvalidInput):
        await change(market, row, email="wrong")


async def test_another_tenants_seller_is_not_found(machine: Machine) -> None:
    one, other = [await machine.platform(name=name, connected=False) for name in ("One", "Other")]
    row = await create(one)
    id = public_id("seller", row.id)

    with pytest.raises(NotFound):
        await change(other, row, name="Stolen")
    async with machine.services.db.read(other.platform) as scope:
        with pytest.raises(NotFound):
            await queries.by_id(scope, other.operator, id)
        assert await queries.by_external_ref(scope, other.operator, "anna") is None
        assert (await queries.page(scope, other.operator, PageRequest())).rows == []


async def test_a_seller_sees_himself_only(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    anna = await create(market)
    bert = await create(market, replace(GOOD, name="Bert", external_ref="bert"))
    actor = Actor(Role.SELLER, public_id("seller", anna.id), market.platform, seller=anna.id)
    async with machine.services.db.read(market.platform) as scope:
        assert [row.id for row in (await queries.page(scope, actor, PageRequest())).rows] == [anna.id]
        with pytest.raises(NotFound):
            await queries.by_id(scope, actor, public_id("seller", bert.id))
        assert await queries.by_external_ref(scope, actor, "bert") is None
        found = await queries.page(scope, market.operator, PageRequest(), search="BER")
        assert [row.id for row in found.rows] == [bert.id]
