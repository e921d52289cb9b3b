"""Seller and buyer tokens: short-lived, signed, of one party of one platform."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from tests.market.machine import Machine

from marketbill import clock
from marketbill.actor import Role
from marketbill.errors import InvalidInput, Unauthenticated
from marketbill.ids import PlatformId, new_id, public_id
from marketbill.platforms import keys, tokens

PLATFORM = PlatformId(UUID(int=1))
SELLER, BUYER = public_id("seller", UUID(int=2)), public_id("buyer", UUID(int=3))


def claims(**changes: Any) -> dict[str, Any]:
    now = clock.now()
    good = {
        "iss": "marketbill",
        "plt": public_id("platform", PLATFORM),
        "role": "SELLER",
        "sub": SELLER,
        "iat": now,
        "exp": now + timedelta(hours=1),
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


async def refuse(machine: Machine, token: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refused:
        await keys.authenticate(machine.services, token)
    return refused.value


async def test_a_token_is_its_party(machine: Machine) -> None:
    services = machine.services
    seller = tokens.mint(services, PLATFORM, role=Role.SELLER, party=SELLER)
    buyer = tokens.mint(services, PLATFORM, role=Role.BUYER, party=BUYER, lifetime_seconds=60)

    as_seller = await keys.authenticate(services, seller.token)
    as_buyer = await keys.authenticate(services, buyer.token)
    assert (as_seller.role, as_seller.platform, as_seller.buyer) == (Role.SELLER, PLATFORM, None)
    assert public_id("seller", as_seller.seller or new_id()) == as_seller.id == SELLER
    assert (as_buyer.role, as_buyer.platform, as_buyer.seller) == (Role.BUYER, PLATFORM, None)
    assert public_id("buyer", as_buyer.buyer or new_id()) == BUYER
    assert timedelta(seconds=58) < buyer.expires_at - clock.now() <= timedelta(seconds=60)


async def test_a_token_lives_from_a_minute_to_a_day(machine: Machine, subtests: pytest.Subtests) -> None:
    for seconds in [0, 59, 86_401, -1]:
        with subtests.test(seconds=seconds), pytest.raises(InvalidInput):
            tokens.mint(machine.services, PLATFORM, role=Role.SELLER, party=SELLER, lifetime_seconds=seconds)


async def test_an_expired_token_says_so(machine: Machine) -> None:
    past = clock.now() - timedelta(seconds=2)
    token = jwt.encode(claims(exp=past), machine.services.vault.token_key, algorithm="HS256")
    assert "expired" in (await refuse(machine, token)).message


async def test_a_well_signed_token_of_a_wrong_form_is_refused(machine: Machine, subtests: pytest.Subtests) -> None:
    for changes in [
        {"iss": "somebody"},
        {"iss": None},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"plt": None},
        {"role": None},
        {"plt": "plt_1"},
        {"sub": BUYER},
        {"sub": "sel_1"},
        {"role": "BUYER"},
        {"role": "OPERATOR"},
        {"role": "BOOTSTRAP"},
        {"plt": 7},
        {"sub": 7},
        {"iat": datetime(2100, 1, 1, tzinfo=UTC)},
    ]:
        with subtests.test(changes=changes):
            token = jwt.encode(claims(**changes), machine.services.vault.token_key, algorithm="HS256")
            await refuse(machine, token)


async def test_an_altered_or_forged_token_is_refused(machine: Machine) -> None:
    token = tokens.mint(machine.services, PLATFORM, role=Role.SELLER, party=SELLER).token
    head, body, signature = token.split(".")
    forged = [
        jwt.encode(claims(), "another key that is thirty-two long", algorithm="HS256"),
        jwt.encode(claims(), "", algorithm="none"),
        jwt.encode(claims(), machine.services.vault.token_key, algorithm="HS512"),
        f"{head}.{body}.{signature[:-2]}",
        f"{head}.{body}.",
        f"{head}.{body[:-1]}{'A' if body[-1] != 'A' else 'B'}.{signature}",
        f"{head}..{signature}",
    ]
    for wrong in forged:
        await refuse(machine, wrong)
