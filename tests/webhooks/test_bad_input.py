"""Bad input at the real door, `POST /webhooks/stripe/…` of the API: refused with a reason, or kept and parked."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import orjson
import pytest
from sqlalchemy import Row, select
from structlog.testing import capture_logs
from tests.market.market import Market

from marketbill.events import inbox
from marketbill.events.model import inbox_event
from marketbill.ids import public_id
from marketbill.sandbox.webhooks import signature
from marketbill_graphql.app import WEBHOOK_BYTES_MAX, create_app


@pytest.fixture
async def http(market: Market) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(create_app(market.machine.services))
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.example") as client:
        yield client


class Door:
    """Signs and posts bodies to the platform's endpoint, as the provider would."""

    def __init__(self, market: Market, http: httpx2.AsyncClient) -> None:
        self.market, self.http = market, http
        self.path = f"/webhooks/stripe/{public_id('platform', market.platform)}"

    async def post(self, raw: bytes, *, connect: bool = False, seconds: int = 0) -> httpx2.Response:
        secrets = await self.market.machine.endpoint.secrets(self.market.platform)
        header = signature((secrets[1 if connect else 0],), raw, int(time.time()) + seconds)
        return await self.http.post(self.path, content=raw, headers={"stripe-signature": header})

    async def kept(self) -> list[Row[Any]]:
        async with self.market.machine.services.db.read(self.market.platform) as scope:
            return list(await scope.rows(select(inbox_event)))


@pytest.fixture
def door(market: Market, http: httpx2.AsyncClient) -> Door:
    return Door(market, http)


def event(**changes: Any) -> bytes:
    whole = {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "type": "payment_intent.canceled",
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": {"id": "pi_1", "object": "payment_intent"}},
    }
    return orjson.dumps(whole | changes)


def nested(depth: int) -> bytes:
    return event().replace(b'"pi_1"', b'"pi_1", "deep": ' + b'{"a":' * depth + b"1" + b"}" * depth)


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not JSON"),
    "half of it": (event()[:40], "not JSON"),
    "not UTF-8": (event().replace(b"pi_1", b"pi_\xff"), "signature"),
    "a list": (b"[]", "not a Stripe event"),
    "another object": (event(object="charge"), "Not an event but a charge"),
    "a thin event": (event(object="v2.core.event"), "Not an event but a v2.core.event"),
    "nested too deeply": (nested(20_000), "nested too deeply"),
    "a NUL in its id": (event(id="evt_\0"), "id must be printable"),
    "a NUL as it is": (event().replace(b"pi_1", b"pi_\0"), "not JSON"),
    "a NUL in the object's id": (event(data={"object": {"id": "pi_\0"}}), "data.object.id must be printable"),
    "an id that is too long": (event(id="evt_" + "1" * 300), "id must be printable text of 1 to 255"),
    "an id that is a number": (event(id=7), "id must be printable"),
    "a key twice": (event().replace(b'"livemode"', b'"id":"evt_2","livemode"'), "names 'id' twice"),
    "a key twice within": (event().replace(b'"id":"pi_1"', b'"id":"pi_1","id":"pi_2"'), "names 'id' twice"),
    "a number beyond all": (
        event().replace(b'"livemode"', b'"amount":' + b"9" * 5000 + b',"livemode"'),
        "too many digits",
    ),
    "a version that is a number": (event(api_version=5), "api_version must be printable text"),
    "a version without end": (event(api_version="1" * 5000), "api_version must be printable text of 1 to 255"),
    "no number": (event().replace(b'"livemode"', b'"amount":NaN,"livemode"'), "NaN"),
    "another mode": (event(livemode=True), "another mode"),
    "no time": (event(created="today"), "not a Stripe event"),
    "a time beyond all": (event(created=2**62), "not a Stripe event"),
    "no object": (event(data={}), "not a Stripe event"),
    "of a connected account under our own secret": (event(account="acct_1"), "of a connected account"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_event_for_us_is_refused_with_a_reason(door: Door, name: str) -> None:
    raw, reason = REFUSED[name]
    answer = await door.post(raw)
    assert answer.status_code == 400, answer.text
    assert reason in answer.json()["error"]
    assert await door.kept() == []


async def test_our_own_event_under_the_connected_accounts_secret_is_refused(door: Door) -> None:
    answer = await door.post(event(), connect=True)
    assert answer.status_code == 400
    assert "signed for their endpoint" in answer.json()["error"]


@pytest.mark.parametrize("seconds", [400, 86_400, -400])
async def test_a_signature_of_another_time_is_refused(door: Door, seconds: int) -> None:
    answer = await door.post(event(), seconds=seconds)
    assert (answer.status_code, answer.json()["error"]) == (400, "The webhook was signed at another time than now.")
    assert await door.kept() == []


async def test_ten_megabytes_are_refused_before_they_are_read(door: Door) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(160):
            sent += 65_536
            yield b" " * 65_536

    declared = await door.http.post(door.path, content=b" " * (10 * 1024 * 1024))
    chunked = await door.http.post(door.path, content=body())
    assert (declared.status_code, chunked.status_code) == (413, 413)
    assert "larger than 1024 KiB" in chunked.json()["error"]
    assert WEBHOOK_BYTES_MAX < sent < 2 * WEBHOOK_BYTES_MAX
    assert await door.kept() == []


async def test_an_unknown_type_is_answered_says_so_and_is_not_kept(door: Door) -> None:
    answer = await door.post(event(type="quantum.entangled"))
    assert (answer.status_code, answer.json()) == (200, {"received": True, "result": "IGNORED"})
    assert await door.kept() == []


async def test_deep_but_readable_bodies_and_strange_letters_are_handled(door: Door) -> None:
    assert (await door.post(nested(300))).json()["result"] == "STORED"
    metadata = {"object": {"id": "pi_2", "metadata": {"note": "\0 and \u202e"}}}
    assert (await door.post(event(id="evt_2", data=metadata))).json()["result"] == "STORED"
    await door.market.machine.quiet()
    assert [row.handled_at is not None for row in await door.kept()] == [True, True]


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


async def test_an_api_version_we_do_not_know_is_parked_alarmed_and_can_be_replayed(
    door: Door, logged: list[Any]
) -> None:
    market = door.market
    await market.seller("A", onboard=None)
    market.machine.endpoint.holding = True
    paid = (await market.pay(market.draft(market.line("A", 5000)))).payment
    await market.machine.delivered()
    told = next(one for one in market.machine.endpoint.kept if one.type == "payment_intent.succeeded").event
    # Another version may write the same things in other words.
    told |= {"api_version": "2031-04-01.zinnia"}
    del told["data"]["object"]["amount_received"]
    before = len(await door.kept())

    assert (await door.post(orjson.dumps(told))).json()["result"] == "PARKED"
    assert (await door.post(orjson.dumps(told))).json()["result"] == "DUPLICATE"

    [parked] = [row for row in await door.kept() if row.id == told["id"]]
    assert len(await door.kept()) == before + 1
    assert (parked.handled_at, parked.next_attempt_at) == (None, None)
    assert "2031-04-01.zinnia" in parked.error
    assert [line["id"] for line in logged if line["event"] == "event parked"] == [told["id"]]
    await market.machine.sweep()
    assert (await market.payment(paid.id)).booked_at is None, "an operator looks first"

    async with market.machine.services.db.write(market.platform) as scope:
        assert await inbox.revive(scope, told["id"])
    await market.machine.sweep()
    await market.machine.advance(seconds=180)
    assert (await market.payment(paid.id)).settled_at is not None
    await market.prove()


async def test_a_version_of_the_same_release_is_ours(door: Door) -> None:
    assert (await door.post(event(api_version="2026-09-30.endive"))).json()["result"] == "STORED"
    assert (await door.post(event(id="evt_2", api_version=None))).json()["result"] == "STORED"


async def test_two_event_ids_for_one_change_are_harmless(market: Market) -> None:
    """Rarely the provider tells of one change in two events; ids alone do not show it, so transitions must not mind."""
    machine, endpoint = market.machine, market.machine.endpoint
    await market.seller("A", onboard=None)
    endpoint.holding = True
    await market.pay(market.draft(market.line("A", 5000)))
    await machine.delivered()
    deliveries, endpoint.kept = endpoint.kept, []
    await endpoint.deliver(deliveries)
    await machine.quiet()
    books, entries = await market.books(), await market.journal()
    for delivery in deliveries:
        again = delivery.event | {"id": delivery.event["id"] + "_again"}
        await endpoint.receive(await endpoint.signed(market.platform, again))
    await machine.quiet()
    assert (await market.books(), await market.journal()) == (books, entries)
    await market.prove()


async def test_an_event_of_an_account_that_is_not_ours_has_no_effect(door: Door) -> None:
    """The same provider account may serve another program's sellers too."""
    raw = event(type="account.updated", account="acct_stranger", data={"object": {"id": "acct_stranger"}})
    assert (await door.post(raw, connect=True)).json()["result"] == "STORED"
    await door.market.machine.quiet()
    [row] = await door.kept()
    assert (row.handled_at is not None, row.error) == (True, None)


async def test_a_payout_of_ours_told_by_another_account_is_not_applied(door: Door) -> None:
    market = door.market
    await market.seller("A")
    await market.seller("B")
    await market.sale(market.line("A", 50_000))
    await market.machine.advance(days=9)
    requested = await market.payout("A", 1000)
    await market.machine.quiet()
    ours = await market.payout_row(requested.id)
    thing = {
        "id": ours.provider_payout,
        "object": "payout",
        "metadata": {"marketbill_payout": public_id("payout", ours.id)},
    }
    raw = event(type="payout.paid", account=(await market.seller_row("B")).provider_account, data={"object": thing})

    assert (await door.post(raw, connect=True)).json()["result"] == "STORED"
    await market.machine.quiet()

    assert (await market.payout_row(ours.id)).status == ours.status
    [row] = [row for row in await door.kept() if row.id == "evt_1"]
    assert row.handled_at is None
    assert "No such payout" in row.error
    await market.prove(troubled=["payout.paid"])
