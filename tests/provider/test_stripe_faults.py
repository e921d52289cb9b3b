"""What the adapter makes of a provider that answers badly: a server of our own that does what the test says."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from marketbill import clock
from marketbill.provider.port import SEND_LONGEST, Refused, Unknown
from marketbill.provider.stripe import StripeProvider, connect, wire

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
CUSTOMER = {"object": "customer", "id": "cus_1"}


class Faulty:
    """Answers with `script` one by one, the last for ever, and notes the idempotency keys it saw."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.keys: list[str | None] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("Idempotency-Key"))
        return await self.script[min(len(self.keys), len(self.script)) - 1](request)


def status(code: int, error: dict[str, str] | None = None) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = CUSTOMER if code == 200 else {"error": {"type": "api_error", "message": "no", **(error or {})}}
        return web.json_response(body, status=code, headers={"Request-Id": "req_1"})

    return answer


def text(body: str, code: int = 200) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=code)

    return answer


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id":')
    assert request.transport is not None
    request.transport.abort()
    return response


@pytest.fixture
async def faulty() -> AsyncIterator[tuple[Faulty, StripeProvider]]:
    script = Faulty()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider = connect("sk_test_x", f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield script, provider
    await provider.close()
    await runner.cleanup()


async def create(provider: StripeProvider) -> str:
    return await provider.create_customer(key="mb_1", name="Buyer", email=None, metadata={})


@pytest.mark.parametrize(
    "script",
    [
        [status(500), status(200)],
        [status(409, {"code": "idempotency_key_in_use"}), status(200)],
        [status(429, {"code": "rate_limit"}), status(200)],
        [hang_up, status(200)],
    ],
    ids=["500", "409", "429", "hang up"],
)
async def test_a_passing_fault_is_bridged_under_the_same_key(
    faulty: tuple[Faulty, StripeProvider], script: list[Answer]
) -> None:
    server, provider = faulty
    server.script = script
    assert await create(provider) == "cus_1"
    assert server.keys == ["mb_1", "mb_1"]


@pytest.mark.parametrize(
    ("script", "calls", "untouched"),
    [
        ([status(500)], 3, False),
        ([status(409)], 3, False),
        ([status(429, {"code": "rate_limit"})], 4, True),
        ([hang_up], 3, False),
        ([cut_off], 1, False),
        ([text("<html>gateway</html>")], 1, False),
        *(([text("<html>gateway</html>", code)], 1, False) for code in (400, 401, 402, 403, 404, 405, 413)),
        ([text("<html>gateway</html>", 502)], 3, False),
        ([text("[]")], 1, False),
        ([text("{}")], 1, False),
        ([text('{"id": ')], 1, False),
    ],
    ids=[
        "500",
        "409",
        "429",
        "hang up",
        "cut off",
        "html",
        *(f"html {code}" for code in (400, 401, 402, 403, 404, 405, 413, 502)),
        "a list",
        "nothing in it",
        "half a JSON",
    ],
)
async def test_a_lasting_fault_is_unknown(
    faulty: tuple[Faulty, StripeProvider], script: list[Answer], calls: int, untouched: bool
) -> None:
    server, provider = faulty
    server.script = script
    with pytest.raises(Unknown) as unknown:
        await create(provider)
    assert unknown.value.untouched is untouched
    assert server.keys == ["mb_1"] * calls


async def test_a_machine_that_slept_does_not_repeat_what_the_provider_may_have_forgotten(
    faulty: tuple[Faulty, StripeProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, provider = faulty

    async def fall_asleep(request: web.Request) -> web.StreamResponse:
        wakes = clock.now() + timedelta(hours=25)
        monkeypatch.setattr(clock, "now", lambda: wakes)
        return await status(500)(request)

    server.script = [fall_asleep, status(200)]
    with pytest.raises(Unknown):
        await create(provider)
    assert server.keys == ["mb_1"]


async def test_nobody_there_is_unknown() -> None:
    provider = connect("sk_test_x", "http://127.0.0.1:9")
    with pytest.raises(Unknown) as unknown:
        await provider.account()
    assert unknown.value.failure.status is None
    await provider.close()


async def test_a_refusal_is_not_repeated(faulty: tuple[Faulty, StripeProvider]) -> None:
    server, provider = faulty
    server.script = [status(400, {"type": "invalid_request_error", "code": "parameter_missing"})]
    with pytest.raises(Refused) as refused:
        await create(provider)
    assert refused.value.failure.code == "parameter_missing"
    assert len(server.keys) == 1


@pytest.mark.parametrize(
    ("last", "proof"),
    [
        (status(401, {"type": "invalid_request_error"}), False),
        (status(403, {"code": "account_invalid"}), False),
        (status(429, {"code": "rate_limit"}), False),
        (status(400, {"code": "resource_missing"}), True),
    ],
    ids=["401", "403", "429", "400"],
)
async def test_what_is_answered_to_a_repetition_in_front_of_the_keys_says_nothing_of_the_first(
    faulty: tuple[Faulty, StripeProvider], last: Answer, proof: bool
) -> None:
    server, provider = faulty
    server.script = [hang_up, last]
    with pytest.raises(Refused if proof else Unknown) as told:
        await create(provider)
    assert isinstance(told.value, Refused) or not told.value.untouched
    assert set(server.keys) == {"mb_1"}


@pytest.mark.parametrize("repeated", [True, None])
async def test_a_kept_answer_that_is_repeated_is_known_as_such(
    faulty: tuple[Faulty, StripeProvider], repeated: bool | None
) -> None:
    server, provider = faulty

    async def answer(request: web.Request) -> web.StreamResponse:
        error = await status(500)(request)
        if repeated:
            error.headers["Idempotent-Replayed"] = "true"
        return error

    server.script = [answer]
    with pytest.raises(Unknown) as unknown:
        await create(provider)
    assert unknown.value.failure.replayed is repeated


async def test_one_call_with_all_its_repetitions_ends_in_time(
    faulty: tuple[Faulty, StripeProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each exchange takes as long as it may; none begins that could end after the longest time of a sending."""
    server, provider = faulty
    began = clock.now()
    passed = timedelta(0)

    async def slow(request: web.Request) -> web.StreamResponse:
        nonlocal passed
        passed += timedelta(seconds=wire.REQUEST_SECONDS)
        return await status(500)(request)

    monkeypatch.setattr(clock, "now", lambda: began + passed)
    server.script = [slow]
    with pytest.raises(Unknown):
        await create(provider)
    assert timedelta(seconds=2 * wire.REQUEST_SECONDS) <= passed < SEND_LONGEST


async def test_a_search_is_bounded_on_both_sides(faulty: tuple[Faulty, StripeProvider]) -> None:
    server, provider = faulty
    asked: list[tuple[str, str | None, str | None]] = []

    async def nothing(request: web.Request) -> web.StreamResponse:
        asked.append((request.path, request.query.get("created[gte]"), request.query.get("created[lte]")))
        return web.json_response({"object": "list", "data": [], "has_more": False})

    server.script = [nothing]
    start, end = datetime.fromtimestamp(1000, UTC), datetime.fromtimestamp(2000, UTC)
    await provider.find_account("sel_1", created_from=start, created_until=end)
    await provider.find_payouts("acct_1", created_from=start, created_until=end)
    await provider.find_payments(transfer_group="pay_1", created_from=start, created_until=end)
    await provider.find_payouts("acct_1", created_from=start)
    assert [one for one in asked if one[0] != "/v1/charges"] == [
        ("/v1/accounts", "880", "2120"),
        ("/v1/payouts", "880", "2120"),
        ("/v1/payment_intents", "880", "2120"),
        ("/v1/payouts", "880", None),
    ]


async def test_a_list_that_does_not_end_is_no_proof_of_absence(faulty: tuple[Faulty, StripeProvider]) -> None:
    server, provider = faulty

    async def page(request: web.Request) -> web.StreamResponse:
        transfer = {"object": "transfer", "id": f"tr_{len(server.keys)}", "amount": 1, "currency": "usd", "created": 1}
        return web.json_response({"data": [{**transfer, "destination": "acct_1"}], "has_more": True})

    server.script = [page]
    with pytest.raises(Unknown) as unknown:
        await provider.find_transfers("group")
    assert unknown.value.failure.code == "search_too_wide"
    assert len(server.keys) == 20
