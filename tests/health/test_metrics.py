"""`GET /metrics`: numbers for a monitoring system that knows the token, and nothing of any tenant in them."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import update
from tests.market.machine import Machine, running_machine
from tests.market.market import Market

from marketbill.events import outbox
from marketbill.events.model import inbox_event
from marketbill.health import alarms
from marketbill.ids import public_id
from marketbill.provider.model import provider_intent
from marketbill.webhooks.catch_up import catch_up
from marketbill_graphql.app import create_app
from marketbill_workers.schedule import Schedule

TOKEN = "token-of-the-metrics-of-the-tests"


@pytest.fixture
async def watched(database_url: str) -> AsyncIterator[Machine]:
    """A machine whose API has a page of metrics."""
    async with running_machine(database_url, metrics_token=TOKEN) as running:
        yield running


async def get(machine: Machine, *, token: str | None = TOKEN, method: str = "GET") -> httpx2.Response:
    headers = {} if token is None else {b"authorization": f"Bearer {token}".encode()}
    transport = httpx2.ASGITransport(create_app(machine.services))
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.example") as http:
        return await http.request(method, "/metrics", headers=headers)


async def numbers(machine: Machine) -> dict[str, float]:
    """Every number of the page, by its name and label."""
    answer = await get(machine)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_without_a_token_in_the_settings_there_is_no_such_page(market: Market) -> None:
    assert (await get(market.machine)).status_code == 404


@pytest.mark.parametrize("token", [None, "", "another", TOKEN + "x", "ü"])
async def test_who_does_not_know_the_token_sees_nothing(watched: Machine, token: str | None) -> None:
    answer = await get(watched, token=token)
    assert answer.status_code == 401
    assert "marketbill_" not in answer.text


async def test_it_is_read_only(watched: Machine) -> None:
    assert (await get(watched, method="POST")).status_code == 405


async def test_a_machine_at_rest_shows_noughts(watched: Machine) -> None:
    assert {name: value for name, value in (await numbers(watched)).items() if value} == {}


async def test_what_waits_is_counted(watched: Machine) -> None:
    market = await watched.platform(name="A Shop of its own")
    await market.seller("A")
    await market.sale(market.line("A", 5000))
    await Schedule(watched.services.db).tick()
    async with watched.services.db.system() as scope:
        await outbox.relay(scope, lambda _: None)
    async with watched.services.db.write(market.platform) as scope:
        await outbox.enqueue(scope, "handle_events", str(market.platform))
        ids = list((await scope.connection.scalars(inbox_event.select().with_only_columns(inbox_event.c.id))).all())
        old = {"handled_at": None, "received_at": scope.now - timedelta(minutes=2)}
        parked, waiting = inbox_event.c.id == ids[0], inbox_event.c.id != ids[0]
        await scope.run(update(inbox_event).where(parked).values(**old, next_attempt_at=None, error="parked"))
        await scope.run(update(inbox_event).where(waiting).values(**old, next_attempt_at=scope.now))
        await scope.run(update(provider_intent).values(status="UNKNOWN", next_attempt_at=scope.now))
        requests = await scope.run(update(provider_intent).values(provider_id=None))
    await watched.shift(10 * 60)
    for _ in range(2):
        async with watched.services.db.system() as scope:
            await alarms.look(scope)

    seen = await numbers(watched)
    assert seen["marketbill_outbox_messages"] == 1
    assert 600 <= seen["marketbill_outbox_lag_seconds"] < 700
    assert seen["marketbill_inbox_unhandled_events"] == len(ids) - 1
    assert 720 <= seen["marketbill_inbox_oldest_seconds"] < 800
    assert seen["marketbill_inbox_parked_events"] == 1
    assert seen["marketbill_requests UNKNOWN"] == requests
    assert seen["marketbill_requests OPEN"] == seen["marketbill_requests GAVE_UP"] == 0
    assert 600 <= seen["marketbill_requests_due_seconds"] < 700
    assert 480 <= seen["marketbill_schedule_late_seconds sweep"] < 700
    assert seen["marketbill_alarms event_parked"] == 1
    assert seen["marketbill_alarm_things event_unhandled"] == len(ids) - 1
    text = (await get(watched)).text
    for secret in ("Shop", public_id("platform", market.platform), market.provider_account, str(market.platform)):
        assert secret not in text


async def test_a_list_of_events_that_was_never_looked_through_is_late_since_the_platform_was_connected(
    watched: Machine,
) -> None:
    looked = await watched.platform(name="Looked through")
    await watched.platform(name="Never looked through")
    await watched.shift(3600)
    await catch_up(watched.services, looked.platform)
    assert 3600 <= (await numbers(watched))["marketbill_catch_up_seconds"] < 3700


async def test_it_costs_the_same_few_statements_however_many_platforms_there_are(watched: Machine) -> None:
    counted: list[int] = []
    for _ in range(2):
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object, to: list[str] = statements) -> None:
            to.append(statement)

        sqlalchemy_event.listen(watched.services.db.control.sync_engine, "before_cursor_execute", note)
        await get(watched)
        sqlalchemy_event.remove(watched.services.db.control.sync_engine, "before_cursor_execute", note)
        counted.append(len(statements))
        for number in range(3):
            await watched.platform(name=f"Another {number}", connected=False)
    assert counted[0] == counted[1] <= 8
