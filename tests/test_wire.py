"""The check of the published wire can fail: an invented field, an unknown parameter, a broken event are found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests import wire
from tests.wire import NOT_FOUND, Exchange, Wire
from tests.wire_children import Children

from marketbill.sandbox.app import create_app
from marketbill.sandbox.dispatch import Api


@pytest.fixture
def published() -> Wire:
    found = wire.wire()
    if found is None:
        pytest.skip(NOT_FOUND)
    return found


@pytest.fixture
def transfer() -> dict[str, Any]:
    return {
        "id": "tr_1", "object": "transfer", "amount": 100, "amount_reversed": 0, "balance_transaction": "txn_1",
        "created": 1, "currency": "usd", "description": None, "destination": "acct_1", "destination_payment": "py_1",
        "livemode": False, "metadata": {}, "reversed": False, "source_transaction": None, "source_type": "card",
        "reversals": {"object": "list", "data": [], "has_more": False, "url": "/v1/transfers/tr_1/reversals"},
        "transfer_group": None,
    }  # fmt: skip


SENT = "amount=100&currency=usd&destination=acct_1"


def test_a_faithful_exchange_passes(published: Wire, transfer: dict[str, Any]) -> None:
    assert published.findings(Exchange("POST", "/v1/transfers", SENT, 200, transfer)) == []


@pytest.mark.parametrize(
    ("method", "path", "sent", "change"),
    [
        ("POST", "/v1/transfers", SENT, {"invented": 1}),
        ("POST", "/v1/transfers", SENT, {"amount": "100"}),
        ("POST", "/v1/transfers", SENT + "&bogus=1", {}),
        ("POST", "/v1/transfers", "currency=usd", {}),
        ("GET", "/v1/transfers/tr_1?bogus=1", "", {}),
        ("POST", "/v1/transfers/tr_1/paid", "", {}),
    ],
)
def test_what_the_wire_does_not_have_is_found(
    published: Wire, transfer: dict[str, Any], method: str, path: str, sent: str, change: dict[str, Any]
) -> None:
    assert published.findings(Exchange(method, path, sent, 200, transfer | change)) != []


def test_the_same_mistake_is_found_again(published: Wire, transfer: dict[str, Any]) -> None:
    """A shape is checked once, but every test that makes it fails."""
    exchange = Exchange("POST", "/v1/transfers", SENT, 200, transfer | {"invented": 1})
    assert published.findings(exchange) == published.findings(exchange) != []


def test_a_refusal_has_the_form_of_refusals(published: Wire) -> None:
    good = {"error": {"type": "invalid_request_error", "message": "No."}}
    assert published.findings(Exchange("POST", "/v1/transfers", "", 400, good)) == []
    assert published.findings(Exchange("POST", "/v1/transfers", "", 400, {"detail": "No."})) != []
    assert published.findings(Exchange("GET", "/v1/unknown", "", 404, good)) == []
    assert published.findings(Exchange("GET", "/v1/unknown", "", 200, good)) != []


def test_an_event_is_checked_with_what_it_carries(published: Wire, transfer: dict[str, Any]) -> None:
    event = {
        "id": "evt_1", "object": "event", "api_version": "2026-10-28.endive", "created": 1, "livemode": False,
        "pending_webhooks": 0, "request": {"id": None, "idempotency_key": None}, "type": "transfer.updated",
        "data": {"object": transfer, "previous_attributes": {"metadata": {}}},
    }  # fmt: skip
    assert published.event_findings(event) == []
    assert published.event_findings(event | {"type": "transfer.paid"}) != []
    assert published.event_findings(event | {"data": {"object": transfer | {"invented": 1}}}) != []
    assert published.event_findings(event | {"data": {"object": transfer, "previous_attributes": {"x": 1}}}) != []


def test_every_sandbox_of_the_suite_is_watched(published: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer with an invented field, of a sandbox that knows nothing of the check, leaves a finding."""
    monkeypatch.setattr("marketbill.sandbox.balances.retrieve", lambda call: {"object": "balance"})
    with TestClient(create_app(None, base_url="http://sandbox")) as client:
        made = client.post("/_sandbox/platforms", json={"country": "US"}).json()
        client.get("/v1/balance", headers={"Authorization": f"Bearer {made['secret_key']}"})
    assert Api.answer.__module__ == wire.__name__
    assert [finding for finding in wire.findings_taken() if "/v1/balance" in finding]


def test_the_folder_is_found_beside_the_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (tmp_path / "data" / "stripe").mkdir(parents=True)
    checkout.mkdir()
    assert wire.folder_beside(checkout) is None
    (tmp_path / "data" / "stripe" / wire.FIRST).write_text(json.dumps({}))
    assert wire.folder_beside(checkout) == tmp_path / "data" / "stripe"


def test_a_sandbox_in_a_program_of_its_own_is_watched_too(published: Wire, wire_children: Children) -> None:
    """It writes what it finds where this process reads it."""
    program = (
        "import marketbill.sandbox.balances as balances\n"
        "balances.retrieve = lambda call: {'object': 'balance'}\n"
        "from starlette.testclient import TestClient\n"
        "from marketbill.sandbox.app import create_app\n"
        "with TestClient(create_app(None, base_url='http://sandbox')) as client:\n"
        "    made = client.post('/_sandbox/platforms', json={'country': 'US'}).json()\n"
        "    client.get('/v1/balance', headers={'Authorization': 'Bearer ' + made['secret_key']})\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": os.environ["PYTHONPATH"]})
    assert [finding for finding in wire_children.findings_taken() if "/v1/balance" in finding]
