"""Platforms and their credentials: made by the bootstrap key, known by keys shown once, secrets kept sealed."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select
from tests.market.machine import BOOTSTRAP, BOOTSTRAP_KEY, FEE_RULE, Machine
from tests.market.market import Market

from marketbill.actor import Actor, Role
from marketbill.crypto import UnreadableSecret, Vault
from marketbill.errors import Forbidden, IdempotencyConflict, InvalidInput, NotFound, StateConflict, Unauthenticated
from marketbill.ids import public_id
from marketbill.platforms import credentials, keys, platform
from marketbill.platforms.model import api_key, provider_credential
from marketbill.platforms.platform import PlatformDraft
from marketbill.provider.port import Unknown

GOOD = PlatformDraft("Market", "NL", "EUR", Decimal(21), "CAPTURE", 0, FEE_RULE)


async def create(machine: Machine, draft: PlatformDraft = GOOD, *, actor: Actor = BOOTSTRAP, key: str = "p") -> Any:
    return await platform.create(machine.services, actor, idempotency_key=key, draft=draft)


async def test_only_the_bootstrap_key_makes_platforms(machine: Machine) -> None:
    made = await create(machine)
    operator = await keys.authenticate(machine.services, made.operator_key)
    assert (operator.role, operator.platform) == (Role.OPERATOR, made.platform.platform_id)
    for role in Role:
        if role is not Role.BOOTSTRAP:
            with pytest.raises(Forbidden):
                await create(machine, actor=replace(operator, role=role), key="other")
    with pytest.raises(Unauthenticated):
        keys.tenant(BOOTSTRAP)


async def test_the_same_key_gives_the_same_platform_and_operator_key(machine: Machine) -> None:
    made = await asyncio.gather(*(create(machine) for _ in range(3)))
    again = await create(machine)

    assert len({one.operator_key for one in (*made, again)}) == 1
    assert len({one.platform.platform_id for one in (*made, again)}) == 1
    with pytest.raises(IdempotencyConflict):
        await create(machine, replace(GOOD, name="Another"))


async def test_wrong_fields_are_refused_by_name(machine: Machine, subtests: pytest.Subtests) -> None:
    for changes, path in [
        ({"name": ""}, ("name",)),
        ({"name": "x" * 201}, ("name",)),
        ({"name": "\x00"}, ("name",)),
        ({"country": "XX"}, ("country",)),
        ({"default_currency": "XXY"}, ("defaultCurrency",)),
        ({"fee_tax_rate": Decimal(101)}, ("feeTaxRate",)),
        ({"fee_tax_rate": Decimal(-1)}, ("feeTaxRate",)),
        ({"hold_from": "NEVER"}, ("holdFrom",)),
        ({"hold_days": -1}, ("holdDays",)),
        ({"hold_days": 91}, ("holdDays",)),
        ({"fee_rule": replace(FEE_RULE, percent=Decimal("100.1"))}, ("feeRule", "percent")),
        ({"fee_rule": replace(FEE_RULE, fixed={"EUR": -1})}, ("feeRule", "fixed", "EUR")),
        ({"fee_rule": replace(FEE_RULE, fixed={"XXY": 1})}, ("feeRule", "fixed", "XXY")),
        ({"fee_rule": replace(FEE_RULE, fixed={"EUR": 10**40})}, ("feeRule", "fixed", "EUR")),
    ]:
        with subtests.test(changes=changes, path=path):
            with pytest.raises(InvalidInput) as refused:
                await create(machine, replace(GOOD, **changes))
            assert refused.value.path == path
    assert (await create(machine)).operator_key, "the key of a refused request is free"


async def test_a_change_of_an_old_version_is_refused(machine: Machine) -> None:
    market = await machine.platform(connected=False)

    async def change(key: str, version: int | None = None, **changes: Any) -> Any:
        return await platform.change(
            machine.services, market.operator, idempotency_key=key, changes=changes, expected_version=version
        )

    row = await change("one", 1, name="New name", fee_tax_rate=Decimal(9))
    assert (row.name, row.fee_tax_rate, row.version) == ("New name", 9, 2)
    with pytest.raises(StateConflict):
        await change("two", 1, name="Newer name")
    with pytest.raises(InvalidInput):
        await change("three", hold_days=1000)
    assert (await change("one", 1, name="New name", fee_tax_rate=Decimal(9))).version == 2


async def test_a_key_is_shown_once_kept_hashed_and_revoked_at_once(machine: Machine, admin_url: str) -> None:
    market = await machine.platform(connected=False)
    services = machine.services
    made = await keys.create(services, market.operator, idempotency_key="k", name="Backend", role="SERVICE")
    again = await keys.create(services, market.operator, idempotency_key="k", name="Backend", role="SERVICE")
    assert made.secret == again.secret, "the same request is answered the same, so that a lost answer loses no key"
    actor = await keys.authenticate(services, made.secret)
    assert (actor.role, actor.platform) == (Role.SERVICE, market.platform)

    async with services.db.read(market.platform) as scope:
        listed = {row.name: row for row in await keys.listing(scope)}
    assert listed["Backend"].last_used_at is not None
    assert listed["Backend"].hint == made.secret[-4:]
    for row in await everything(admin_url):
        assert made.secret not in row
        assert made.secret.split("_", 2)[2] not in row

    id = public_id("api key", made.key.id)
    revoked = await keys.revoke(services, market.operator, idempotency_key="r", id=id)
    assert revoked.revoked_at is not None
    with pytest.raises(Unauthenticated):
        await keys.authenticate(services, made.secret)
    twice = await keys.revoke(services, market.operator, idempotency_key="r2", id=id)
    assert twice.revoked_at == revoked.revoked_at


async def test_a_key_belongs_to_its_platform(machine: Machine) -> None:
    one, other = [await machine.platform(name=name, connected=False) for name in ("One", "Other")]
    made = await keys.create(machine.services, one.operator, idempotency_key="k", name="Backend", role="SERVICE")
    with pytest.raises(NotFound):
        await keys.revoke(machine.services, other.operator, idempotency_key="r", id=public_id("api key", made.key.id))
    _, _, secret = made.secret.split("_", 2)
    forged = f"mb_{public_id('platform', other.platform)[4:]}_{secret}"
    with pytest.raises(Unauthenticated):
        await keys.authenticate(machine.services, forged)
    assert (await keys.authenticate(machine.services, made.secret)).platform == one.platform


async def test_wrong_credentials_are_refused(machine: Machine, subtests: pytest.Subtests) -> None:
    for token in [
        "",
        "mb_",
        "mb_x",
        "mb_0000",
        "mb_00000000000000000000000000_x",
        "mb__",
        "a.b.c",
        "Bearer",
        "\x00",
        "..",
        "é",
    ]:
        with subtests.test(token=token), pytest.raises(Unauthenticated):
            await keys.authenticate(machine.services, token)


async def test_the_bootstrap_key_is_compared_whole(machine: Machine) -> None:
    assert (await keys.authenticate(machine.services, BOOTSTRAP_KEY)).role is Role.BOOTSTRAP
    for wrong in (BOOTSTRAP_KEY[:-1], BOOTSTRAP_KEY + "x", BOOTSTRAP_KEY.upper()):
        with pytest.raises(Unauthenticated):
            await keys.authenticate(machine.services, wrong)


async def test_a_key_needs_a_usable_name(machine: Machine, subtests: pytest.Subtests) -> None:
    for name, role in [("", "SERVICE"), ("x" * 101, "SERVICE"), ("\x00", "SERVICE")]:
        with subtests.test(name=name, role=role):
            market = await machine.platform(connected=False)
            with pytest.raises(InvalidInput) as refused:
                await keys.create(machine.services, market.operator, idempotency_key="k", name=name, role=role)
            assert refused.value.path == ("name",)


async def test_a_key_is_for_backends_only(machine: Machine, subtests: pytest.Subtests) -> None:
    for role in ["BOOTSTRAP", "SELLER", "BUYER", "ROOT"]:
        with subtests.test(role=role):
            market = await machine.platform(connected=False)
            with pytest.raises(InvalidInput) as refused:
                await keys.create(machine.services, market.operator, idempotency_key="k", name="Backend", role=role)
            assert refused.value.path == ("role",)


async def test_provider_credentials_are_sealed_to_their_place(market: Market, admin_url: str) -> None:
    for row in await everything(admin_url):
        assert market.secret_key not in row
        assert "whsec_" not in row
    async with market.machine.services.db.read(market.platform) as scope:
        row = await scope.one(select(provider_credential).where(provider_credential.c.platform_id == market.platform))
    assert row.secret_key_hint == market.secret_key[-4:]
    vault = market.machine.services.vault
    context = f"{market.platform}:provider_credential:secret_key"
    assert vault.decrypt(row.secret_key, context=context) == market.secret_key
    for other, where in (
        (vault, f"{public_id('platform', market.platform)}:provider_credential:secret_key"),
        (vault, f"{market.platform}:provider_credential:webhook_secret"),
        (Vault("another master key of thirty-two"), context),
    ):
        with pytest.raises(UnreadableSecret):
            other.decrypt(row.secret_key, context=where)


async def test_a_wrong_provider_key_is_refused_and_nothing_kept(machine: Machine) -> None:
    market = await machine.platform(connected=False)

    async def connect(secret_key: str) -> Any:
        return await credentials.provider_connect(
            machine.services, market.operator, idempotency_key=machine.key(), secret_key=secret_key
        )

    unknown = "sk_test_" + "0" * 32
    for wrong in ("", "pk_test_" + "0" * 32, "sk_1", "sk_live_" + "0" * 32, "sk_test_\x00" + "0" * 32, unknown):
        with pytest.raises(InvalidInput) as refused:
            await connect(wrong)
        assert refused.value.path == ("secretKey",)
    machine.line.cut = True
    with pytest.raises(Unknown):
        await connect(unknown)
    async with machine.services.db.read(market.platform) as scope:
        assert await scope.rows(select(provider_credential)) == []


async def test_a_new_provider_key_replaces_the_old_one(market: Market) -> None:
    machine = market.machine
    old = market.provider_account
    account = await machine.control("platforms", {"country": "NL", "default_currency": "eur", "name": "Second"})
    told = await credentials.provider_connect(
        machine.services, market.operator, idempotency_key="second", secret_key=account["secret_key"]
    )
    again = await credentials.provider_connect(
        machine.services, market.operator, idempotency_key="second", secret_key=account["secret_key"]
    )

    assert told == again
    assert told.id == account["id"] != old
    market.secret_key, market.provider_account = account["secret_key"], account["id"]
    assert len((await market.stripe("webhook_endpoints"))["data"]) == 2


async def test_a_key_of_another_account_is_refused_once_there_is_anything_at_the_first(
    market: Market, subtests: pytest.Subtests
) -> None:
    machine = market.machine
    other = await machine.control("platforms", {"country": "NL", "default_currency": "eur", "name": "Second"})

    async def connect(secret_key: str) -> Any:
        return await credentials.provider_connect(
            machine.services, market.operator, idempotency_key=machine.key(), secret_key=secret_key
        )

    await market.seller("A", onboard=None)
    for story in ("a seller with an account", "a payment"):
        with subtests.test(story):
            with pytest.raises(StateConflict) as refused:
                await connect(other["secret_key"])
            assert (refused.value.current_state, refused.value.path) == (market.provider_account, ("secretKey",))
            market.secret_key, mine = other["secret_key"], market.secret_key
            assert (await market.stripe("webhook_endpoints"))["data"] == []
            market.secret_key = mine
        await market.sale(market.line("A", 5000))
    assert (await connect(market.secret_key)).id == market.provider_account
    await market.sale(market.line("A", 5000))
    await market.prove()


async def test_connecting_twice_at_once_keeps_secrets_of_endpoints_that_live(market: Market) -> None:
    machine = market.machine
    await asyncio.gather(
        *(
            credentials.provider_connect(
                machine.services, market.operator, idempotency_key=machine.key(), secret_key=market.secret_key
            )
            for _ in range(3)
        )
    )

    assert len((await market.stripe("webhook_endpoints"))["data"]) == 2
    await market.seller("A")
    await market.sale(market.line("A", 5000))
    await market.prove()


async def everything(admin_url: str) -> list[str]:
    """Every row of the tables that hold secrets, as text."""
    connection = await asyncpg.connect(admin_url)
    try:
        return [
            str(row[0])
            for table in (api_key.name, provider_credential.name, "idempotency_key", "platform", "outbox_message")
            for row in await connection.fetch(f"select t::text from {table} t")
        ]
    finally:
        await connection.close()
