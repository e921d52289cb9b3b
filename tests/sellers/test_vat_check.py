"""VAT numbers before the register of them: known, unknown, and what happens while it does not answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import Row
from tests.market.machine import Machine, running_machine
from tests.market.market import GERMAN_VAT, Market

from marketbill.errors import InvalidInput
from marketbill.ids import public_id
from marketbill.platforms import platform as platforms
from marketbill.sellers import seller as sellers
from marketbill.sellers import vat_check
from marketbill.sellers.seller import SellerDraft
from marketbill.sellers.upkeep import keep_up_sellers
from marketbill.sellers.vies import VatOfficeUnavailable, Vies

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
ANOTHER_GERMAN_VAT = "DE811569869"


class Register:
    """A register of our own that speaks as VIES does. `known` numbers are valid; `answer` takes the place of that."""

    def __init__(self) -> None:
        self.url = ""
        self.known = {"136695976": "Muster GmbH"}
        self.asked: list[dict[str, Any]] = []
        self.answer: Answer | None = None

    async def check(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        if self.answer is not None:
            return await self.answer(request)
        holder = self.known.get(body["vatNumber"])
        return web.json_response(
            {
                "countryCode": body["countryCode"],
                "vatNumber": body["vatNumber"],
                "requestDate": "2026-03-02T10:00:00.000Z",
                "valid": holder is not None,
                "requestIdentifier": "WAPIAAAAY" if "requesterNumber" in body else "",
                "name": holder or "---",
                "address": "---",
            }
        )


def saying(body: Any, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return answer


def wordless(text: str, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status)

    return answer


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def fault(code: str, status: int = 200) -> Answer:
    return saying({"actionSucceed": False, "errorWrappers": [{"error": code}]}, status)


@pytest.fixture
async def register() -> AsyncIterator[Register]:
    register, app = Register(), web.Application()
    app.router.add_post("/rest-api/check-vat-number", register.check)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None  # pyright: ignore[reportPrivateUsage]
    port = site._server.sockets[0].getsockname()[1]  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    register.url = f"http://127.0.0.1:{port}/rest-api"
    yield register
    await runner.cleanup()


@pytest.fixture
async def market(database_url: str, register: Register) -> AsyncIterator[Market]:
    """A platform of a machine that asks the register."""
    async with running_machine(database_url, vat_check_url=register.url) as machine:
        yield await machine.platform(connected=False)


async def create(market: Market, number: str | None, *, country: str = "DE", **more: Any) -> Row[Any]:
    draft = SellerDraft("Gerd", "g@x.example", country, number, **more)
    return await sellers.create(
        market.machine.services, market.operator, idempotency_key=market.machine.key(), draft=draft
    )


async def change(market: Market, row: Row[Any], **changes: Any) -> Row[Any]:
    return await sellers.change(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        id=public_id("seller", row.id),
        changes=changes,
    )


async def now(market: Market, row: Row[Any]) -> Row[Any]:
    async with market.machine.services.db.read(market.platform) as scope:
        return await sellers.load(scope, row.id)


async def evidence(market: Market, row: Row[Any]) -> Row[Any] | None:
    async with market.machine.services.db.read(market.platform) as scope:
        return (await vat_check.evidence(scope, [row.id])).get(row.id)


def standing(row: Row[Any]) -> tuple[str, bool]:
    return row.vat_status, row.vat_number_valid


async def test_a_number_that_the_register_knows_is_valid_with_its_evidence(market: Market, register: Register) -> None:
    row = await create(market, GERMAN_VAT)

    assert standing(row) == ("VALID", True)
    assert row.vat_checked_at is not None
    assert register.asked == [{"countryCode": "DE", "vatNumber": "136695976"}]
    kept = await evidence(market, row)
    assert kept is not None
    assert (kept.status, kept.holder, kept.consultation, kept.number) == ("VALID", "Muster GmbH", None, GERMAN_VAT)
    assert kept.answer["requestDate"] == "2026-03-02T10:00:00.000Z"
    assert (kept.answered_at, kept.next_attempt_at, kept.attempts) == (row.vat_checked_at, None, 1)


async def test_who_names_himself_gets_a_receipt(market: Market, register: Register) -> None:
    await platforms.change(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        changes={"vat_number": "NL004495445B01", "tax_registrations": ["GB", "EU", "EU"]},
    )
    kept = await evidence(market, await create(market, GERMAN_VAT))
    assert kept is not None
    assert kept.consultation == "WAPIAAAAY"
    assert register.asked[-1] == {
        "countryCode": "DE",
        "vatNumber": "136695976",
        "requesterMemberStateCode": "NL",
        "requesterNumber": "004495445B01",
    }


async def test_a_number_that_the_register_does_not_know_is_not_relied_on(market: Market) -> None:
    row = await create(market, ANOTHER_GERMAN_VAT)
    assert standing(row) == ("INVALID", False)
    kept = await evidence(market, row)
    assert kept is not None
    assert (kept.status, kept.holder) == ("INVALID", None)


async def test_an_outage_leaves_the_number_pending_and_it_is_asked_again(market: Market, register: Register) -> None:
    register.answer = fault("MS_UNAVAILABLE")
    row = await create(market, GERMAN_VAT)
    assert standing(row) == ("PENDING", False)
    kept = await evidence(market, row)
    assert kept is not None
    assert (kept.status, kept.failure, kept.attempts) == ("PENDING", "MS_UNAVAILABLE", 1)

    await market.machine.sweep()
    assert len(register.asked) == 1, "not before its time"

    waits = []
    for _ in range(3):
        await market.machine.shift(int(vat_check.ASKED_AGAIN_MAX.total_seconds()) + 60)
        await keep_up_sellers(market.machine.services, market.platform)
        again = await evidence(market, row)
        assert again is not None
        async with market.machine.services.db.read(market.platform) as scope:
            waits.append(round((again.next_attempt_at - scope.now).total_seconds() / 60))
    assert len(register.asked) == 4
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]

    register.answer = None
    await market.machine.shift(int(vat_check.ASKED_AGAIN_MAX.total_seconds()) + 60)
    await market.machine.sweep()
    assert standing(await now(market, row)) == ("VALID", True)
    done = await evidence(market, row)
    assert done is not None
    assert (done.status, done.failure, done.attempts, done.next_attempt_at) == ("VALID", None, 5, None)

    await market.machine.shift(86_400)
    await market.machine.sweep()
    assert len(register.asked) == 5, "an answer is final"


async def test_the_answer_about_an_old_number_does_not_touch_the_new_one(market: Market, register: Register) -> None:
    register.answer = hang_up
    row = await create(market, GERMAN_VAT)
    changed = await change(market, row, vat_number=ANOTHER_GERMAN_VAT)
    assert standing(changed) == ("PENDING", False)
    removed = await change(market, changed, vat_number=None)
    assert standing(removed) == ("UNCHECKED", False)

    register.answer = None
    await market.machine.shift(86_400)
    await market.machine.sweep()
    assert standing(await now(market, row)) == ("UNCHECKED", False)
    assert len(register.asked) == 2


async def test_a_change_of_something_else_asks_nobody(market: Market, register: Register) -> None:
    row = await create(market, GERMAN_VAT)
    changed = await change(market, row, name="Gerda", tax_registrations=["EU"], small_business=True)
    assert standing(changed) == ("VALID", True)
    assert (changed.vat_checked_at, len(register.asked)) == (row.vat_checked_at, 1)
    tax = sellers.tax_of(changed)
    assert (tax.vat_number_valid, tax.registrations, tax.small_business) == (True, frozenset({"EU"}), True)


async def test_the_register_is_not_asked_about_what_it_cannot_know(market: Market, register: Register) -> None:
    for country, number, status in [
        ("DE", "DE136695977", "INVALID"),
        ("DE", None, "UNCHECKED"),
        ("GB", "GB980780684", "UNCHECKED"),
        ("AU", "83 914 571 673", "UNCHECKED"),
    ]:
        row = await create(market, number, country=country)
        assert standing(row) == (status, status == "UNCHECKED" and number is not None)
        assert await evidence(market, row) is None
    assert register.asked == []
    northern = await create(market, "XI 980780684", country="GB")
    assert register.asked == [{"countryCode": "XI", "vatNumber": "980780684"}]
    assert standing(northern) == ("INVALID", False)


async def test_without_a_register_the_form_decides(database_url: str, register: Register) -> None:
    async with running_machine(database_url) as machine:
        market = await machine.platform(connected=False)
        row = await create(market, GERMAN_VAT)
        assert standing(row) == ("UNCHECKED", True)
        assert await evidence(market, row) is None
        await machine.shift(86_400)
        await machine.sweep()
    assert register.asked == []


async def test_a_register_that_is_switched_off_leaves_what_waits_to_its_form(
    database_url: str, register: Register
) -> None:
    register.answer = hang_up
    async with running_machine(database_url, vat_check_url=register.url) as machine:
        market = await machine.platform(connected=False)
        row = await create(market, GERMAN_VAT)
        assert standing(row) == ("PENDING", False)
        machine.services.settings.vat_check_url = ""
        await machine.shift(86_400)
        await machine.sweep()
        assert standing(await now(market, row)) == ("UNCHECKED", True)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (fault("GLOBAL_MAX_CONCURRENT_REQ"), "GLOBAL_MAX_CONCURRENT_REQ"),
        (fault("SERVICE_UNAVAILABLE", 500), "SERVICE_UNAVAILABLE"),
        (saying({"userError": "MS_UNAVAILABLE", "valid": False}), "MS_UNAVAILABLE"),
        (saying({"valid": "yes"}), "neither valid nor invalid"),
        (saying({}, 503), "HTTP 503"),
        (saying([1], 200), "HTTP 200"),
        (wordless("<html>", 502), "HTTP 502, and no JSON"),
        (wordless("", 200), "no JSON"),
        (hang_up, "no answer"),
    ],
)
async def test_no_definite_answer_is_none(register: Register, answer: Answer, reason: str) -> None:
    register.answer = answer
    with pytest.raises(VatOfficeUnavailable) as away:
        await Vies(register.url).ask(prefix="DE", number="136695976", requester=None)
    assert reason in away.value.reason


async def test_a_register_that_takes_too_long_or_is_nowhere_gives_no_answer(register: Register) -> None:
    released = asyncio.Event()

    async def forever(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    register.answer = forever
    for url in (register.url, "http://127.0.0.1:1"):
        with pytest.raises(VatOfficeUnavailable):
            await Vies(url, timeout_seconds=0.2).ask(prefix="DE", number="1", requester=None)
    released.set()


async def test_a_number_that_the_register_cannot_read_is_invalid(register: Register) -> None:
    register.answer = fault("INVALID_INPUT", 400)
    answer = await Vies(register.url).ask(prefix="DE", number="1", requester=None)
    assert not answer.valid


async def test_a_platform_that_the_register_does_not_know_still_gets_an_answer(register: Register) -> None:
    async def only_without_requester(request: web.Request) -> web.StreamResponse:
        known = "requesterNumber" not in register.asked[-1]
        return await (saying({"valid": True, "name": "---"}) if known else fault("INVALID_REQUESTER_INFO"))(request)

    register.answer = only_without_requester
    answer = await Vies(register.url + "/").ask(prefix="DE", number="1", requester=("NL", "x"))
    assert (answer.valid, answer.consultation, answer.holder, len(register.asked)) == (True, None, None, 2)


async def test_wrong_countries_and_registrations_are_refused_by_name(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    for path, more in [
        (("vatNumber",), {"number": "NL004495445B01"}),
        (("vatNumber",), {"number": "EU372022452"}),
        (("taxRegistrations",), {"number": None, "tax_registrations": ("UK",)}),
        (("taxRegistrations",), {"number": None, "tax_registrations": ("US-CALIFORNIA",)}),
    ]:
        with pytest.raises(InvalidInput) as refused:
            await create(market, **more)
        assert refused.value.path == path
    row = await create(market, GERMAN_VAT, tax_registrations=("US-CA", "EU", "EU"), small_business=True)
    assert row.tax_registrations == ["EU", "US-CA"]
    assert row.small_business
    for changes in ({"vat_number": "DE136695976"}, {"vat_number": "NL1"}, {"tax_registrations": ["EL"]}):
        with pytest.raises(InvalidInput):
            await platforms.change(machine.services, market.operator, idempotency_key=machine.key(), changes=changes)
